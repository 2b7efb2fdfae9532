/** A prompt that several completions share is computed once, and nothing else changes. */
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import {
  batchShape,
  type PaddedBatch,
  padRows,
  spread,
  type TokenRow,
} from "../../src/algorithms/token-batch.ts";
import { splitByLength } from "../../src/algorithms/update.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { FewShapes } from "../../src/policy/interfaces.ts";
import { type DecoderPolicy, initPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { expectClose, newTensors, testBackends, useBackend } from "../helpers/tensors.ts";
import { tinyFamilies } from "../helpers/tiny-families.ts";

const V = 31;
const llama = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 16,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 96,
  initializer_range: 0.4,
};
const lora: PolicyOptions = {
  trainable: "lora",
  lora: { rank: 2, alpha: 4, targets: ["q_proj", "v_proj", "down_proj"], useRslora: false },
};
const rng = createRng(3);
const ids = (length: number, seed: number) =>
  Int32Array.from({ length }, (_, i) => rng.fork("ids", seed).integer(V, i));

/** Groups of completions of given lengths behind prompts of given lengths. */
const rowsOf = (groups: readonly (readonly [number, readonly number[]])[]): TokenRow[] =>
  groups.flatMap(([promptLength, lengths], p) => {
    const prompt = ids(promptLength, p);
    return lengths.map((length, c) => ({ prompt, completion: ids(length, 100 + 10 * p + c) }));
  });

const alike = rowsOf([
  [14, [5, 8, 1, 8]],
  [14, [3, 8, 7, 2]],
]);
const uneven = rowsOf([
  [31, [5, 9, 4, 14]],
  [13, [9]],
  [22, [1, 6, 16]],
]);
/** Every prompt an array of its own: nothing is shared. */
const apart = (rows: readonly TokenRow[]) =>
  rows.map((row) => ({ ...row, prompt: Int32Array.from(row.prompt) }));

/** Logprob and entropy of each token of each completion, and gradients of their weighted sum. */
function outcome(policy: DecoderPolicy, rows: readonly TokenRow[], padded: PaddedBatch): number[] {
  const weights = spread(padded, (i, t) => Math.sin(1 + i + 3 * t));
  const perToken: number[] = [];
  const { loss, gradients } = policy.lossAndGradients(() => {
    const { logprobs, entropy } = policy.score(padded.batch, { temperature: 0.8, entropyGradient: true });
    const [l, e] = [logprobs.dataSync(), entropy.dataSync()];
    for (const [i, { completion }] of rows.entries()) {
      for (let t = 0; t < completion.length; t++)
        perToken.push(l[padded.slots[i]! + t]!, e[padded.slots[i]! + t]!);
    }
    return tf.sum(tf.mul(tf.add(logprobs, tf.mul(entropy, 0.3)), weights)) as tf.Scalar;
  });
  const all = [...perToken, ...[...gradients.values()].flatMap((g) => [...g.dataSync()])];
  tf.dispose([loss, ...gradients.values()]);
  return all;
}

const layouts: [string, FewShapes | null][] = [
  ["as little as possible", null],
  ["few shapes, every position scored", { scoreAll: true, devices: 1 }],
  ["few shapes, a large vocabulary", { scoreAll: false, devices: 1 }],
  ["few shapes, rows for three devices", { scoreAll: false, devices: 3 }],
];

describe.each(testBackends.slice(1))("prompts that are shared, on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  it.each<[string, object, PolicyOptions]>([
    ["llama", {}, { trainable: "full" }],
    ["llama, layers computed again", {}, { trainable: "full", rematerialise: true }],
    ["a window shorter than the prompt", { model_type: "mistral", sliding_window: 9 }, { trainable: "full" }],
    ["norms on queries and keys", { model_type: "qwen3", head_dim: 6 }, { trainable: "full" }],
    ["biases", { model_type: "qwen2" }, { trainable: "full" }],
    ["a layer without rotation", { model_type: "smollm3", num_hidden_layers: 4 }, { trainable: "full" }],
    ...Object.entries(tinyFamilies(llama)).map(([name, family]): [string, object, PolicyOptions] => [
      name,
      { whole: family },
      { trainable: "full" },
    ]),
    ["LoRA", {}, lora],
    ["LoRA, layers computed again", {}, { ...lora, rematerialise: true }],
  ])("%s: logprobs, entropies and gradients as without", (_, config, options) => {
    const whole = "whole" in config ? (config.whole as object) : { ...llama, ...config };
    const policy = initPolicy({ ...whole }, createRng(5), options);
    // B of an adapter starts at 0, where A has no gradient
    for (const [name, variable] of policy.trainable) {
      const own = createRng(6).fork(name);
      const noise = Float32Array.from({ length: variable.size }, (_x, i) => 0.2 * own.normal(i));
      tf.tidy(() => variable.assign(tf.add(variable, tf.tensor(noise, variable.shape))));
    }
    for (const rows of [alike, uneven]) {
      const plain = padRows(apart(rows));
      expect(plain.batch.shared).toBeUndefined();
      const want = outcome(policy, rows, plain);
      expect(Math.max(...want.map(Math.abs))).toBeGreaterThan(0.1);
      for (const [name, few] of layouts) {
        const shared = padRows(rows, few, rows.length);
        expect(shared.batch.shared?.completions, name).toBe(4);
        expect(shared.starts).toEqual(plain.starts);
        const before = newTensors(() => {
          const got = outcome(policy, rows, shared);
          expectClose(got, want, { atol: 2e-5, rtol: 1e-5, what: name });
        });
        expect(before, "tensors left").toBe(0);
      }
    }
    policy.dispose();
  });
});

describe("which layout", () => {
  it("shares where that is fewer tokens", () => {
    // 14 -> 16 for each prompt, and 4 x 8 behind it; apart each row is 22 -> 24
    const shared = { promptLength: 16, completions: 4, completionLength: 8 };
    expect(batchShape(alike)).toEqual({ rows: 2, length: 16 + 4 * 8, shared });
    expect(batchShape(apart(alike))).toEqual({ rows: 8, length: 24, shared: null });
    const one = rowsOf([
      [3, [40, 5]],
      [2, [4]],
    ]);
    expect(padRows(one).batch.shared).toBeUndefined();
    expect(batchShape(one)).toEqual({ rows: 3, length: 48, shared: null });
  });

  it("rows come out in the order they went in, also where groups are mixed", () => {
    const mixed = [0, 4, 1, 5, 2, 6, 3, 7].map((i) => alike[i]!);
    const { batch, starts, slots } = padRows(mixed);
    expect(batch.rows).toBe(2);
    for (const [i, { completion }] of mixed.entries()) {
      expect(starts[i + 1]! - starts[i]!).toBe(completion.length);
      expect([...batch.targets.slice(slots[i]!, slots[i]! + completion.length)]).toEqual(
        Array.from(completion),
      );
    }
  });

  it("few shapes: the same programs serve batches of other lengths and fewer prompts", () => {
    const shape = ({ batch }: PaddedBatch) => [batch.rows, batch.length, batch.scoredAt.length];
    const few = { scoreAll: false, devices: 1 };
    const four = rowsOf([1, 2, 3, 4].map((n) => [26 + (n % 3), [n + 8, 20, 17]] as const));
    const three = rowsOf([1, 2, 3].map((n) => [17 + n, [n + 5, 22, 14]] as const));
    expect(shape(padRows(four, few, 12))).toEqual(shape(padRows(three, few, 12)));
    // each device has as many rows and scored tokens
    expect(shape(padRows(four, { ...few, devices: 5 }, 12))[0]).toBe(5);
    const scored = [1, 4].map((devices) => shape(padRows(four, { ...few, devices }, 12))[2]! % 4);
    expect(scored).toEqual([2, 0]);
  });

  it("micro-batches keep a prompt's rows together where that saves more than rows of like length", () => {
    const sample = ({ prompt, completion }: TokenRow) => ({
      promptTokens: prompt as Int32Array,
      completion: { tokens: completion as Int32Array },
    });
    const prompts = (micro: readonly { promptTokens: Int32Array }[]) =>
      new Set(micro.map((s) => s.promptTokens)).size;
    const long = rowsOf([
      [60, [3, 9, 5, 12]],
      [60, [4, 8, 13, 6]],
      [60, [11, 10, 2, 7]],
    ]).map(sample);
    const together = splitByLength(long, 4);
    expect(together.map(prompts)).toEqual([1, 1, 1]);
    expect(new Set(together.flat())).toEqual(new Set(long));
    const short = rowsOf([
      [2, [3, 90, 5, 120]],
      [2, [4, 80, 130, 6]],
    ]).map(sample);
    const sorted = splitByLength(short, 4);
    expect(sorted.map(prompts)).toEqual([2, 2]);
    expect(sorted[1]!.every(({ completion }) => completion.tokens.length < 10)).toBe(true);
    // two groups of three do not fit into four rows
    const odd = rowsOf([
      [60, [3, 9, 5]],
      [60, [4, 8, 6]],
    ]).map(sample);
    expect(splitByLength(odd, 4).map((micro) => micro.length)).toEqual([3, 3]);
    expect(splitByLength(long, undefined).map((micro) => micro.length)).toEqual([12]);
  });
});
