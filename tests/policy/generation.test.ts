import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy } from "../../src/policy/policy.ts";
import type { GenerationSession } from "../../src/types.ts";
import { closedFormTensors, memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { unlikeLlama } from "../helpers/goldens.ts";
import { expectClose, testBackends, useBackend } from "../helpers/tensors.ts";

type Json = Record<string, unknown>;

const V = 97;
const llama: Json = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
};
const families: [string, Json][] = [
  ["llama", llama],
  ["mistral, window 3", { ...llama, model_type: "mistral", sliding_window: 3 }],
  ["smollm3", { ...llama, model_type: "smollm3", num_hidden_layers: 4 }],
  ["qwen3", { ...llama, model_type: "qwen3", head_dim: 8, tie_word_embeddings: true }],
  ...unlikeLlama,
];

function policyOf(config: Json): DecoderPolicy {
  const weights = memoryWeights(closedFormTensors(parseModelConfig(config, "test")));
  return createPolicy({ config, weights, source: "test" }, { trainable: "none" });
}

const draw = createRng(3);
const ids = (length: number, seed: number) => Array.from({ length }, (_, i) => draw.fork(seed).integer(V, i));

/** Logits behind the last token of a row, by a full forward pass. */
function fullLogits(policy: DecoderPolicy, row: readonly number[]): Float32Array {
  return tf.tidy(
    () => policy.logits(plainBatch([row]), Int32Array.of(row.length - 1)).dataSync() as Float32Array,
  );
}

function checkRows(
  policy: DecoderPolicy,
  session: GenerationSession,
  rows: readonly number[][],
  what: string,
): void {
  expect(session.rows).toBe(rows.length);
  expect(session.logits.length).toBe(rows.length * V);
  for (const [i, row] of rows.entries()) {
    const found = session.logits.subarray(i * V, (i + 1) * V);
    expectClose(found, fullLogits(policy, row), { atol: 2e-5, what: `${what}, row ${i}` });
  }
}

describe.each(testBackends)("generation on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(families)(
    "%s: cached decoding equals the full forward at every step, beyond a chunk",
    async (_name, config) => {
      const policy = policyOf(config);
      const prompts = [ids(5, 1), ids(2, 2), ids(9, 3)];
      const steps = 36; // one more than a chunk of the cache, and a little
      const session = await policy.startGeneration(
        prompts.map((prompt) => Int32Array.from(prompt)),
        {
          repeats: 2,
          maxNewTokens: steps,
        },
      );
      const rows = prompts.flatMap((prompt) => [[...prompt], [...prompt]]);
      checkRows(policy, session, rows, "prefill");
      for (let step = 0; step < steps; step++) {
        const tokens = rows.map((_, i) => ids(rows.length, 100 + step)[i]!);
        await session.step(Int32Array.from(tokens));
        for (const [i, row] of rows.entries()) row.push(tokens[i]!);
        if (step < 3 || step > 29) checkRows(policy, session, rows, `step ${step}`);
      }
      session.dispose();
      policy.dispose();
    },
  );

  it("rows can be kept in any order, a few or many at a time, and the rest carries on", async () => {
    const policy = policyOf(llama);
    const prompts = [ids(3, 1), ids(6, 2), ids(4, 3), ids(5, 4)];
    const session = await policy.startGeneration(
      prompts.map((prompt) => Int32Array.from(prompt)),
      {
        repeats: 2,
        maxNewTokens: 20,
      },
    );
    let rows = prompts.flatMap((prompt) => [[...prompt], [...prompt]]);
    const kept = [
      [0, 1, 2, 4, 5, 6, 7], // one of eight idle: nothing is copied
      [6, 0, 2, 1, 3, 5], // reordered
      [2, 1, 0], // compacted
      [2],
    ];
    let token = 11;
    for (const choice of kept) {
      session.keep(choice);
      rows = choice.map((row) => rows[row]!);
      checkRows(policy, session, rows, `kept ${choice}`);
      const tokens = rows.map(() => (token = (token * 5 + 1) % V));
      await session.step(Int32Array.from(tokens));
      for (const [i, row] of rows.entries()) row.push(tokens[i]!);
      checkRows(policy, session, rows, `after ${choice}`);
    }
    session.keep([]);
    expect(session.rows).toBe(0);
    expect(session.logits.length).toBe(0);
    policy.dispose();
  });

  // 10 million scores take the cpu backend half a minute
  if (backend !== "cpu") {
    it("many long prompts are prefilled in several passes", async () => {
      const wide = { ...llama, num_attention_heads: 8, max_position_embeddings: 2048, num_hidden_layers: 1 };
      const policy = policyOf(wide);
      const prompts = [ids(1100, 1), ids(3, 2), ids(40, 3)]; // 8 * 1100^2 scores: one prompt a pass
      const session = await policy.startGeneration(
        prompts.map((prompt) => Int32Array.from(prompt)),
        {
          repeats: 1,
          maxNewTokens: 2,
        },
      );
      await session.step(Int32Array.of(1, 2, 3));
      checkRows(
        policy,
        session,
        prompts.map((prompt, i) => [...prompt, i + 1]),
        "after a step",
      );
      session.dispose();
      policy.dispose();
    });
  }

  it("leaves no tensor behind", async () => {
    const policy = policyOf(llama);
    const run = async () => {
      const session = await policy.startGeneration([Int32Array.from(ids(4, 1)), Int32Array.from(ids(6, 2))], {
        repeats: 3,
        maxNewTokens: 40,
      });
      for (let step = 0; step < 40; step++) {
        if (step === 2) session.keep([0, 1, 2, 3, 4]);
        if (step === 5) session.keep([0, 2]);
        await session.step(new Int32Array(session.rows));
      }
      session.dispose();
    };
    await run();
    const before = tf.memory().numTensors;
    await run();
    expect(tf.memory().numTensors - before).toBe(0);
    policy.dispose();
  });

  it("refuses what it cannot do", async () => {
    const policy = policyOf(llama);
    const start = (prompts: number[][], maxNewTokens = 4) =>
      policy.startGeneration(
        prompts.map((prompt) => Int32Array.from(prompt)),
        { repeats: 1, maxNewTokens },
      );
    await expect(start([])).rejects.toThrow("at least one prompt");
    await expect(start([[1], []])).rejects.toThrow("prompt 1 is empty");
    await expect(start([[1, 97]])).rejects.toThrow("prompt 0 holds token 97, outside the vocabulary of 97");
    await expect(start([ids(60, 1)], 6)).rejects.toThrow(
      "prompt 0 has 60 tokens and up to 6 are to be added",
    );
    const session = await start([[1, 2]], 1);
    await expect(session.step(Int32Array.of(1, 2))).rejects.toThrow("2 tokens for 1 rows");
    expect(() => session.keep([1])).toThrow("row 1 is not one of the 1 live rows");
    expect(() => session.keep([0, 0])).toThrow("kept twice");
    await session.step(Int32Array.of(1));
    await expect(session.step(Int32Array.of(1))).rejects.toThrow("more steps");
    session.dispose();
    policy.dispose();
  });
});
