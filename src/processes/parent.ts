/** Called by a child of a pool: ends as by a signal, after a checkpoint, when the parent dies. */
export function stopWithParent(): void {
  const stop = () => process.kill(process.pid, "SIGTERM");
  // it died while this process started; undefined: there never was one
  if (process.connected === false) stop();
  if (process.channel === undefined || process.channel === null) return;
  process.once("disconnect", stop);
  process.channel.unref();
}
