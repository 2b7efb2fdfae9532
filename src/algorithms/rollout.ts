/** What algorithms that sample share: prompts to scored groups, and what of them is written down. */
import * as tf from "@tensorflow/tfjs";
import { mean } from "../lib/math.ts";
import { createRng } from "../lib/rng.ts";
import { isSampled, sampledCount, sampledIds } from "../lib/sampled.ts";
import { klEstimateNumber } from "../losses/kl.ts";
import type { KlOptions } from "../losses/options.ts";
import { picturesOf } from "../pictures/shown.ts";
import type { TokenBatch, TrainablePolicy } from "../policy/interfaces.ts";
import type { Shapeable } from "../rewards/shaping/kind.ts";
import { encodePrompt, promptText } from "../rollouts/encode.ts";
import { type EpisodeOptions, playEpisodes } from "../rollouts/episodes.ts";
import { type GenerateOptions, generate } from "../rollouts/generate.ts";
import { decisionToken, forcedModes } from "../rollouts/modes.ts";
import { sampleRecord } from "../run/samples.ts";
import type {
  Episode,
  Group,
  Prompt,
  PromptPictures,
  RewardInput,
  ScoredCompletion,
  Tokenizer,
} from "../types.ts";
import type { Stage } from "./stage.ts";
import { padRows } from "./token-batch.ts";

/**
 * A group of completions for each prompt.
 * @param purpose the step, or what else the draws are for: they are a function of it, the prompt and the sample alone
 */
export async function sampleGroups(
  { tokenizer, policy, settings, episodes }: Sampling,
  prompts: readonly Prompt[],
  ...purpose: (string | number)[]
): Promise<Group[]> {
  const { rollout, maxPromptTokens, seed, name } = settings;
  const encoded = prompts.map((prompt) => ({
    prompt,
    ...encodePrompt(tokenizer, prompt, maxPromptTokens),
  }));
  const options: GenerateOptions = {
    temperature: rollout.temperature,
    top_p: rollout.top_p,
    top_k: rollout.top_k,
    min_p: rollout.min_p,
    stop: rollout.stop,
    groupSize: rollout.group_size,
    maxNewTokens: rollout.max_new_tokens,
    batchRows: rollout.batch_rows ?? prompts.length * rollout.group_size,
    ...(rollout.mode_samples === undefined
      ? {}
      : {
          modes: forcedModes(
            tokenizer,
            rollout.mode_samples,
            prompts.map((prompt) => ({ id: prompt.id, text: promptText(tokenizer, prompt) })),
          ),
        }),
  };
  const stream = createRng(seed).fork(name, "rollout", ...purpose);
  if (episodes == null) return generate(policy, tokenizer, encoded, options, stream);
  const positions = maxPromptTokens + rollout.max_new_tokens;
  return playEpisodes(policy, tokenizer, encoded, options, { ...episodes, positions }, stream);
}

/** What sampling needs of a stage. */
export interface Sampling {
  policy: Stage["policy"];
  tokenizer: Tokenizer;
  settings: Pick<Stage["settings"], "rollout" | "maxPromptTokens" | "seed" | "name">;
  /** Where completions are episodes. */
  episodes?: EpisodeOptions | null;
}

/** Index of the decision token of each completion, null where there is none. [P][G] */
export function decisionTokens({ tokenizer }: Stage, groups: readonly Group[]): (number | null)[][] {
  return groups.map(({ prompt, completions }) => {
    const before = promptText(tokenizer, prompt);
    return completions.map(({ tokens, text }) => decisionToken(tokenizer, before, tokens, text));
  });
}

/** What rewards are given of every completion, group by group. */
export function rewardInputs(tokenizer: Tokenizer, groups: readonly Group[]): RewardInput[] {
  return groups.flatMap(({ prompt, completions }) => {
    const text = promptText(tokenizer, prompt);
    const reference = idsOf(tokenizer, prompt.target ?? prompt.answer);
    return completions.map((completion) => ({
      ids: {
        completion:
          completion.finishReason === "eos" ? sampledIds(completion).subarray(0, -1) : sampledIds(completion),
        reference,
      },
      completion: completion.episode?.turns.map(({ text }) => text).join("\n") ?? completion.text,
      ...(completion.episode === undefined ? {} : { episode: transcript(completion.episode) }),
      finishReason: completion.finishReason,
      tokens: sampledCount(completion),
      promptText: text,
      answer: prompt.answer,
      fields: prompt.fields,
    }));
  });
}

/** Without the mask, which is of ids that rewards do not see. */
function transcript({ sampled: _, ...rest }: Episode): NonNullable<RewardInput["episode"]> {
  return rest;
}

/** A gold answer need not be made of the model's tokens. */
function idsOf(tokenizer: Tokenizer, text: string): number[] | null {
  try {
    return tokenizer.encode(text, { addSpecialTokens: false });
  } catch {
    return null;
  }
}

export async function scoreGroups(stage: Stage, groups: readonly Group[]): Promise<ScoredCompletion[][]> {
  const scores = await stage.score(rewardInputs(stage.tokenizer, groups));
  return regroup(scores, groups).map((group, p) =>
    group.map((score, g) => ({ ...groups[p]!.completions[g]!, ...score })),
  );
}

export function shapeable(scored: readonly ScoredCompletion[][]): Shapeable[][] {
  return scored.map((group) =>
    group.map((one) => {
      const { reward, correct, thinks, text } = one;
      return { reward, correct, tokens: sampledCount(one), thinks, text };
    }),
  );
}

/**
 * Logprobs of the sampled tokens under the frozen reference policy. [P][G][T]
 * @param microBatchRows rows per forward pass; all at once when absent
 */
export function referenceLogprobs(
  { policy, settings: { rollout } }: Stage,
  groups: readonly Group[],
  microBatchRows: number | undefined,
): Promise<Float32Array[][]> {
  return scorePerToken(policy, groups, microBatchRows, (batch) => {
    return policy.score(batch, { temperature: rollout.temperature, reference: true }).logprobs;
  });
}

/** Logprobs under the policy itself, as its updates compute them. [P][G][T] */
export function policyLogprobs(
  { policy, settings: { rollout } }: Stage,
  groups: readonly Group[],
  microBatchRows: number | undefined,
): Promise<Float32Array[][]> {
  return scorePerToken(policy, groups, microBatchRows, (batch) => {
    return policy.score(batch, { temperature: rollout.temperature }).logprobs;
  });
}

/** Steps between two measurements of what rounding of products does to logprobs. */
const GAP_EVERY = 20;

/**
 * Mean and largest |logprob as sampled - logprob with float32 products| over the first rows of the rollout, nats;
 * null where products are not rounded, and in steps between.
 * @param microBatchRows rows measured; those of one prompt when absent
 */
export async function precisionGap(
  { policy, settings: { rollout } }: Stage,
  groups: readonly Group[],
  step: number,
  microBatchRows: number | undefined,
): Promise<{ mean: number; largest: number } | null> {
  if (policy.precision === "f32" || step % GAP_EVERY !== 0) return null;
  const rows = microBatchRows ?? rollout.group_size;
  const some = groups.slice(0, Math.max(1, Math.floor(rows / rollout.group_size)));
  const exact = await scorePerToken(policy, some, rows, (batch) => {
    return policy.score(batch, { temperature: rollout.temperature, exact: true }).logprobs;
  });
  const gaps = some.flatMap(({ completions }, p) =>
    completions.flatMap((one, g) =>
      [...one.logprobs].flatMap((x, t) => (isSampled(one, t) ? [Math.abs(x - exact[p]![g]![t]!)] : [])),
    ),
  );
  return { mean: mean(gaps), largest: Math.max(...gaps) };
}

/** A prompt and texts after it, as far as scoring looks at them. */
export interface Scored {
  promptTokens: Int32Array; // [S]
  pictures: PromptPictures | null;
  completions: readonly { tokens: Int32Array }[]; // [G]
}

/**
 * One number for each sampled token of a rollout, without gradients. [P][G][T]
 * @param of gives them for the scored tokens of a batch, [K]; runs inside tidy
 */
export async function scorePerToken(
  policy: TrainablePolicy,
  groups: readonly Scored[],
  microBatchRows: number | undefined,
  of: (batch: TokenBatch) => tf.Tensor1D,
): Promise<Float32Array[][]> {
  policy.look(groups.map(({ pictures }) => pictures));
  const rows = groups.flatMap(({ promptTokens, pictures, completions }) =>
    completions.map(({ tokens }) => ({ prompt: promptTokens, pictures, completion: tokens })),
  );
  const size = microBatchRows ?? rows.length;
  const flat: Float32Array[] = [];
  for (let start = 0; start < rows.length; start += size) {
    const { batch, starts, slots } = padRows(rows.slice(start, start + size), policy.fewShapes, size);
    const tensor = tf.tidy(() => of(batch)); // [K]
    const numbers = await tensor.data<"float32">();
    tensor.dispose();
    for (const [i, slot] of slots.entries()) {
      flat.push(numbers.slice(slot, slot + starts[i + 1]! - starts[i]!));
    }
  }
  return regroup(flat, groups);
}

/** A list of one entry per completion, in order, as [P][G]. */
export function regroup<T>(
  flat: readonly T[],
  groups: readonly { completions: readonly unknown[] }[],
): T[][] {
  let next = 0;
  return groups.map(({ completions }) => completions.map(() => flat[next++]!));
}

/** KL estimates of one completion's tokens under the sampling policy, nats; 0 of an environment's. [T] */
export function tokenKls(
  completion: ScoredCompletion,
  reference: Float32Array,
  estimator: KlOptions["estimator"],
): number[] {
  return Array.from(completion.logprobs, (logprob, t) =>
    isSampled(completion, t) ? klEstimateNumber(logprob, reference[t]!, estimator) : 0,
  );
}

export function isScored({ status }: ScoredCompletion): boolean {
  return status === "ok" || status === "unparsed";
}

export function writeSamples(
  { settings, services }: Stage,
  step: number,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  advantages: readonly number[][],
): void {
  const { samplesEvery, samplesPrompts, offset, name, steps } = settings;
  if (samplesEvery === 0 || step % samplesEvery !== 0) return;
  const shown = groups.slice(0, samplesPrompts);
  const pictures = shown.flatMap(({ prompt }) => picturesOf(prompt));
  services.logs.pictures(offset + step + 1, pictures, (step + 1) / steps, offset);
  services.logs.samples(
    shown.flatMap(({ prompt }, p) =>
      scored[p]!.map((completion, g) =>
        sampleRecord(offset + step + 1, name, prompt, completion, advantages[p]![g]!),
      ),
    ),
  );
}
