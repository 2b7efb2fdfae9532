/** How much a case computes, and what a card could: for shares of its peak. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cardRates, gpuTargets } from "../../src/backend/xla/pjrt/targets.ts";
import { expectedWeights } from "../../src/policy/decoder-weights.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import type { PeerPrecision, PeerTask } from "./tasks.ts";

export interface StepWork {
  /** Tokens that are sampled. */
  newTokens: number;
  /** Tokens of all rows, prompts of a group counted for each of its rows. */
  rowTokens: number;
  /** Of an update's matrix products: two a weight and token forward, as many for each gradient that is needed. */
  updateFlops: number;
}

/**
 * Operations that the update of a step needs, recomputation not counted: a prompt that completions share passes through
 * the layers once, and the output matrix meets completion tokens alone. LoRA needs no gradients of frozen weights.
 */
export function stepWork(
  task: Pick<PeerTask, "directory" | "prompts" | "groupSize" | "promptTokens" | "newTokens" | "lora">,
): StepWork {
  const { directory, prompts, groupSize, promptTokens, newTokens, lora } = task;
  const json = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as Record<string, unknown>;
  const config = parseModelConfig(json, directory);
  const rows = prompts * groupSize;
  let inLayers = 0;
  for (const [name, { shape }] of expectedWeights(config)) {
    if (shape.length === 2 && name.startsWith(config.layerPrefix)) inLayers += shape[0]! * shape[1]!;
  }
  const completion = rows * newTokens;
  const forward =
    2 *
    (inLayers * (prompts * promptTokens + completion) + config.hiddenSize * config.vocabSize * completion);
  // queries against keys and weights against values, half of the square of a row
  const width = config.layers.reduce(
    (sum, { mixer }) => sum + (mixer.kind === "attention" ? mixer.heads * mixer.headDim : 0),
    0,
  );
  const seen =
    rows * newTokens * (promptTokens + newTokens / 2) + (prompts * promptTokens * promptTokens) / 2;
  const attention = 4 * width * seen;
  return {
    newTokens: completion,
    rowTokens: rows * (promptTokens + newTokens),
    updateFlops: forward * (lora ? 2 : 3) + 3 * attention,
  };
}

/** Peak of a card that is known by its driver's name, operations a second; null of others. */
export function cardPeak(device: string, precision: PeerPrecision): number | null {
  const target = Object.values(gpuTargets).find(({ description }) => device === description);
  if (target === undefined) return null;
  const { flops, halfFlops } = cardRates(target);
  // tensor cores take TF32 at half the rate of bfloat16
  return precision === "f32" ? flops : precision === "tf32" ? halfFlops / 2 : halfFlops;
}
