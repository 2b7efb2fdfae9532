/**
 * Called by a child of a pool: ends as by a signal, after a checkpoint, when the parent dies. A child that is stopping already goes on
 * with that: SIGHUP ends nothing twice. One that does not listen yet has nothing to save.
 */
export function stopWithParent(): void {
  const stop = () => process.kill(process.pid, process.listenerCount("SIGHUP") > 0 ? "SIGHUP" : "SIGTERM");
  // it died while this process started; undefined: there never was one
  if (process.connected === false) stop();
  if (process.channel === undefined || process.channel === null) return;
  process.once("disconnect", stop);
  process.channel.unref();
}
