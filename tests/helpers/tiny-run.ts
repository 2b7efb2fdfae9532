/** Small real runs through the code behind `rlpt train`, in a folder that goes away. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import type { TrainFlags } from "../../src/cli/commands/train.ts";
import { prepare } from "../../src/cli/train-request.ts";
import { isTimeColumn } from "../../src/metrics/table.ts";
import { type TrainingResult, train } from "../../src/training/train.ts";

/** One layer, 16 wide: a step takes milliseconds. */
export const tinyModel = `
  init:
    { model_type: llama, vocab_size: 24, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
      num_attention_heads: 2, num_key_value_heads: 1, hidden_act: silu, max_position_embeddings: 128 }
  tokenizer:
    tokens: ["<pad>", "<bos>", "<eos>", "<think>", "</think>", "<answer>", "</answer>", "\\n", "0", "1", "2", "3", "4",
             "5", "6", "7", "8", "9", "+", "-", "*", "=", ".", " "]
    pad: "<pad>"
    bos: "<bos>"
    eos: "<eos>"
`;

/** What a run by rewards is about. */
const tinyTask = `data:
  train: { kind: chain, levels: [1, 2] }
  eval: { kind: chain, levels: [1], size: 6 }
rollout: { prompts_per_step: 3, group_size: 4, max_new_tokens: 8 }
rewards:
  - { kind: length, name: short, limit: 2, max: 8 }
  - { kind: exact, extract: whole }`;

export const tinyGrpo = `
seed: 3
steps: 4
model: ${tinyModel}
${tinyTask}
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 2 }
run: { checkpoint_every: 2, keep_last: 9 }
`;

/** Values, an adaptive KL and two minibatches: all the state that PPO has. */
export const tinyPpo = tinyGrpo.replace(
  "algorithm: { kind: grpo }",
  "algorithm: { kind: ppo, minibatches: 2, kl: { coef: 0, estimator: k1 }, critic: { lr: 0.02 } }",
);

export const tinySft = `
seed: 3
steps: 4
model: ${tinyModel}
data:
  train: { kind: chain, levels: [1, 2], prompt: mixed }
algorithm: { kind: sft, packing: true, rows_per_step: 4, row_length: 48 }
optimizer: { lr: 0.01, schedule: cosine }
run: { checkpoint_every: 2, keep_last: 9 }
`;

/** Supervised, then two stages of GRPO: the first ends early, the second has a KL to where it began. */
export const tinyStages = `
seed: 3
model: ${tinyModel}
${tinyTask}
optimizer: { lr: 0.01 }
eval: { every: 2 }
run: { checkpoint_every: 1, keep_last: 99 }
stages:
  - name: warm
    steps: 3
    algorithm: { kind: sft, rows_per_step: 4 }
  - name: first
    steps: 9
    until: { metric: tokens/completion_max, above: 8, window: 2 }
    algorithm: { kind: grpo }
  - name: second
    steps: 3
    algorithm: { kind: grpo, kl: { coef: 0.1 }, minibatches: 2 }
    optimizer: { lr: 0.02 }
`;

/** A folder for one test file; call `remove` at the end. */
export function workspace(): {
  path: (name: string) => string;
  write: (name: string, text: string) => string;
  remove: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), "rlpt test "));
  const path = (name: string) => join(folder, name);
  return {
    path,
    write(name, text) {
      writeFileSync(path(name), text);
      return path(name);
    },
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function runTraining(
  config: string | undefined,
  flags: Partial<TrainFlags>,
): Promise<TrainingResult> {
  const { request } = await prepare(config, { set: [], quiet: true, backend: "wasm", ...flags });
  return train(request);
}

/** Rows of a CSV without the time columns, in which two equal runs may differ. */
export function rowsWithoutTime(file: string): Record<string, string>[] {
  const rows = parse(readFileSync(file), { columns: true }) as Record<string, string>[];
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !isTimeColumn(name))));
}

/** Bytes of every file of a checkpoint, by name, but for what says when it was written. */
export function checkpointBytes(directory: string): Record<string, string> {
  const out: Record<string, string> = {};
  const walk = (folder: string, prefix: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const name = join(prefix, entry.name);
      if (entry.isDirectory()) walk(join(folder, entry.name), name);
      else if (entry.name !== "manifest.json")
        out[name] = readFileSync(join(folder, entry.name)).toString("base64");
    }
  };
  walk(directory, "");
  return out;
}
