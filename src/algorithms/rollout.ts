/** What algorithms that sample share: prompts to scored groups, and what of them is written down. */
import type { PromptOrder } from "../data/order.ts";
import { mean } from "../lib/math.ts";
import { createRng } from "../lib/rng.ts";
import type { Shapeable } from "../rewards/shaping.ts";
import type { ShapingSpec } from "../rewards/shaping-options.ts";
import { thinks } from "../rewards/thinking.ts";
import { encodePrompt, promptText } from "../rollouts/encode.ts";
import { generate } from "../rollouts/generate.ts";
import type { RolloutOptions } from "../rollouts/options.ts";
import { sampleRecord } from "../run/samples.ts";
import type { Group, Prompt, ScoredCompletion } from "../types.ts";
import type { Stage } from "./stage.ts";

export interface RolloutStage extends Stage {
  rollout: RolloutOptions;
  /** Longest prompt, tokens. */
  maxPromptTokens: number;
  /** Prompts of a step whose completions go to samples.jsonl; 0 writes none. */
  samplesPrompts: number;
  samplesEvery: number;
  partNames: readonly string[];
  shaping: readonly ShapingSpec[];
}

export async function sampleGroups(
  stage: RolloutStage,
  prompts: readonly Prompt[],
  step: number,
): Promise<Group[]> {
  const { rollout, tokenizer, policy } = stage;
  const encoded = prompts.map((prompt) => ({
    prompt,
    tokens: encodePrompt(tokenizer, prompt, stage.maxPromptTokens),
  }));
  return generate(
    policy,
    tokenizer,
    encoded,
    {
      temperature: rollout.temperature,
      top_p: rollout.top_p,
      top_k: rollout.top_k,
      min_p: rollout.min_p,
      stop: rollout.stop,
      groupSize: rollout.group_size,
      maxNewTokens: rollout.max_new_tokens,
      batchRows: rollout.batch_rows ?? prompts.length * rollout.group_size,
    },
    createRng(stage.seed).fork(stage.name, "rollout", step),
  );
}

export async function scoreGroups(
  stage: RolloutStage,
  groups: readonly Group[],
): Promise<ScoredCompletion[][]> {
  const inputs = groups.flatMap(({ prompt, completions }) => {
    const text = promptText(stage.tokenizer, prompt);
    return completions.map((completion) => ({
      completion: completion.text,
      finishReason: completion.finishReason,
      tokens: completion.tokens.length,
      promptText: text,
      answer: prompt.answer,
      fields: prompt.fields,
    }));
  });
  const scores = await stage.score(inputs);
  let next = 0;
  return groups.map(({ completions }) =>
    completions.map((completion) => ({ ...completion, ...scores[next++]! })),
  );
}

export function shapeable(
  { tokenizer }: RolloutStage,
  scored: readonly ScoredCompletion[][],
  prompts: readonly Prompt[],
): Shapeable[][] {
  return scored.map((group, p) => {
    const text = promptText(tokenizer, prompts[p]!);
    return group.map(({ reward, correct, tokens, text: completion }) => ({
      reward,
      correct,
      tokens: tokens.length,
      thinks: thinks(text, completion),
    }));
  });
}

export function isScored({ status }: ScoredCompletion): boolean {
  return status === "ok" || status === "unparsed";
}

export function tokenMean(
  scored: readonly ScoredCompletion[][],
  values: (completion: ScoredCompletion) => Float32Array,
): number {
  let sum = 0;
  let count = 0;
  for (const completion of scored.flat()) {
    for (const value of values(completion)) sum += value;
    count += completion.tokens.length;
  }
  return sum / count;
}

export function writeSamples(
  stage: RolloutStage,
  step: number,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  advantages: readonly number[][],
): void {
  if (stage.samplesEvery === 0 || step % stage.samplesEvery !== 0) return;
  const shown = groups.slice(0, stage.samplesPrompts);
  stage.logs.samples(
    shown.flatMap(({ prompt }, p) =>
      scored[p]!.map((completion, g) =>
        sampleRecord(stage.offset + step + 1, stage.name, prompt, completion, advantages[p]![g]!),
      ),
    ),
  );
}

export function writePrompts(
  stage: RolloutStage,
  step: number,
  order: PromptOrder,
  position: number,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
): void {
  stage.logs.prompts(
    groups.map(({ prompt }, p) => {
      const group = scored[p]!;
      const share = (test: (completion: ScoredCompletion) => boolean) =>
        group.filter(test).length / group.length;
      return {
        step: stage.offset + step + 1,
        stage: stage.name,
        epoch: order.epoch(position + p),
        prompt_id: prompt.id,
        completions: group.length,
        reward_mean: mean(group.map(({ reward }) => reward)),
        accuracy: share(({ correct }) => correct),
        unparsed: share(({ status }) => status === "unparsed"),
      };
    }),
  );
}
