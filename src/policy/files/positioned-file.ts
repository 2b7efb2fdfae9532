import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { describeSystemError, ModelFileError } from "../../lib/errors.ts";

/** One read call takes at most 2^31 - 1 bytes on some systems. */
const LARGEST_READ = 1 << 30;

/** A file read at given offsets, so that a model is never in memory as a whole. */
export interface PositionedFile {
  readonly path: string;
  readonly size: number;
  /** Fills `target` from `offset`. @throws ModelFileError when the file ends before */
  readInto(target: Uint8Array, offset: number): void;
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return "a directory";
  if (stat.isFIFO()) return "a pipe (FIFO)";
  if (stat.isSocket()) return "a socket";
  return stat.isCharacterDevice() || stat.isBlockDevice() ? "a device" : "something else";
}

/** @throws ModelFileError when the file cannot be opened, or is a directory, a pipe or a device */
export function openPositioned(path: string): PositionedFile {
  let handle: number;
  let size: number;
  try {
    const before = statSync(path); // opening a device may do something already
    if (!before.isFile()) throw new ModelFileError(`${path} is ${kindOf(before)}, not a file`);
    // a pipe that came in between must not block
    handle = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(handle);
    if (!stat.isFile()) {
      closeSync(handle);
      throw new ModelFileError(`${path} is ${kindOf(stat)}, not a file`);
    }
    size = stat.size;
  } catch (error) {
    if (error instanceof ModelFileError) throw error;
    throw new ModelFileError(`${path} cannot be opened: ${describeSystemError(error)}`, { cause: error });
  }
  let open = true;
  const readInto = (target: Uint8Array, offset: number): void => {
    if (!open) throw new ModelFileError(`${path} was closed before it was read`);
    let done = 0;
    while (done < target.length) {
      const length = Math.min(LARGEST_READ, target.length - done);
      let count: number;
      try {
        count = readSync(handle, target, done, length, offset + done);
      } catch (error) {
        throw new ModelFileError(
          `${path} cannot be read at byte ${offset + done}: ${describeSystemError(error)}`,
          {
            cause: error,
          },
        );
      }
      if (count === 0) {
        throw new ModelFileError(
          `${path} ends at byte ${offset + done}, expected ${target.length - done} more`,
        );
      }
      done += count;
    }
  };
  return {
    path,
    size,
    readInto,
    read: (offset, length) => {
      const bytes = new Uint8Array(length);
      readInto(bytes, offset);
      return bytes;
    },
    close: () => {
      if (open) closeSync(handle);
      open = false;
    },
  };
}
