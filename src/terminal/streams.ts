/** Readers that go away and disks that are full: what cannot be shown is dropped, the work goes on. */
import { describeSystemError } from "../lib/errors.ts";

/** The reader or the terminal has gone; nobody misses the output. */
const GONE = new Set(["EPIPE", "EIO", "EBADF", "ECONNRESET", "ERR_STREAM_DESTROYED"]);

let readerGone = false;
let lost: string | null = null;

/** Has a reader of stdout or stderr gone? What only shows something may stop then. */
export function isReaderGone(): boolean {
  return readerGone;
}

/** Why a part of stdout was not written though somebody waits for it; null as a rule. */
export function lostOutput(): string | null {
  return lost;
}

/** Call once at start. `rlpt doctor | head` is no failure, and a training does not end because nobody looks on. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (GONE.has(error.code ?? "")) readerGone = true;
      // notes and progress on stderr are for whoever looks on; results are not
      else if (stream === process.stdout) lost = describeSystemError(error);
    });
  }
}
