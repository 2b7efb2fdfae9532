/** Tokens by the covariance of their logprob and advantage: numbers in, numbers out. */
import { mean } from "../lib/math.ts";
import type { SelectableTokens } from "./policy/kind.ts";

/**
 * (log pi - mean log pi)(A - mean A) of each token, means over all of them: what it adds to the covariance that the entropy
 * falls by. G. Cui et al., arXiv:2505.22617 eq. 10; logprobs are those of the policy that sampled, "on-policy rollout tokens".
 */
export function covariances({ advantages, logprobs }: SelectableTokens): Float64Array {
  const centreA = mean(Array.from(advantages));
  const centreLogprob = mean(Array.from(logprobs));
  return Float64Array.from(
    advantages,
    (advantage, i) => (advantage - centreA) * (logprobs[i]! - centreLogprob),
  );
}

/** A share of tokens, cut to a whole number, at least one. */
const countOf = (tokens: number, share: number) => Math.max(1, Math.floor(share * tokens));

/** 1 for the tokens of the largest covariance; of equal ones the first. */
export function largest(covariance: Float64Array, share: number): Uint8Array {
  return marked(
    covariance.length,
    [...covariance.keys()].sort((a, b) => covariance[b]! - covariance[a]! || a - b),
    share,
  );
}

/** 1 for tokens drawn among those whose covariance lies strictly between two bounds. @param draw uniform in [0, 1), of a token */
export function drawnBetween(
  covariance: Float64Array,
  { share, above, below }: { share: number; above: number; below: number },
  draw: (token: number) => number,
): Uint8Array {
  const found = [...covariance.keys()].filter((i) => covariance[i]! > above && covariance[i]! < below);
  const drawn = new Map(found.map((i) => [i, draw(i)]));
  return marked(
    covariance.length,
    found.sort((a, b) => drawn.get(a)! - drawn.get(b)! || a - b),
    share,
  );
}

function marked(tokens: number, order: readonly number[], share: number): Uint8Array {
  const marks = new Uint8Array(tokens);
  if (tokens === 0) return marks;
  for (const i of order.slice(0, countOf(tokens, share))) marks[i] = 1;
  return marks;
}
