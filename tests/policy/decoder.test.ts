import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { batchContext } from "../../src/policy/batch-context.ts";
import type { NamedTensor, TokenBatch } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy, initPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { closedFormTensors, emptyBatch, memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { unlikeLlama } from "../helpers/goldens.ts";
import { expectClose, newTensors, testBackends, useBackend } from "../helpers/tensors.ts";

type Json = Record<string, unknown>;

const llama: Json = {
  model_type: "llama",
  vocab_size: 97,
  hidden_size: 32,
  intermediate_size: 56,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
};
const mistral: Json = { ...llama, model_type: "mistral", sliding_window: 3 };
const smollm3: Json = { ...llama, model_type: "smollm3", num_hidden_layers: 4, tie_word_embeddings: false };
const families: [string, Json][] = [
  ["llama", llama],
  ["mistral", mistral],
  ["smollm3", smollm3],
  ["qwen3", { ...llama, model_type: "qwen3", head_dim: 16, tie_word_embeddings: true }],
  ...unlikeLlama,
];

function tensorsOf(config: Json): NamedTensor[] {
  return closedFormTensors(parseModelConfig(config, "test"));
}

function policyOf(
  config: Json,
  options: PolicyOptions = { trainable: "none" },
  tensors = tensorsOf(config),
): DecoderPolicy {
  return createPolicy({ config, weights: memoryWeights(tensors), source: "test" }, options);
}

const draw = createRng(7);
const ids = (length: number, seed = 0) =>
  Array.from({ length }, (_, i) => draw.fork("ids", seed).integer(97, i));
const iota = (n: number, from = 0) => Int32Array.from({ length: n }, (_, i) => from + i);

/** Rows of one sample each, padded on the left. */
function leftPadded(rows: readonly number[][], length: number): TokenBatch {
  const batch = emptyBatch(rows.length, length);
  for (const [r, row] of rows.entries()) {
    const start = (r + 1) * length - row.length;
    batch.tokens.set(row, start);
    batch.segments.fill(1, start, start + row.length);
    batch.positions.set(iota(row.length), start);
  }
  return batch;
}

const meanLogprob =
  (policy: DecoderPolicy, batch: TokenBatch, temperature = 1) =>
  () =>
    tf.mean(policy.score(batch, { temperature }).logprobs) as tf.Scalar;

describe.each(testBackends)("decoder on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  describe.each(families)("%s", (_family, config) => {
    it("a row gives the same logits alone, in a batch, right-padded, left-padded and packed", () => {
      const policy = policyOf(config);
      const [a, b] = [ids(9, 1), ids(6, 2)];
      const alone = policy.logits(plainBatch([b]), iota(6)).dataSync();
      const together = policy.logits(plainBatch([a, b], 12), iota(6, 12)).dataSync();
      expectClose(together, alone, { atol: 2e-5, what: "right-padded beside another" });
      const left = policy.logits(leftPadded([a, b], 12), iota(6, 18)).dataSync();
      expectClose(left, alone, { atol: 2e-5, what: "left-padded" });
      const packed = emptyBatch(1, 16);
      packed.tokens.set([...a, ...b]);
      packed.segments.set([...a.map(() => 1), ...b.map(() => 2)]);
      packed.positions.set([...a.map((_, i) => i), ...b.map((_, i) => i)]);
      expectClose(policy.logits(packed, iota(6, 9)).dataSync(), alone, { atol: 2e-5, what: "packed" });
      policy.dispose();
    });

    it("a later token never changes an earlier position, bit for bit", () => {
      const policy = policyOf(config);
      const row = ids(8);
      const changed = [...row.slice(0, 5), (row[5]! + 1) % 97, ...row.slice(6)];
      const before = policy.logits(plainBatch([row]), iota(8)).dataSync();
      const after = policy.logits(plainBatch([changed]), iota(8)).dataSync();
      expect(after.slice(0, 5 * 97)).toEqual(before.slice(0, 5 * 97));
      expect(after.slice(5 * 97, 6 * 97)).not.toEqual(before.slice(5 * 97, 6 * 97));
      policy.dispose();
    });

    it("rematerialised layers give the same gradients", () => {
      const batch = plainBatch([ids(7, 1), ids(5, 2)]);
      const [plain, again] = [false, true].map((rematerialise) => {
        const policy = policyOf(config, { trainable: "full", rematerialise });
        const { gradients } = policy.lossAndGradients(meanLogprob(policy, batch));
        policy.dispose();
        return gradients;
      });
      for (const [name, gradient] of plain!) {
        expectClose(again!.get(name)!.dataSync(), gradient.dataSync(), {
          atol: 1e-7,
          rtol: 1e-5,
          what: name,
        });
      }
    });
  });

  it("a window hides what lies further back: token 0 stops mattering after L * (W - 1) positions", () => {
    const policy = policyOf(mistral);
    const row = ids(8);
    const before = policy.logits(plainBatch([row]), iota(8)).dataSync();
    const after = policy.logits(plainBatch([[(row[0]! + 1) % 97, ...row.slice(1)]]), iota(8)).dataSync();
    const reach = 2 * (3 - 1);
    expect(after.slice((reach + 1) * 97)).toEqual(before.slice((reach + 1) * 97));
    expect(after.slice(reach * 97, (reach + 1) * 97)).not.toEqual(before.slice(reach * 97, (reach + 1) * 97));
    policy.dispose();
  });

  it("grouped heads equal full heads with repeated key/value weights", () => {
    const grouped = tensorsOf(llama);
    const repeated = grouped.map((tensor) => {
      if (!/[kv]_proj/.test(tensor.name)) return tensor;
      const heads = [0, 0, 1, 1].map((head) => tensor.data.subarray(head * 8 * 32, (head + 1) * 8 * 32));
      return { ...tensor, shape: [32, 32], data: Float32Array.from(heads.flatMap((part) => [...part])) };
    });
    const [few, many] = [
      policyOf(llama, { trainable: "none" }, grouped),
      policyOf({ ...llama, num_key_value_heads: 4 }, { trainable: "none" }, repeated),
    ];
    const batch = plainBatch([ids(9)]);
    expectClose(many.logits(batch, iota(9)).dataSync(), few.logits(batch, iota(9)).dataSync(), {
      atol: 2e-5,
    });
    few.dispose();
    many.dispose();
  });

  it("SmolLM3 that rotates everywhere is a Llama", () => {
    const everywhere = { ...smollm3, no_rope_layers: [1, 1, 1, 1], rope_theta: 1e4 };
    const same = policyOf(everywhere);
    const plain = policyOf({ ...llama, num_hidden_layers: 4 });
    const mixed = policyOf({ ...everywhere, no_rope_layers: [1, 1, 1, 0] });
    const batch = plainBatch([ids(9)]);
    const expected = plain.logits(batch, iota(9)).dataSync();
    expectClose(same.logits(batch, iota(9)).dataSync(), expected, { atol: 1e-6 });
    const mixedLogits = mixed.logits(batch, iota(9)).dataSync();
    expect(() => expectClose(mixedLogits, expected, { atol: 1e-2 })).toThrow(/off by/);
    for (const policy of [same, plain, mixed]) policy.dispose();
  });

  it("the gradient of a tied matrix is the sum of the two it stands for", () => {
    const tied = { ...llama, tie_word_embeddings: true };
    const tensors = tensorsOf(tied);
    const table = tensors.find(({ name }) => name === "model.embed_tokens.weight")!;
    const batch = plainBatch([ids(9)]);
    const one = policyOf(tied, { trainable: "full" }, tensors);
    const two = policyOf(llama, { trainable: "full" }, [...tensors, { ...table, name: "lm_head.weight" }]);
    const together = one.lossAndGradients(meanLogprob(one, batch)).gradients.get(table.name)!;
    const apart = two.lossAndGradients(meanLogprob(two, batch)).gradients;
    const head = apart.get("lm_head.weight")!.dataSync();
    expect(Math.max(...head.map(Math.abs))).toBeGreaterThan(1e-3);
    const sum = tf.add(apart.get(table.name)!, tf.transpose(apart.get("lm_head.weight")!));
    expectClose(together.dataSync(), sum.dataSync(), { atol: 1e-6, rtol: 1e-5 });
    one.dispose();
    two.dispose();
  });

  it("temperature divides the logits, and scoring equals log-softmax of them", () => {
    const policy = policyOf(llama);
    const batch = plainBatch([ids(6)]);
    const logits = policy.logits(batch, batch.scoredAt);
    const expected = tf.gather(
      tf.reshape(tf.logSoftmax(tf.div(logits, 0.7)), [-1]),
      tf.tensor1d(
        batch.targets.map((id, i) => i * 97 + id),
        "int32",
      ),
    );
    const { logprobs, entropy } = policy.score(batch, { temperature: 0.7 });
    expectClose(logprobs.dataSync(), expected.dataSync(), { atol: 2e-5 });
    const p = tf.softmax(tf.div(logits, 0.7));
    expectClose(entropy.dataSync(), tf.neg(tf.sum(tf.mul(p, tf.log(p)), 1)).dataSync(), { atol: 2e-5 });
    policy.dispose();
  });

  it("the frozen reference stays where it was while the weights move", () => {
    const policy = policyOf(llama, { trainable: "full", reference: true });
    const batch = plainBatch([ids(6)]);
    const before = policy.score(batch, { temperature: 1 }).logprobs.dataSync();
    for (const variable of policy.trainable.values()) variable.assign(tf.mul(variable, 1.1));
    const reference = policy.score(batch, { temperature: 1, reference: true }).logprobs.dataSync();
    expect(reference).toEqual(before);
    const after = policy.score(batch, { temperature: 1 }).logprobs.dataSync();
    expect(() => expectClose(after, before)).toThrow(/off by/);
    policy.freezeReference();
    const moved = policy.score(batch, { temperature: 1 }).logprobs.dataSync();
    expect(policy.score(batch, { temperature: 1, reference: true }).logprobs.dataSync()).toEqual(moved);
    policy.dispose();
    const without = policyOf(llama, { trainable: "full" });
    expect(() => without.score(batch, { temperature: 1, reference: true })).toThrow("no reference policy");
    without.dispose();
  });

  it("leaves no tensor behind: policy, scores, gradients", () => {
    const work = () => {
      for (const rematerialise of [false, true]) {
        const policy = policyOf(llama, { trainable: "full", reference: true, rematerialise });
        const batch = plainBatch([ids(6)]);
        tf.tidy(() => void policy.score(batch, { temperature: 1, reference: true }));
        const { loss, gradients } = policy.lossAndGradients(meanLogprob(policy, batch));
        loss.dispose();
        for (const gradient of gradients.values()) gradient.dispose();
        policy.dispose();
      }
    };
    work();
    expect(newTensors(work)).toBe(0);
  });

  it("positions: plain rows share one table, left padding shifts them, beyond the model's is refused", () => {
    const config = parseModelConfig(llama, "test");
    const shared = batchContext(config, plainBatch([ids(5), ids(3)]));
    expect(shared[0]!.tables.cos!.shape).toEqual([1, 5, 4]);
    expect(shared[1]!.tables.cos).toBe(shared[0]!.tables.cos);
    const context = batchContext(config, leftPadded([ids(5), ids(3)], 5));
    expect(context[0]!.tables.cos!.shape).toEqual([2, 5, 4]);
    const cos = context[0]!.tables.cos!.arraySync();
    expect(cos[1]![2]).toEqual(cos[0]![0]); // the first real token of the padded row is position 0
    expect(cos[1]![4]).toEqual(cos[0]![2]);
    const mask = context[0]!.tables.mask!.arraySync();
    expect(mask[1]![3]!.map((value) => value === 0)).toEqual([false, false, true, true, false]);
    expect(mask[1]![0]!.map((value) => value === 0)).toEqual([true, false, false, false, false]);
    expect(() => batchContext(config, plainBatch([ids(65)]))).toThrow(
      "the model has 64 (max_position_embeddings)",
    );
  });

  it("initPolicy: same seed, same weights; N(0, 0.02), residual projections smaller, norms 1", () => {
    const policy = initPolicy({ ...llama, hidden_size: 64, intermediate_size: 160 }, createRng(1));
    const again = initPolicy({ ...llama, hidden_size: 64, intermediate_size: 160 }, createRng(1));
    const weights = new Map([...policy.exportWeights()].map(({ name, data }) => [name, data]));
    for (const { name, data } of again.exportWeights()) expect(data, name).toEqual(weights.get(name));
    const deviation = (name: string) => {
      const data = weights.get(name)!;
      return Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
    };
    expect(deviation("model.layers.1.mlp.gate_proj.weight")).toBeCloseTo(0.02, 3);
    expect(deviation("model.layers.1.mlp.down_proj.weight")).toBeCloseTo(0.01, 3);
    expect(deviation("model.layers.0.self_attn.o_proj.weight")).toBeCloseTo(0.01, 3);
    expect(new Set(weights.get("model.norm.weight"))).toEqual(new Set([1]));
    expect(weights.get("model.layers.0.mlp.up_proj.weight")!.slice(0, 8)).not.toEqual(
      weights.get("model.layers.1.mlp.up_proj.weight")!.slice(0, 8),
    );
    policy.dispose();
    again.dispose();
  });
});
