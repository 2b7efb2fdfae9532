/** Lists of candidate names in a question, as CLS-RL (arXiv:2503.16188) draws them. Pure functions. */
import type { Rng } from "../lib/rng.ts";

/** floor(share * classes), but all classes where that is under 30, and never more than 100. */
export function choiceListSize(classes: number, share: number): number {
  // 0.4 * 1000 and the like are exact; a share such as 0.7 must not lose one to rounding
  const wanted = Math.floor(share * classes + 1e-9);
  return wanted < 30 ? classes : Math.min(100, wanted);
}

/**
 * Shuffles the classes, takes `count`, puts the label in the place of the last when it is missing, and shuffles
 * again, so that the label stands anywhere.
 * @throws RangeError when the label is no class, or count is not within 1..classes
 */
export function drawChoices(label: string, classes: readonly string[], count: number, rng: Rng): string[] {
  if (!classes.includes(label)) throw new RangeError(`${JSON.stringify(label)} is not one of the classes`);
  if (!Number.isInteger(count) || count < 1 || count > classes.length) {
    throw new RangeError(`a list of ${count} from ${classes.length} classes`);
  }
  const shuffle = (names: readonly string[], stream: Rng) =>
    stream.permutation(names.length).map((i) => names[i]!);
  const taken = shuffle(classes, rng.fork("take")).slice(0, count);
  if (!taken.includes(label)) taken[count - 1] = label;
  return shuffle(taken, rng.fork("order"));
}
