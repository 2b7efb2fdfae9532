/** Generation inside a program gives what the host gives that samples token by token. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { createRng } from "../../../src/lib/rng.ts";
import { type DecoderPolicy, initPolicy, type PolicyOptions } from "../../../src/policy/policy.ts";
import { capacities, ladder } from "../../../src/policy/stablehlo/sizes.ts";
import { type GenerateOptions, generate } from "../../../src/rollouts/generate.ts";
import type { Completion } from "../../../src/types.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { characters } from "../../helpers/scripted-policy.ts";
import { useBackend } from "../../helpers/tensors.ts";
import { tinyFamilies } from "../../helpers/tiny-families.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../../helpers/xla.ts";

type Json = Record<string, unknown>;

const V = 29;
const llama: Json = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 16,
  intermediate_size: 20,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 256,
  initializer_range: 0.6,
  tie_word_embeddings: false,
};
const lora: PolicyOptions = {
  trainable: "lora",
  lora: { rank: 2, alpha: 4, targets: ["q_proj", "v_proj", "down_proj"], useRslora: false },
};

const prompt = (length: number, seed: number) => ({
  prompt: { id: `p${seed}`, text: "", fields: {} } as never,
  tokens: Int32Array.from({ length }, (_, i) => 2 + createRng(seed).integer(V - 2, i)),
});
const prompts = [prompt(5, 1), prompt(17, 2), prompt(1, 3)];
const options: GenerateOptions = {
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  groupSize: 3,
  maxNewTokens: 12,
  stop: [],
  batchRows: 64,
};

/** Near to uniform, so that rows end late and one by one. */
const flat: Json = { initializer_range: 0.05 };

interface Asked {
  /** A whole config instead of Llama's and `config`. */
  family?: Json;
  config?: Json;
  policy?: PolicyOptions;
  prompts?: typeof prompts;
  options?: Partial<GenerateOptions>;
  eosIds?: number[];
  tokenizer?: { size: number; gaps: number[] };
}

async function completions(asked: Asked): Promise<Completion[]> {
  const policy = initPolicy(asked.family ?? { ...llama, ...asked.config }, createRng(4), asked.policy);
  if (asked.policy === lora) warmAdapters(policy);
  const tokenizer = { ...characters, size: V, ...asked.tokenizer, eosIds: asked.eosIds ?? characters.eosIds };
  const groups = await generate(
    policy,
    tokenizer,
    asked.prompts ?? prompts,
    { ...options, ...asked.options },
    createRng(8),
  );
  policy.dispose();
  return groups.flatMap((group) => group.completions);
}

/** B starts at zero, where an adapter does nothing. */
function warmAdapters(policy: DecoderPolicy): void {
  const rng = createRng(12);
  for (const [name, variable] of policy.trainable) {
    const own = rng.fork(name);
    const values = Float32Array.from({ length: variable.size }, (_, i) => 0.3 * own.normal(i));
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
  }
}

let watch: Watched | null = null;
let backend: LazyBackend;
afterAll(() => watch?.executor.close());

/** On the host first, then in programs. @returns what both gave */
async function both(asked: Asked): Promise<Completion[]> {
  await useBackend("wasm with our kernels");
  const want = await completions(asked);
  await tf.setBackend("xla");
  const [dataIds, live] = [backend.numDataIds(), watch!.live()];
  const got = await completions(asked);
  expect(backend.numDataIds(), "tensors left").toBe(dataIds);
  backend.flush();
  expect(watch!.live(), "buffers left").toBe(live);
  expect(got.map(({ tokens, finishReason }) => ({ tokens: [...tokens], finishReason }))).toEqual(
    want.map(({ tokens, finishReason }) => ({ tokens: [...tokens], finishReason })),
  );
  for (const [n, { logprobs, entropies }] of got.entries()) {
    expect(logprobs.length).toBe(want[n]!.tokens.length);
    for (const i of logprobs.keys()) {
      expect(Math.abs(logprobs[i]! - want[n]!.logprobs[i]!), `logprob ${i} of row ${n}`).toBeLessThan(1e-4);
      expect(Math.abs(entropies[i]! - want[n]!.entropies[i]!), `entropy ${i} of row ${n}`).toBeLessThan(1e-4);
    }
  }
  return got;
}

describe("sizes of programs", () => {
  it("borders of the cache end where the last token needs no more", () => {
    expect(capacities(1)).toEqual([1]);
    expect(capacities(2)).toEqual([1]);
    expect(capacities(64)).toEqual([63]);
    expect(capacities(65)).toEqual([64]);
    expect(capacities(130)).toEqual([64, 129]);
    for (const max of [1, 2, 63, 64, 65, 66, 80, 81, 82, 129, 300, 1000, 4096]) {
      const borders = capacities(max);
      expect(borders.at(-1)).toBe(Math.max(1, max - 1));
      expect(borders.every((size, i) => i === 0 || size > borders[i - 1]!)).toBe(true);
    }
  });

  it("the ladder holds every size in at most half as much again", () => {
    for (let size = 1; size < 500; size++) {
      expect(ladder(size)).toBeGreaterThanOrEqual(size);
      expect(ladder(size)).toBeLessThanOrEqual(1.5 * size);
      expect(ladder(ladder(size))).toBe(ladder(size));
    }
  });
});

optionalPart(
  "generation in programs",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    backend = await startLazyBackend(watch.executor);
  });

  it.each<[string, Asked]>([
    ["llama", {}],
    ["qwen2: biases, tied head", { config: { model_type: "qwen2", tie_word_embeddings: true } }],
    ["qwen3: norms on queries and keys", { config: { model_type: "qwen3", head_dim: 6 } }],
    ["mistral: a window of 4", { config: { model_type: "mistral", sliding_window: 4 } }],
    ["smollm3: a layer without rotation", { config: { model_type: "smollm3", num_hidden_layers: 4 } }],
    ["LoRA", { policy: lora }],
    ...Object.entries(tinyFamilies(llama)).map(([name, family]): [string, Asked] => [name, { family }]),
  ])("%s", async (_, asked) => {
    await both(asked);
  });

  it.each([1, 2, 64, 65, 130])("up to %d new tokens", async (maxNewTokens) => {
    const got = await both({ config: flat, options: { maxNewTokens }, eosIds: [] });
    expect(got.every(({ tokens }) => tokens.length === maxNewTokens)).toBe(true);
  });

  it.each<[string, Asked]>([
    ["one prompt, groups of one", { prompts: prompts.slice(0, 1), options: { groupSize: 1 } }],
    ["groups of one", { options: { groupSize: 1 } }],
    ["greedy, in batches", { options: { temperature: 0, batchRows: 6 } }],
    ["truncated", { options: { temperature: 0.7, top_k: 8, top_p: 0.9, min_p: 0.02 } }],
    ["forced modes", { options: { modes: { direct: 1, thinking: 1, close: [7, 9] } } }],
  ])("%s", async (_, asked) => {
    await both(asked);
  });

  it.each<[string, Partial<GenerateOptions>]>([
    ["at temperature 1", {}],
    ["greedy", { temperature: 0 }],
    ["truncated", { temperature: 0.7, top_k: 6, top_p: 0.9, min_p: 0.02 }],
    ["with forced modes", { modes: { direct: 1, thinking: 1, close: [7, 9] } }],
  ])("ids that the tokenizer does not have are never drawn, %s", async (_, options) => {
    // the end token, 1, is not the tokenizer's either, and stays
    const got = await both({ config: flat, options, tokenizer: { size: 20, gaps: [1, 5, 6] } });
    const ids = new Set(got.flatMap(({ tokens }) => [...tokens]));
    expect([...ids].filter((id) => id >= 20 || id === 5 || id === 6)).toEqual([]);
    expect(ids.size).toBeGreaterThan(5);
  });

  it("a stop string ends a row where it ends on the host", async () => {
    const stop = [String.fromCharCode(5), String.fromCharCode(11)];
    const got = await both({
      config: flat,
      options: { stop, maxNewTokens: 90 },
    });
    expect(got.some(({ finishReason }) => finishReason === "stop")).toBe(true);
  });

  it("rows leave at a border, and those that stay go on as they were", async () => {
    const before = watch!.modules.length;
    const got = await both({
      config: flat,
      prompts: [1, 2, 3, 4, 5].map((seed) => prompt(2 + seed, seed)),
      options: { groupSize: 4, maxNewTokens: 140 },
    });
    const lengths = got.map(({ tokens }) => tokens.length);
    const beyond = lengths.filter((length) => length > 65).length;
    expect(beyond).toBeGreaterThan(0);
    expect(beyond).toBeLessThan(0.6 * lengths.length);
    // rows of the last program's tables of tokens: fewer than the first program's
    const width = (module: string) =>
      Number(/stablehlo\.while\([\s\S]*?tensor<i32>, tensor<(\d+)xi32>/.exec(module)![1]);
    const programs = watch!.modules.slice(before).filter((module) => module.includes("stablehlo.while"));
    expect(width(programs.at(-1)!)).toBeLessThan(width(programs[0]!));
  }, 180_000);

  it("a policy that has diverged says so", async () => {
    await tf.setBackend("xla");
    const policy = initPolicy(llama, createRng(4), { trainable: "full" });
    const [first] = policy.trainable.values();
    tf.tidy(() => first!.assign(tf.fill(first!.shape, Number.NaN)));
    await expect(generate(policy, characters, prompts, options, createRng(1))).rejects.toThrow(/diverged/);
    policy.dispose();
  });
});
