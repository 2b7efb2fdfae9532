/** Whitening: one mean and one scale for all tokens of a rollout. */
import { mean, standardDeviation } from "../lib/math.ts";

/** Below this a batch counts as constant: PPO implementations bound the variance by 1e-8. */
const SMALLEST_STD = 1e-4;

/**
 * (A - mean) / max(std, 1e-4), mean and population standard deviation over all tokens of all completions.
 * @param lists one per completion, any lengths
 */
export function whiten(lists: readonly ArrayLike<number>[]): Float64Array[] {
  const all = lists.flatMap((list) => Array.from(list));
  const centre = mean(all);
  const scale = Math.max(standardDeviation(all, 0), SMALLEST_STD);
  return lists.map((list) => Float64Array.from(list, (value) => (value - centre) / scale));
}
