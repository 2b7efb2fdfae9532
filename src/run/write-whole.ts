import { describeSystemError, RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";

/** Writes a file of the run in one move. @throws RlptError with the path and the reason */
export function writeWhole(path: string, text: string): void {
  try {
    writeFileAtomic(path, text);
  } catch (error) {
    throw new RlptError(`${path}: cannot write it: ${describeSystemError(error)}.`, { cause: error });
  }
}
