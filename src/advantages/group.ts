/** Group-relative advantages: numbers in, numbers out. */
import { RlptError } from "../lib/errors.ts";
import { type Baseline, baselines, type Scale, scales } from "./estimators.ts";
import type { AdvantageOptions } from "./options.ts";

/**
 * A_i = (r_i - baseline) / (scale + epsilon).
 * GRPO, arXiv:2402.03300 eq. 3 (group_mean, group_std); Dr. GRPO, arXiv:2503.20783 (scale none);
 * RLOO, arXiv:2402.14740 eq. 8 (leave_one_out); batch_std as in REINFORCE++, arXiv:2501.03262; OPO, arXiv:2505.23585 eq. 5
 * (length_weighted); MaxRL, arXiv:2602.02710 eq. 10 (scale group_mean).
 * @param rewards one list per prompt, [P][G], finite, any unit
 * @param lengths tokens of each completion, [P][G]; only length_weighted asks for them
 * @returns [P][G], same order; all zeros in a group of equal rewards (baseline none excepted)
 * @throws RlptError when scale is group_mean and a reward below 0
 * @throws RangeError when a reward is not finite, or a baseline needs a group of 2 and has 1
 */
export function groupAdvantages(
  rewards: readonly (readonly number[])[],
  options: AdvantageOptions,
  lengths?: readonly (readonly number[])[],
): number[][] {
  const ddof = options.std === "sample" ? 1 : 0;
  const baseline: Baseline = baselines[options.baseline];
  const scaling: Scale = scales[options.scale];
  for (const [p, group] of rewards.entries()) {
    for (const reward of group) {
      if (!Number.isFinite(reward)) throw new RangeError(`reward ${reward} in group ${p} is not finite`);
      if (options.scale === "group_mean" && reward < 0) {
        throw new RlptError(
          `advantage.scale group_mean divides by a group's mean reward, and a completion has ${reward}: below 0 the mean would turn every sign. ` +
            "Use rewards of 0 or more, such as exact, or another scale.",
        );
      }
    }
    if (group.length < 2 && baseline.of !== null) {
      throw new RangeError(`group ${p} has ${group.length} completion; ${options.baseline} needs 2 or more`);
    }
  }
  if (options.baseline === "length_weighted" && lengths === undefined) {
    throw new RangeError("length_weighted needs the tokens of each completion");
  }
  return rewards.map((group, p) => {
    const equal = group.every((reward) => reward === group[0]);
    const scale = scaling.of === null ? 1 : scaling.of(group, rewards, ddof) + options.epsilon;
    return group.map((reward, i) => {
      if (baseline.of === null) return scale === 0 ? 0 : reward / scale;
      // exactly 0, not the rounding error of a mean
      return equal ? 0 : (reward - baseline.of(group, i, lengths?.[p] ?? [])) / scale;
    });
  });
}
