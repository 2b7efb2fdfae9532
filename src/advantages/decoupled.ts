/** Advantages of several rewards: numbers in, numbers out. */
import { mean, standardDeviation } from "../lib/math.ts";
import { groupAdvantages } from "./group.ts";
import type { AdvantageOptions } from "./options.ts";

/**
 * GDPO (arXiv:2601.05242 eq. 4 to 6), as TRL's multi_objective_aggregation: normalize_then_sum: each reward part is compared
 * within its group by itself, so that a large part does not hide a small one, and the weighted sum is brought to mean 0 and
 * standard deviation 1 over the batch:
 *   S_i = sum_k w_k (r_ik - mean_k) / (std_k + epsilon),   A_i = (S_i - mean S) / (std S + epsilon).
 * @param parts values of each part and completion, [K][P][G], finite
 * @param weights of the parts, [K]
 * @returns [P][G]; all zeros when the sums are equal
 * @throws RangeError as groupAdvantages
 */
export function decoupledAdvantages(
  parts: readonly (readonly (readonly number[])[])[],
  weights: readonly number[],
  options: AdvantageOptions,
): number[][] {
  const each = parts.map((rewards) => groupAdvantages(rewards, { ...options, parts: "sum" }));
  const groups = each[0] ?? [];
  const sums = groups.map((group, p) =>
    group.map((_, i) => each.reduce((sum, part, k) => sum + weights[k]! * part[p]![i]!, 0)),
  );
  const all = sums.flat();
  const centre = mean(all);
  const scale = standardDeviation(all, options.std === "sample" ? 1 : 0) + options.epsilon;
  const equal = all.every((value) => value === all[0]);
  return sums.map((group) => group.map((sum) => (equal ? 0 : (sum - centre) / scale)));
}
