/** Before a run on WebAssembly: will its heap hold the largest update? From shapes; `rlpt plan` measures. */
import { rowsOfUpdate } from "../algorithms/declaration.ts";
import { algorithmOf } from "../algorithms/kinds.ts";
import type { RecipeStage } from "../config/load.ts";
import type { DecoderConfig, ModelFiles } from "../policy/interfaces.ts";
import { parseModelConfig } from "../policy/model-config.ts";
import { promptText } from "../rollouts/encode.ts";
import { openStageSource } from "../training/stage-data.ts";
import { WASM_HEAP } from "./estimate.ts";
import { passWeight } from "./scale.ts";

/** Bytes that a pass keeps for each unit of `passWeight`; measured: `rlpt plan quickstart --backend wasm` had 161 MiB at 16.4 million. */
const BYTES = 10;
/** Rows that are looked at for the longest prompt. */
const LOOKED_AT = 64;

/**
 * Bytes of the largest update when its completions reach their limit: weights with moments and gradients, what the pass
 * keeps, and logits with their gradient.
 * @param parameters of the model
 * @param prompt tokens of the longest
 */
export function updateBytes(
  { algorithm, rollout, model }: RecipeStage["recipe"],
  config: DecoderConfig,
  parameters: number,
  prompt: number,
): number {
  const { samples, batch, usesReference, critic } = algorithmOf(algorithm);
  const shape = batch(algorithm, rollout);
  const rows = Math.min(algorithm.micro_batch_rows ?? Number.POSITIVE_INFINITY, rowsOfUpdate(shape));
  const length = samples ? prompt + rollout.max_new_tokens : (shape.rowLength ?? prompt);
  const trained = model.lora === undefined ? parameters : 0;
  const copies = (usesReference(algorithm) && trained > 0 ? 1 : 0) + (critic ? 4 : 0);
  const stays = 4 * (parameters + 3 * trained + copies * parameters);
  const whole = passWeight(config, { rows, length });
  const kept = model.rematerialise
    ? BYTES * (whole / config.layers.length) + 4 * config.layers.length * rows * length * config.hiddenSize
    : BYTES * whole;
  return stays + kept + 2 * 4 * rows * length * config.vocabSize;
}

/** What to say before stages whose updates do not fit. */
export async function heapWarnings(stages: readonly RecipeStage[], files: ModelFiles): Promise<string[]> {
  const config = parseModelConfig(files.config, files.source);
  const parameters = files.weights.names.reduce(
    (sum, name) => sum + files.weights.shape(name).reduce((a, b) => a * b, 1),
    0,
  );
  const warnings: string[] = [];
  for (const { name, recipe } of stages) {
    const positions = recipe.model.max_positions ?? config.maxPositions;
    const source = await openStageSource(recipe, "train", files.tokenizer, positions, () => {});
    const count = Math.min(LOOKED_AT, source.size ?? LOOKED_AT);
    const lengths = Array.from({ length: count }, (_, index) => {
      const prompt = source.at(index);
      const target = algorithmOf(recipe.algorithm).samples ? "" : (prompt.target ?? "");
      // apart, as rows are made: a tokenizer of words may have none for the two joined without a blank
      const encode = (text: string, addSpecialTokens: boolean) =>
        files.tokenizer.encode(text, { addSpecialTokens }).length;
      return encode(promptText(files.tokenizer, prompt), true) + encode(target, false);
    });
    const bytes = updateBytes(recipe, config, parameters, Math.max(1, ...lengths));
    if (bytes <= WASM_HEAP) continue;
    const { micro_batch_rows: micro } = recipe.algorithm;
    const first = `algorithm.micro_batch_rows ${micro === undefined ? "8, then fewer" : `below ${micro}`}`;
    const lines = [first, ...(recipe.model.rematerialise ? [] : ["model.rematerialise: true"])];
    if (recipe.model.lora === undefined) lines.push("model.lora");
    lines.push("rollout.max_new_tokens");
    warnings.push(
      `${stages.length === 1 ? "" : `stage ${name}: `}an update may need about ${(bytes / 2 ** 30).toFixed(1)} GiB, and WebAssembly has at most 4, whatever the machine has; less take ${lines.join("; ")}; backend xla has no such limit`,
    );
  }
  return warnings;
}
