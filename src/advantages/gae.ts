/** Advantages from a critic's values: numbers in, numbers out. */
import type { GaeOptions } from "./options.ts";

/**
 * Generalised advantage estimation of one completion, whose end is terminal (value 0 after it):
 *   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},   return_t = A_t + V_t.
 * J. Schulman et al., arXiv:1506.02438 eq. 16; returns are TD(lambda)'s, what the value loss aims at.
 * @param rewards of each token, [T]
 * @param values of the state before each token, [T]
 * @throws RangeError when lengths differ or a number is not finite
 */
export function generalizedAdvantages(
  rewards: ArrayLike<number>,
  values: ArrayLike<number>,
  { gamma, lambda }: GaeOptions,
): { advantages: Float64Array; returns: Float64Array } {
  if (rewards.length !== values.length) {
    throw new RangeError(`${rewards.length} rewards and ${values.length} values of one completion`);
  }
  const advantages = new Float64Array(rewards.length);
  const returns = new Float64Array(rewards.length);
  let next = 0;
  let nextValue = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const value = values[t]!;
    const delta = rewards[t]! + gamma * nextValue - value;
    if (!Number.isFinite(delta)) {
      throw new RangeError(`token ${t}: reward ${rewards[t]}, value ${value}: not finite`);
    }
    next = delta + gamma * lambda * next;
    advantages[t] = next;
    returns[t] = next + value;
    nextValue = value;
  }
  return { advantages, returns };
}
