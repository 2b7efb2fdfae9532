/** From the sizes that a probe runs to the config's: which sizes, and how time and memory grow with them. Pure. */
import type { DecoderConfig, LayerConfig } from "../policy/interfaces.ts";
import { chunkOf } from "../policy/masks.ts";
import type { PassShape } from "./meter.ts";

/** Steps of more work than this, in floating-point operations, are probed at smaller sizes: some 20 s of one core. */
export const LONG_STEP = 6e11;
const SHORTEST = 16;

export interface ProbeSizes {
  /** Prompts of a step (rows, in supervised training): the config's own, or two smaller numbers. */
  rows: number[];
  /** Token limit of its completions. */
  maxNewTokens: number;
}

/**
 * @param rows prompts of a step, or rows of supervised training
 * @param tokensPerRow at most; completions of a prompt together
 * @param maxNewTokens of a completion; null where nothing is sampled, so that rows cannot be made shorter
 * @param longStep operations of a step that is probed as it is
 */
export function probeSizes(
  parameters: number,
  rows: number,
  tokensPerRow: number,
  maxNewTokens: number | null,
  longStep = LONG_STEP,
): ProbeSizes {
  // 6 N a token forward and backward, 2 N to sample it
  const work = (r: number) => 8 * parameters * tokensPerRow * r;
  const limit = maxNewTokens ?? 0;
  if (work(rows) <= longStep) return { rows: [rows], maxNewTokens: limit };
  const larger = Math.min(rows, Math.max(2, Math.floor(longStep / work(1))));
  const share = Math.min(1, longStep / work(larger));
  const shorter = Math.min(limit, Math.max(SHORTEST, Math.floor(limit * share)));
  return { rows: larger < 2 ? [larger] : [Math.floor(larger / 2), larger], maxNewTokens: shorter };
}

/**
 * Seconds at `rows` from seconds at one or two smaller numbers: a part that every step has and one that grows.
 * @param stretch how many times longer the growing part is because completions are
 */
export function secondsAt(
  seen: readonly { rows: number; seconds: number }[],
  rows: number,
  stretch: number,
): number {
  const large = seen.at(-1)!;
  const small = seen[0]!;
  if (large.rows === small.rows) return (large.seconds * rows * stretch) / large.rows;
  const slope = Math.max(0, (large.seconds - small.seconds) / (large.rows - small.rows));
  const fixed = Math.max(0, large.seconds - slope * large.rows);
  return fixed + slope * rows * stretch;
}

/** Relative size of what a training pass keeps for its backward pass: linear in tokens, attention quadratic. */
export function passWeight(config: DecoderConfig, { rows, length, shared }: PassShape): number {
  const pairs = shared
    ? shared.promptLength ** 2 +
      shared.completions * shared.completionLength * (shared.promptLength + shared.completionLength)
    : length ** 2;
  const ofLayer = ({ mixer, mlp }: LayerConfig): number => {
    const wide = (mlp.kind === "plain" ? 2 : 3) * mlp.down.inputs;
    if (mixer.kind === "short-conv") {
      return length * ((11 + mixer.conv.kernel) * config.hiddenSize + wide);
    }
    if (mixer.kind === "delta-net") {
      const { conv, valueHeads, keyDim, valueDim } = mixer;
      const chunk = chunkOf(length);
      const ofHead = 6 * (keyDim + valueDim) + 7 * chunk + (2 * keyDim * valueDim) / chunk;
      const perToken = 8 * config.hiddenSize + wide + (4 + 2 * conv.kernel) * conv.channels;
      return length * (perToken + valueHeads * ofHead);
    }
    const { heads, keyValueHeads, headDim } = mixer;
    const perToken = 8 * config.hiddenSize + wide + (2 * heads + 4 * keyValueHeads) * headDim;
    return length * perToken + 2 * heads * pairs;
  };
  return rows * config.layers.reduce((sum, layer) => sum + ofLayer(layer), 0);
}

/**
 * Groups of a step that carry a gradient, in the step of `steps` that has most: groups without a difference in
 * reward are left out of updates, and what is left varies from step to step.
 * @param share of groups that were live
 * @returns the smallest n with P(live <= n) >= 1 - 1/steps, draws being independent
 */
export function mostLiveGroups(groups: number, share: number, steps: number): number {
  if (share <= 0) return 0;
  if (share >= 1) return groups;
  let probability = (1 - share) ** groups;
  let below = probability;
  let n = 0;
  while (n < groups && below < 1 - 1 / Math.max(2, steps)) {
    n++;
    probability *= ((groups - n + 1) / n) * (share / (1 - share));
    below += probability;
  }
  return n;
}
