/** Truncated importance sampling between the engine that samples and the one that learns: numbers in, numbers out. */

/**
 * min(exp(learner - sampler), max) of each token: what the policy's loss is multiplied by where the two score the same tokens with
 * the same weights and yet differ. The ratio of the loss is then taken to the learner's logprobs.
 * F. Yao et al., "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training" (2025); verl's rollout correction
 * with token weights, TRL's vllm_importance_sampling_mode: token_truncate.
 * @param sampler logprobs as sampled, nats. [T]
 * @param learner of the same tokens and weights, computed again. [T]
 */
export function truncatedWeights(
  sampler: ArrayLike<number>,
  learner: ArrayLike<number>,
  { max }: { max: number },
): Float64Array {
  return Float64Array.from(sampler, (logprob, t) => Math.min(Math.exp(learner[t]! - logprob), max));
}
