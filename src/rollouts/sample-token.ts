/** Sampling one token from logits, on the host. */
import { RlptError } from "../lib/errors.ts";

export interface SamplingOptions {
  /** Logits are divided by it; 0 is greedy. */
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
}

/** What a token must be, or must not be, whatever the policy would have drawn. */
export type TokenConstraint = { force: number } | { ban: number };

export interface SampledToken {
  token: number;
  /** Log-probability under softmax(logits / temperature) over all V, before any truncation; nats. Greedy: temperature 1. */
  logprob: number;
  /** Entropy of that same distribution, nats. */
  entropy: number;
}

/**
 * Truncation follows temperature, in the order top_k, top_p, min_p (as in transformers); the draw is by
 * inverse CDF, in id order.
 * @param logits row-major [rows, V]; only [offset, offset + size) is read
 * @param u uniform in [0, 1)
 * @param constraint changes what is drawn, not what is reported: logprob and entropy stay the policy's own
 * @throws RangeError when the row holds no finite logit
 */
export function sampleToken(
  logits: Float32Array,
  offset: number,
  size: number,
  options: SamplingOptions,
  u: number,
  constraint?: TokenConstraint,
): SampledToken {
  const banned = constraint !== undefined && "ban" in constraint ? constraint.ban : -1;
  let best = banned === 0 ? 1 : 0; // likeliest that may be drawn
  let max = -Infinity;
  for (let i = 0; i < size; i++) {
    const value = logits[offset + i]!;
    if (value > max) max = value;
    if (value > logits[offset + best]! && i !== banned) best = i;
  }
  if (!Number.isFinite(max))
    throw new RlptError(
      "the policy has diverged: its logits are NaN or infinite. Lower optimizer.lr and start from a checkpoint before; " +
        "if nothing was trained yet, the model file is broken.",
    );
  const greedy = options.temperature === 0;
  const inverse = greedy ? 1 : 1 / options.temperature;
  let total = 0;
  let moment = 0;
  for (let i = 0; i < size; i++) {
    const z = (logits[offset + i]! - max) * inverse;
    const weight = Math.exp(z);
    total += weight;
    if (weight > 0) moment += weight * z; // 0 * -Infinity is NaN
  }
  const logTotal = Math.log(total);
  const entropy = Math.max(0, logTotal - moment / total);
  const logprob = (token: number) => (logits[offset + token]! - max) * inverse - logTotal;
  if (Number.isNaN(total)) throw new RangeError("logits hold NaN: the policy has diverged");
  if (constraint !== undefined && "force" in constraint) {
    return { token: constraint.force, logprob: logprob(constraint.force), entropy };
  }
  if (greedy) return { token: best, logprob: logprob(best), entropy };

  const truncated = options.top_k > 0 || options.top_p < 1 || options.min_p > 0;
  if (!truncated) {
    const without = banned < 0 ? 0 : Math.exp((logits[offset + banned]! - max) * inverse);
    let left = u * Math.max(0, total - without);
    for (let i = 0; i < size; i++) {
      if (i === banned) continue;
      left -= Math.exp((logits[offset + i]! - max) * inverse);
      if (left < 0) return { token: i, logprob: logprob(i), entropy };
    }
    return { token: best, logprob: logprob(best), entropy }; // rounding left a crumb at the end
  }

  const kept = truncate(logits, offset, size, inverse, max, total, options)
    .filter(({ token }) => token !== banned)
    .sort((a, b) => a.token - b.token);
  const mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  let left = u * mass;
  for (const { token, weight } of kept) {
    left -= weight;
    if (left < 0) return { token, logprob: logprob(token), entropy };
  }
  return { token: best, logprob: logprob(best), entropy };
}

/** Tokens that survive top_k, top_p and min_p, likeliest first, ties by id; weights are unnormalised. */
function truncate(
  logits: Float32Array,
  offset: number,
  size: number,
  inverse: number,
  max: number,
  total: number,
  { top_k, top_p, min_p }: SamplingOptions,
): { token: number; weight: number }[] {
  let kept = Array.from({ length: size }, (_, token) => ({
    token,
    weight: Math.exp((logits[offset + token]! - max) * inverse),
  })).sort((a, b) => b.weight - a.weight || a.token - b.token);
  let mass = total;
  if (top_k > 0 && top_k < size) {
    kept = kept.slice(0, top_k);
    mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  }
  if (top_p < 1) {
    let cumulative = 0;
    // the token that crosses top_p is kept
    const end = kept.findIndex(({ weight }) => {
      cumulative += weight;
      return cumulative >= top_p * mass;
    });
    if (end >= 0) kept = kept.slice(0, end + 1);
  }
  if (min_p > 0) {
    const floor = min_p * kept[0]!.weight;
    kept = kept.filter(({ weight }) => weight >= floor);
  }
  return kept;
}
