import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { type StartOptions, startBackend } from "../../src/backend/select.ts";
import { findCblas } from "../../src/backend/wasm/cblas.ts";
import { uninstallWasmKernels } from "../../src/backend/wasm/install.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { TokenBatch } from "../../src/policy/interfaces.ts";
import { initPolicy } from "../../src/policy/policy.ts";
import { optionalPart } from "../helpers/optional.ts";
import { swiftShader, swiftShaderMissing } from "../helpers/swiftshader.ts";

/** Odd sizes, shared key/value heads, biases, norms on queries and keys: what families differ in. */
const config = {
  model_type: "qwen3",
  vocab_size: 37,
  hidden_size: 20,
  intermediate_size: 27,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 10,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: false,
  attention_bias: false,
  hidden_act: "silu",
  initializer_range: 0.2,
};

/** Three rows of 7, 9 and 4 tokens, and two segments packed in the second. */
function makeBatch(): TokenBatch {
  const [rows, length] = [3, 9];
  const rng = createRng(5);
  const segments = [
    [1, 1, 1, 1, 1, 1, 1, 0, 0],
    [1, 1, 1, 1, 2, 2, 2, 2, 2],
    [1, 1, 1, 1, 0, 0, 0, 0, 0],
  ];
  const positions = [
    [0, 1, 2, 3, 4, 5, 6, 0, 0],
    [0, 1, 2, 3, 0, 1, 2, 3, 4],
    [0, 1, 2, 3, 0, 0, 0, 0, 0],
  ];
  const scoredAt = [0, 1, 4, 5, 9, 10, 13, 14, 15, 18, 20];
  return {
    rows,
    length,
    tokens: Int32Array.from({ length: rows * length }, (_, i) => rng.integer(config.vocab_size, i)),
    segments: Int32Array.from(segments.flat()),
    positions: Int32Array.from(positions.flat()),
    scoredAt: Int32Array.from(scoredAt),
    targets: Int32Array.from(scoredAt, (_, i) => rng.integer(config.vocab_size, 1000 + i)),
  };
}

interface Outcome {
  loss: number;
  entropy: number;
  gradientNorm: number;
  /** Next-token logits after a prefill and three steps, [rows, V]. */
  logits: number[];
}

async function compute(): Promise<Outcome> {
  const policy = initPolicy(config, createRng(11));
  const batch = makeBatch();
  const numbers = tf.tidy(() => {
    const { loss, gradients } = policy.lossAndGradients(
      () => tf.neg(tf.mean(policy.score(batch, { temperature: 0.7 }).logprobs)) as tf.Scalar,
    );
    const squares = [...gradients.values()].map((gradient) => tf.sum(tf.square(gradient)));
    const entropy = tf.mean(policy.score(batch, { temperature: 0.7 }).entropy);
    return tf.stack([loss, entropy, tf.sqrt(tf.addN(squares))]);
  });
  const [loss, entropy, gradientNorm] = await numbers.data();
  numbers.dispose();
  const prompts = [Int32Array.from([1, 5, 9]), Int32Array.from([7, 3, 30, 2, 8])];
  const session = await policy.startGeneration(prompts, { repeats: 2, maxNewTokens: 4 });
  for (const step of [1, 2, 3]) await session.step(Int32Array.from([step, step + 4, 2 * step, 36 - step]));
  const logits = Array.from(session.logits);
  session.dispose();
  policy.dispose();
  return { loss: loss!, entropy: entropy!, gradientNorm: gradientNorm!, logits };
}

let reference: Outcome;
beforeAll(async () => {
  await startBackend({ kind: "cpu" });
  reference = await compute();
});

async function agrees(options: StartOptions, prepare = () => {}): Promise<void> {
  await startBackend(options);
  prepare();
  const got = await compute();
  for (const name of ["loss", "entropy", "gradientNorm"] as const) {
    expect(Math.abs(got[name] / reference[name] - 1), name).toBeLessThan(1e-4);
  }
  const largest = Math.max(...reference.logits.map(Math.abs));
  expect(got.logits).toHaveLength(reference.logits.length);
  const off = got.logits.map((logit, i) => Math.abs(logit - reference.logits[i]!));
  expect(Math.max(...off) / largest, "logits").toBeLessThan(1e-4);
}

describe("every backend computes the same", () => {
  it("cpu: the reference says something", () => {
    expect(reference.loss).toBeGreaterThan(1);
    expect(reference.gradientNorm).toBeGreaterThan(0.1);
    expect(reference.logits).toHaveLength(4 * config.vocab_size);
    expect(new Set(reference.logits).size).toBeGreaterThan(100);
  });

  it("wasm with our kernels", () => agrees({ kind: "wasm", cblas: "off" }));

  it("wasm with tfjs's own kernels", () => agrees({ kind: "wasm", cblas: "off" }, uninstallWasmKernels));
});

const { library } = findCblas();
optionalPart(
  "every backend computes the same",
  library !== null,
  "no CBLAS library; rlpt backend install openblas, or apt-get install libopenblas0-pthread",
)(() => {
  it("wasm with CBLAS", () => agrees({ kind: "wasm", cblas: library!.path }));
});

optionalPart(
  "every backend computes the same",
  swiftShader !== null,
  swiftShaderMissing,
)(() => {
  // a card in software: a minute or more where other work runs beside it
  it("WebGPU on SwiftShader", { timeout: 600_000 }, () => {
    process.env["VK_ICD_FILENAMES"] = swiftShader!;
    return agrees({ kind: "webgpu" });
  });
});
