/** model.base_dtype: a policy on codes and scales is the policy on the numbers that they stand for. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLazyBackend } from "../../src/backend/xla/start.ts";
import { createRng } from "../../src/lib/rng.ts";
import { randomWeights } from "../../src/policy/decoder-weights.ts";
import { openGguf } from "../../src/policy/files/gguf.ts";
import { ggufConfig, ggufWeights } from "../../src/policy/files/gguf-model.ts";
import { writtenType } from "../../src/policy/files/quantise.ts";
import type { WeightSource } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import type { BaseDtype } from "../../src/policy/options.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { generate } from "../../src/rollouts/generate.ts";
import { optionalPart } from "../helpers/optional.ts";
import { characters } from "../helpers/scripted-policy.ts";
import { normals, useBackend } from "../helpers/tensors.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../helpers/xla.ts";
import { f32Tensor, type TestTensor, writeGguf } from "./files/write-gguf.ts";

const V = 128;
const llama = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 256,
  tie_word_embeddings: true,
};
const small = { ...llama, num_hidden_layers: 1 };
const untied = { ...llama, tie_word_embeddings: false };
const gpt2 = { model_type: "gpt2", vocab_size: V, n_embd: 64, n_head: 4, n_layer: 2, n_positions: 64 };

const lora: PolicyOptions = {
  trainable: "lora",
  lora: { rank: 2, alpha: 4, targets: ["q_proj", "down_proj"], useRslora: false },
};
const batch = {
  rows: 1,
  length: 8,
  tokens: Int32Array.from([5, 9, 2, 7, 100, 31, 4, 127]),
  segments: new Int32Array(8).fill(1),
  positions: Int32Array.from({ length: 8 }, (_, i) => i),
  scoredAt: Int32Array.from([2, 3, 4, 5, 6]),
  targets: Int32Array.from([7, 100, 31, 4, 127]),
};

const random = (config: Record<string, unknown>): WeightSource =>
  randomWeights(parseModelConfig(config, "test"), createRng(3), 0.3);

/** The same weights in float32. */
function plainSource(policy: DecoderPolicy): WeightSource {
  const all = new Map([...policy.exportWeights()].map((tensor) => [tensor.name, tensor]));
  return {
    names: [...all.keys()],
    shape: (name) => all.get(name)!.shape,
    dtype: () => "F32",
    read: (name) => all.get(name)!.data.slice(),
    close() {},
  };
}

function policyOf(
  config: Record<string, unknown>,
  weights: WeightSource,
  options: PolicyOptions,
): DecoderPolicy {
  return createPolicy({ config, weights, source: "test" }, { rng: createRng(4), ...options });
}

const frozen = (config: Record<string, unknown>, baseDtype: BaseDtype, weights = random(config)) =>
  policyOf(config, weights, { trainable: "none", baseDtype });

const exported = (policy: DecoderPolicy) => [...policy.exportWeights()];

describe("without programs", () => {
  beforeAll(() => useBackend("cpu"));

  it("matrices are the float32 that codes stand for, whichever way they lie; the rest is untouched", () => {
    for (const config of [llama, untied, gpt2]) {
      const policy = frozen(config, "q4_0");
      const source = random(config);
      for (const { name, shape, data } of exported(policy)) {
        const original = source.read(name);
        if (shape.length === 1 || name.includes("wpe")) {
          expect(data, name).toEqual(original);
          continue;
        }
        const overTokens = /embed|lm_head|wte/.test(name);
        const type = writtenType(overTokens ? "Q8_0" : "Q4_0");
        // blocks lie along what is summed over, which in GPT-2's files is the other axis
        const [rows, columns] = shape as [number, number];
        const turned = config === gpt2 && !overTokens;
        const turn = (values: Float32Array, height: number, width: number) =>
          Float32Array.from(values, (_, i) => values[(i % height) * width + Math.floor(i / height)]!);
        const blocks = turned ? turn(original, rows, columns) : original;
        const want = new Float32Array(blocks.length);
        type.decode(Uint8Array.from(type.encode(blocks)), want);
        expect(data, name).toEqual(turned ? turn(want, columns, rows) : want);
      }
      expect(policy.notes).toHaveLength(1);
      expect(policy.notes[0]).toMatch(
        /base_dtype q4_0: this backend compiles no programs, so the \d+ frozen/,
      );
      policy.dispose();
    }
  });

  it("a matrix whose rows do not divide into blocks stays float32, and a note names it", () => {
    const config = { ...llama, intermediate_size: 80 };
    const policy = frozen(config, "q8_0");
    const down = exported(policy).find(({ name }) => name === "model.layers.1.mlp.down_proj.weight")!;
    expect(down.data).toEqual(random(config).read(down.name));
    expect(policy.notes.join("\n")).toMatch(
      /2 of the matrices .* stay float32: .*; model\.layers\.0\.mlp\.down_proj\.weight \[64,80\] F32 among them/,
    );
    policy.dispose();
  });

  it("keep makes no codes", () => {
    const policy = frozen(llama, "keep");
    expect(policy.notes).toEqual(["base_dtype keep: no matrix of the file can be held so"]);
    for (const { name, data } of exported(policy)) expect(data).toEqual(random(llama).read(name));
    policy.dispose();
  });

  it("trained weights have no codes, whatever is asked for", () => {
    const policy = policyOf(llama, random(llama), { trainable: "full", baseDtype: "q4_0" });
    for (const { name, data } of exported(policy)) expect(data).toEqual(random(llama).read(name));
    policy.dispose();
  });

  it.each([
    ["Q8_0", "q8_0"],
    ["Q4_0", "q4_0"],
  ] as const)(
    "a GGUF file's own codes of %s are used, in the order of rows that a model has",
    (type, own) => {
      const file = openGguf(ggufFile(type));
      const config = ggufConfig(file);
      const weights = ggufWeights(file, config);
      for (const dtype of ["keep", own] as const) {
        const made: string[] = [];
        const watchedWeights: WeightSource = {
          ...weights,
          quantised: (name) => {
            const found = weights.quantised!(name);
            const read = () => {
              made.push(name);
              return found!.read();
            };
            return found && { ...found, read };
          },
        };
        const policy = frozen(config, dtype, watchedWeights);
        // seven matrices a layer; the embedding has the file's form, and q4_0 wants another one for it
        expect(made.length).toBe(dtype === "q4_0" ? 7 : 8);
        for (const { name, data } of exported(policy)) {
          if (dtype === "q4_0" && name === "model.embed_tokens.weight") continue;
          expect(data, name).toEqual(weights.read(name));
        }
        policy.dispose();
      }
      const none = frozen(config, own === "q8_0" ? "q4_0" : "q8_0", weights);
      const q = "model.layers.0.self_attn.q_proj.weight";
      expect(exported(none).find(({ name }) => name === q)!.data).not.toEqual(weights.read(q));
      none.dispose();
      weights.close();
    },
  );
});

/** One layer of a llama as llama.cpp's converter lays it out; matrices of one type. */
function ggufFile(type: "Q8_0" | "Q4_0"): string {
  const [hidden, inner, kv] = [64, 96, 32];
  const matrix = (name: string, rows: number, columns: number): TestTensor => {
    const { encode } = writtenType(type);
    return { name, shape: [rows, columns], type, bytes: encode(normals(name.length, rows * columns)) };
  };
  const ones = (name: string) => f32Tensor(name, [hidden], new Float32Array(hidden).fill(1));
  return writeGguf(
    [
      ["general.architecture", "llama"],
      ["llama.embedding_length", hidden],
      ["llama.block_count", 1],
      ["llama.context_length", 64],
      ["llama.feed_forward_length", inner],
      ["llama.attention.head_count", 4],
      ["llama.attention.head_count_kv", 2],
      ["llama.attention.layer_norm_rms_epsilon", { f32: 1e-5 }],
    ],
    [
      matrix("token_embd.weight", V, hidden),
      ones("output_norm.weight"),
      ones("blk.0.attn_norm.weight"),
      ones("blk.0.ffn_norm.weight"),
      matrix("blk.0.attn_q.weight", hidden, hidden),
      matrix("blk.0.attn_k.weight", kv, hidden),
      matrix("blk.0.attn_v.weight", kv, hidden),
      matrix("blk.0.attn_output.weight", hidden, hidden),
      matrix("blk.0.ffn_gate.weight", inner, hidden),
      matrix("blk.0.ffn_up.weight", inner, hidden),
      matrix("blk.0.ffn_down.weight", hidden, inner),
    ],
  );
}

let watch: Watched | null = null;
afterAll(() => watch?.executor.close());

optionalPart(
  "in programs",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    await startLazyBackend(watch.executor);
  });

  /** Numbers of one policy: logits, loss and gradients, what it samples, and which float32 arrays programs took. */
  async function outcome(policy: DecoderPolicy, from: number) {
    // B is zero at first, and A's gradient with it
    for (const variable of policy.trainable.values()) {
      const warm = tf.tensor(normals(variable.size, variable.size, 0.1), variable.shape);
      variable.assign(warm);
      warm.dispose();
    }
    const logits = policy.logits(batch, batch.scoredAt);
    const { loss, gradients } = policy.lossAndGradients(() =>
      tf.sum(policy.score(batch, { temperature: 0.8 }).logprobs),
    );
    const numbers = [logits, loss, ...gradients.values()].map((tensor) => Array.from(tensor.dataSync()));
    tf.dispose([logits, loss, ...gradients.values()]);
    const sampled = await generate(
      policy,
      { ...characters, size: V },
      [{ prompt: { id: "p", text: "", fields: {} } as never, tokens: Int32Array.of(5, 9, 2) }],
      { temperature: 1, top_p: 1, top_k: 0, min_p: 0, groupSize: 3, maxNewTokens: 4, stop: [], batchRows: 8 },
      createRng(8),
    );
    const rows = sampled[0]!.completions.map(({ tokens }) => [...tokens]);
    const texts = watch!.modules.slice(from).join("\n");
    const taken = new Set([...texts.matchAll(/%arg\d+: tensor<([\dx]+)xf32>/g)].map(([, shape]) => shape!));
    return { numbers, rows, taken };
  }

  it.each([
    ["q8_0", small, false],
    ["q4_0", { ...small, tie_word_embeddings: false }, true],
    ["nf4", small, false],
  ] as const)(
    "%s: logits, gradients and samples are those of the same numbers in float32",
    async (dtype, config, rematerialise) => {
      const policy = policyOf(config, random(config), { ...lora, baseDtype: dtype, rematerialise });
      expect(policy.notes[0]).toMatch(
        /^base_dtype .*: \d+ frozen matrices take 0\.00 GB instead of 0\.00 GB$/,
      );
      const bare = frozen(config, dtype);
      const plain = policyOf(config, plainSource(bare), { ...lora, rematerialise });
      bare.dispose();
      expect(policy.weightBytes).toBeLessThan(plain.weightBytes / 3);
      const got = await outcome(policy, watch!.modules.length);
      const want = await outcome(plain, 0);
      for (const [i, numbers] of got.numbers.entries()) {
        const largest = Math.max(...want.numbers[i]!.map(Math.abs));
        for (const [k, number] of numbers.entries())
          expect(Math.abs(number - want.numbers[i]![k]!)).toBeLessThan(1e-5 * largest);
      }
      expect(got.rows).toEqual(want.rows);
      // programs take no matrix in float32; those of the plain policy may have been compiled for the case before
      const matrices = ["128x64", "64x128", "64x64", "64x32"].filter((shape) => want.taken.has(shape));
      expect(matrices).toHaveLength(4);
      for (const shape of matrices) expect(got.taken).not.toContain(shape);
      // a merged model is made of the same numbers
      const merged = exported(plain);
      for (const [i, { name, data }] of exported(policy).entries()) {
        expect(name).toBe(merged[i]!.name);
        for (const [k, number] of data.entries()) expect(number).toBeCloseTo(merged[i]!.data[k]!, 5);
      }
      policy.dispose();
      plain.dispose();
    },
    300_000,
  );
});
