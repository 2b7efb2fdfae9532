/** Sampling one token from logits, on the host. */
import { DivergedError } from "../lib/errors.ts";
import type { Tokenizer } from "../types.ts";

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

type DrawnFrom = Pick<Tokenizer, "size" | "eosIds"> & Partial<Pick<Tokenizer, "gaps" | "pictures">>;

/**
 * Ids that an embedding has rows for and the tokenizer no tokens, as vocabularies that were padded have: drawn, they
 * would vanish from the text; and the image token. End tokens are none of them.
 * @returns 1 for each such id, [V]; null where there are none
 */
export function undrawnIds(
  { size, gaps = [], eosIds, pictures }: DrawnFrom,
  vocabSize: number,
): Uint8Array | null {
  const mask = new Uint8Array(vocabSize).fill(1, Math.min(size, vocabSize));
  for (const id of gaps) if (id < vocabSize) mask[id] = 1;
  // an image token stands for what only a picture has
  if (pictures !== undefined) mask[pictures.imageTokenId] = 1;
  for (const id of eosIds) if (id < vocabSize) mask[id] = 0;
  return mask.includes(1) ? mask : null;
}

/**
 * Truncation follows temperature, in the order top_k, top_p, min_p (as in transformers); the draw is by
 * inverse CDF, in id order.
 * @param logits row-major [rows, V]; only [offset, offset + size) is read
 * @param u uniform in [0, 1)
 * @param constraint changes what is drawn, not what is reported: logprob and entropy stay the policy's own
 * @param undrawn 1 for ids that are left out before anything is drawn or truncated, [size]; reported is the same
 * @throws DivergedError when a logit is NaN, or none is finite
 */
export function sampleToken(
  logits: Float32Array,
  offset: number,
  size: number,
  options: SamplingOptions,
  u: number,
  constraint?: TokenConstraint,
  undrawn: Uint8Array | null = null,
): SampledToken {
  const banned = constraint !== undefined && "ban" in constraint ? constraint.ban : -1;
  let max = -Infinity;
  for (let i = 0; i < size; i++) if (logits[offset + i]! > max) max = logits[offset + i]!;
  if (!Number.isFinite(max)) throw new DivergedError();
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
  if (Number.isNaN(total)) throw new DivergedError();
  if (constraint !== undefined && "force" in constraint) {
    return { token: constraint.force, logprob: logprob(constraint.force), entropy };
  }
  const reported = (token: number): SampledToken => ({ token, logprob: logprob(token), entropy });
  if (undrawn === null) {
    return reported(drawToken(logits, offset, size, options, u, banned, max, total));
  }
  const known = logits.slice(offset, offset + size);
  for (let i = 0; i < size; i++) if (undrawn[i] === 1) known[i] = -Infinity;
  const knownMax = known.reduce((largest, value) => Math.max(largest, value), -Infinity);
  let knownTotal = 0;
  for (const value of known) knownTotal += Math.exp((value - knownMax) * inverse);
  return reported(drawToken(known, 0, size, options, u, banned, knownMax, knownTotal));
}

/** @param total of exp((logit - max) / temperature) over all ids @returns the id that is drawn */
function drawToken(
  logits: Float32Array,
  offset: number,
  size: number,
  options: SamplingOptions,
  u: number,
  banned: number,
  max: number,
  total: number,
): number {
  let best = banned === 0 ? 1 : 0; // likeliest that may be drawn
  for (let i = 0; i < size; i++) if (logits[offset + i]! > logits[offset + best]! && i !== banned) best = i;
  if (options.temperature === 0) return best;
  const inverse = 1 / options.temperature;

  const truncated = options.top_k > 0 || options.top_p < 1 || options.min_p > 0;
  if (!truncated) {
    const without = banned < 0 ? 0 : Math.exp((logits[offset + banned]! - max) * inverse);
    let left = u * Math.max(0, total - without);
    for (let i = 0; i < size; i++) {
      if (i === banned) continue;
      left -= Math.exp((logits[offset + i]! - max) * inverse);
      if (left < 0) return i;
    }
    return best; // rounding left a crumb at the end
  }

  const kept = truncate(logits, offset, size, inverse, max, total, options)
    .filter(({ token }) => token !== banned)
    .sort((a, b) => a.token - b.token);
  const mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  let left = u * mass;
  for (const { token, weight } of kept) {
    left -= weight;
    if (left < 0) return token;
  }
  return best;
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
