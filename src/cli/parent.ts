/** Called by a child of a pool: ends as by a signal, after a checkpoint, when the parent dies. */
export function stopWithParent(): void {
  if (process.channel === undefined || process.channel === null) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}
