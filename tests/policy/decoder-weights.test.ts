import * as tf from "@tensorflow/tfjs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ModelFileError } from "../../src/lib/errors.ts";
import { transposeMatrix } from "../../src/policy/decoder-weights.ts";
import type { NamedTensor } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { closedFormTensors, memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { useBackend } from "../helpers/tensors.ts";

const qwen2 = {
  model_type: "qwen2",
  vocab_size: 41,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
};
const tensors = closedFormTensors(parseModelConfig(qwen2, "test"));
const load = (
  changed: readonly NamedTensor[],
  config: Record<string, unknown> = qwen2,
  options?: PolicyOptions,
) =>
  createPolicy({ config, weights: memoryWeights(changed), source: "dir" }, options ?? { trainable: "none" });
const without = (name: string) => tensors.filter((tensor) => tensor.name !== name);
const replaced = (name: string, change: Partial<NamedTensor>) =>
  tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));
const table = tensors[0]!;

beforeAll(() => useBackend("cpu"));

describe("loading weights", () => {
  it.each<[string, () => unknown, string]>([
    [
      "a missing bias",
      () => load(without("model.layers.1.self_attn.k_proj.bias")),
      "dir: missing tensors: model.layers.1.self_attn.k_proj.bias",
    ],
    [
      "many missing tensors: the first five and a count",
      () => load(tensors.slice(0, 2)),
      "model.layers.0.self_attn.v_proj.weight and 19 more",
    ],
    [
      "a missing head",
      () => load(tensors, { ...qwen2, tie_word_embeddings: false }),
      "missing tensors: lm_head.weight; set tie_word_embeddings to true if the output uses the embedding",
    ],
    [
      "an extra tensor",
      () => load([...tensors, { name: "model.extra.weight", shape: [1], data: new Float32Array(1) }]),
      "dir: unexpected tensors for a qwen2 model: model.extra.weight; does config.json belong to these weights?",
    ],
    [
      "a transposed matrix",
      () => load(replaced("model.layers.0.mlp.up_proj.weight", { shape: [16, 24] })),
      "model.layers.0.mlp.up_proj.weight is [16, 24], config.json implies [24, 16] (intermediate_size, hidden_size)",
    ],
    [
      "a wrong vocabulary",
      () => load(tensors, { ...qwen2, vocab_size: 40 }),
      "model.embed_tokens.weight is [41, 16], config.json implies [40, 16] (vocab_size, hidden_size)",
    ],
    [
      "a tied head that differs",
      () => load([...tensors, { ...table, name: "lm_head.weight", data: table.data.map((v) => v + 1) }]),
      "config.json ties the embeddings, yet lm_head.weight differs from model.embed_tokens.weight",
    ],
  ])("%s is named", (_name, run, message) => {
    expect(run).toThrow(ModelFileError);
    expect(run).toThrow(message);
  });

  it("accepts what is harmless: a tied head that is equal, buffers of old files, names without the prefix", () => {
    const buffer = {
      name: "model.layers.0.self_attn.rotary_emb.inv_freq",
      shape: [2],
      data: new Float32Array(2),
    };
    const first = load([...tensors, { ...table, name: "lm_head.weight" }, buffer]);
    expect(first.notes).toEqual([]);
    const bare = load(tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace("model.", "") })));
    expect(bare.notes[0]).toContain("no `model.` prefix");
    const batch = plainBatch([[1, 2, 3]]);
    const logits = [first, bare].map((policy) => policy.logits(batch, Int32Array.of(2)).dataSync());
    expect(logits[0]).toEqual(logits[1]);
    first.dispose();
    bare.dispose();
  });

  it.each(["full", "none"] as const)("exports what it loaded, bit for bit (trainable: %s)", (trainable) => {
    const policy = load(tensors, qwen2, { trainable });
    expect([...policy.exportWeights()]).toEqual(tensors);
    expect(policy.parameterCount).toBe(tensors.reduce((sum, { data }) => sum + data.length, 0));
    expect(policy.trainable.size).toBe(trainable === "full" ? tensors.length : 0);
    policy.dispose();
  });

  it("two policies live side by side", () => {
    const [a, b] = [load(tensors, qwen2, { trainable: "full" }), load(tensors, qwen2, { trainable: "full" })];
    for (const variable of a.trainable.values()) variable.assign(tf.zerosLike(variable));
    expect([...b.exportWeights()]).toEqual(tensors);
    a.dispose();
    b.dispose();
  });

  it("refuses training options that contradict each other", () => {
    expect(() => load(tensors, qwen2, { trainable: "lora" })).toThrow("needs lora options or an adapter");
    const policy = load(tensors);
    expect(() => policy.lossAndGradients(() => tf.scalar(0))).toThrow("without anything to train");
    policy.dispose();
  });
});

it("transposeMatrix moves [r, c] to [c, r] for any size", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 70 }), (rows, columns) => {
      const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
      const moved = transposeMatrix(values, rows, columns);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) if (moved[c * rows + r] !== r * columns + c) return false;
      }
      return moved.length === values.length;
    }),
    { numRuns: 30 },
  );
});
