/** Rows of one prompt and several completions (`SharedPrompts`). */
import type { SharedPrompts } from "./interfaces.ts";

/**
 * Flat indices before each token of every completion and one after it: the prompt's last token, then the completion's.
 * @returns [P * G * (T + 1)]
 */
export function scoredBehindPrompts(rows: number, shared: SharedPrompts): Int32Array {
  const { promptLength, completions, completionLength } = shared;
  const length = promptLength + completions * completionLength;
  const at = new Int32Array(rows * completions * (completionLength + 1));
  let next = 0;
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < completions; c++) {
      at[next++] = row * length + promptLength - 1;
      const begin = row * length + promptLength + c * completionLength;
      for (let t = 0; t < completionLength; t++) at[next++] = begin + t;
    }
  }
  return at;
}
