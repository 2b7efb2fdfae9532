import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planGguf, writeGgufModel } from "../../../src/policy/files/gguf-export.ts";
import { openGgufModel, openModelDirectory, saveModel } from "../../../src/policy/files/model-directory.ts";
import type { WrittenType } from "../../../src/policy/files/quantise.ts";
import type { DecoderConfig } from "../../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy } from "../../../src/policy/policy.ts";
import { exportModel } from "../../../src/training/export-model.ts";
import { BYTE_VOCABULARY, byteTokenizerFiles } from "../../helpers/byte-tokenizer.ts";
import { closedFormTensors } from "../../helpers/closed-form.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { askPython, pythonEnvironment } from "../../helpers/python.ts";
import { expectClose, useBackend } from "../../helpers/tensors.ts";
import { workspace } from "../../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
beforeAll(() => useBackend("wasm with our kernels"));

type Json = Record<string, unknown>;

/** Configs of the decoders that are held against transformers, with a vocabulary for bytes. */
const families: [string, string][] = [
  ["llama", "smollm"],
  ["llama3-rope", "llama-bpe"],
  ["llama-biases", "gpt-2"],
  ["mistral", "dbrx"],
  ["qwen2", "qwen2"],
  ["qwen2-yarn", "qwen2"],
  ["qwen3", "qwen2"],
  ["smollm3", "dbrx"],
];

function configOf(name: string, change: Json = {}): Json {
  const { config } = JSON.parse(readFileSync(`tests/golden/decoder/${name}.json`, "utf8")) as {
    config: Json;
  };
  const scaling = config["rope_scaling"] as Json | undefined;
  // the one scaling that rope_freqs.weight is read as
  const llama3 = scaling?.["rope_type"] === "llama3" ? { rope_theta: 5e5, head_dim: 16 } : {};
  const rope =
    scaling?.["rope_type"] === "llama3"
      ? { rope_scaling: { ...scaling, original_max_position_embeddings: 8192 } }
      : {};
  return { ...config, vocab_size: BYTE_VOCABULARY, ...llama3, ...rope, ...change };
}

function directoryOf(name: string, pre: string, change: Json = {}, tokenizer: Json = {}): string {
  const config = configOf(name, change);
  const path = space.path(
    `${name}-${pre}-${JSON.stringify([change, tokenizer]).replace(/\W+/g, "-").slice(0, 60)}`,
  );
  saveModel(path, {
    config,
    generationConfig: {},
    tokenizerFiles: byteTokenizerFiles(pre, tokenizer as never),
    weights: closedFormTensors(parseModelConfig(config, name)),
  });
  return path;
}

function written(directory: string, type: WrittenType): { path: string; notes: string[] } {
  const files = openModelDirectory(directory);
  const policy = createPolicy(files, { trainable: "none" });
  const path = `${directory}-${type}.gguf`;
  const plan = planGguf(files, type, basename(directory));
  writeGgufModel(path, plan, policy.config, policy.exportWeights());
  policy.dispose();
  return { path, notes: plan.notes };
}

describe("what is written is read back", () => {
  it.each(families)("%s with the tokenizer %s", (name, pre) => {
    const directory = directoryOf(name, pre);
    const original = openModelDirectory(directory);
    const again = openGgufModel(written(directory, "F32").path);
    const config = parseModelConfig(original.config, name);
    const read = parseModelConfig(again.config, name);
    const rotations = (of: DecoderConfig) =>
      of.layers.flatMap(({ mixer }) =>
        mixer.kind === "attention" && mixer.rotary ? [...mixer.rotary.inverse] : [],
      );
    expectClose(rotations(read), rotations(config), { rtol: 1e-5, atol: 0 });
    const rest = (of: DecoderConfig) => ({
      ...of,
      layers: of.layers.map(({ mixer, ...layer }) => ({ ...layer, mixer: { ...mixer, rotary: null } })),
    });
    expect(rest(read)).toEqual(rest(config));
    expect([...again.weights.names].sort()).toEqual([...original.weights.names].sort());
    for (const weight of original.weights.names) {
      expect(again.weights.shape(weight), weight).toEqual(original.weights.shape(weight));
      expect([...again.weights.read(weight)], weight).toEqual([...original.weights.read(weight)]);
    }
    const [a, b] = [original.tokenizer, again.tokenizer];
    expect([b.eosIds, b.bosId, b.size]).toEqual([a.eosIds, a.bosId, a.size]);
    expect([...a.eosIds].sort()).toEqual([265, 267]);
    const messages = [{ role: "user" as const, content: "hello 123" }];
    const text = a.renderChat(messages, { addGenerationPrompt: true });
    expect(b.renderChat(messages, { addGenerationPrompt: true })).toBe(text);
    expect(b.encode(`${text}<think>`, { addSpecialTokens: true })).toEqual(
      a.encode(`${text}<think>`, { addSpecialTokens: true }),
    );
  });

  it("an own copy is written to the same bytes: nothing depends on the day or the path", () => {
    const directory = directoryOf("qwen3", "qwen2");
    const first = readFileSync(written(directory, "Q8_0").path);
    expect(readFileSync(written(directory, "Q8_0").path).equals(first)).toBe(true);
  });
});

describe("what GGUF cannot say is refused, before anything is written", () => {
  const refuse = (directory: string) => () => planGguf(openModelDirectory(directory), "F32", "x");

  it.each<[string, Json, RegExp]>([
    [
      "llama3-rope",
      {
        rope_scaling: {
          rope_type: "llama3",
          factor: 8,
          low_freq_factor: 2,
          high_freq_factor: 4,
          original_max_position_embeddings: 64,
        },
      },
      /rope_freqs.weight is not Llama 3's scaling/,
    ],
    ["smollm3", { no_rope_layers: [1, 0, 1, 0] }, /cannot say layers.1.mixer.rotary = null/],
    [
      "qwen2-yarn",
      {
        rope_scaling: {
          rope_type: "yarn",
          factor: 4,
          attention_factor: 2,
          original_max_position_embeddings: 2048,
        },
      },
      /cannot say layers.0.mixer.rotary.attentionFactor = 2/,
    ],
    [
      "qwen2",
      { use_sliding_window: true, sliding_window: 4, max_window_layers: 1 },
      /cannot say layers.1.mixer.window = 4/,
    ],
  ])("%s: %j", (name, change, message) => {
    expect(refuse(directoryOf(name, "qwen2", change))).toThrow(message);
  });

  it.each<[string, Json, RegExp]>([
    [
      "another pattern",
      { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true, use_regex: true } },
      /those of none of llama-bpe, dbrx/,
    ],
    ["another normalizer", { normalizer: { type: "Lowercase" } }, /GGUF has no name for them/],
    [
      "text that is surrounded",
      {
        post_processor: {
          type: "TemplateProcessing",
          single: [
            { SpecialToken: { id: "<|im_start|>", type_id: 0 } },
            { Sequence: { id: "A", type_id: 0 } },
          ],
          pair: [],
          special_tokens: { "<|im_start|>": { id: "<|im_start|>", ids: [266], tokens: ["<|im_start|>"] } },
        },
      },
      /./,
    ],
  ])("a tokenizer with %s", (_what, change, message) => {
    const directory = directoryOf("qwen2", "qwen2", {}, change);
    if (change["post_processor"]) {
      // the key of tokenizer_config.json decides over the post-processor
      expect(refuse(directory)).not.toThrow();
    } else expect(refuse(directory)).toThrow(message);
  });

  it("weights that are no numbers, or too large for the type", () => {
    const files = openModelDirectory(directoryOf("llama", "smollm"));
    const config = parseModelConfig(files.config, "x");
    const plan = planGguf(files, "F16", "x");
    const weights = (value: number) =>
      closedFormTensors(config).map((tensor, i) =>
        i === 3 ? { ...tensor, data: tensor.data.map(() => value) } : tensor,
      );
    const write = (value: number) => () =>
      writeGgufModel(space.path("bad.gguf"), plan, config, weights(value));
    expect(write(Number.NaN)).toThrow(/self_attn.k_proj.weight holds NaN, not finite/);
    expect(write(7e4)).toThrow(/holds 70000, beyond F16's largest, 65504: use --type bf16/);
  });

  it("the command says which flag and which file", async () => {
    const quiet = () => {};
    const directory = directoryOf("llama", "smollm");
    const ask = (to: string, request: object) => exportModel(directory, space.path(to), request, quiet);
    await expect(ask("a.gguf", { type: "q9" })).rejects.toThrow(
      /--type q9: with --format gguf use one of f16, f32, bf16, q8_0, q4_0/,
    );
    await expect(ask("a", { format: "gguf" })).rejects.toThrow(/give a name that ends in .gguf/);
    await expect(ask("a.gguf", { format: "hugging-face" })).rejects.toThrow(/writes a directory/);
    await expect(ask("a", { type: "q8_0" })).rejects.toThrow(
      /with --format hugging-face use one of f32, bf16, f16/,
    );
    await expect(ask("a.gguf", { format: "onnx" })).rejects.toThrow(
      /--format onnx: use one of hugging-face, gguf/,
    );
    expect(existsSync(space.path("a.gguf"))).toBe(false);
    expect(await ask("a.gguf", { type: "q8_0" })).toMatchObject({ type: "Q8_0" });
    await expect(ask("a.gguf", {})).rejects.toThrow(/exists already/);
  });
});

interface Answer {
  text: string;
  tokens: number[];
  first: number[];
  promptTokens: number;
}

/** Greedy tokens of ours, and log-probabilities of the first. */
async function ours(
  policy: DecoderPolicy,
  prompt: readonly number[],
  tokens: number,
  banned: readonly number[] = [],
) {
  const session = await policy.startGeneration([Int32Array.from(prompt)], {
    repeats: 1,
    maxNewTokens: tokens,
  });
  const largest = Math.max(...session.logits);
  const total = Math.log(session.logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)) + largest;
  const first = Array.from(session.logits, (logit) => logit - total);
  const found: number[] = [];
  for (let i = 0; i < tokens; i++) {
    for (const id of banned) session.logits[id] = -Infinity;
    found.push(session.logits.indexOf(Math.max(...session.logits)));
    await session.step(Int32Array.of(found.at(-1)!));
  }
  session.dispose();
  return { first, tokens: found };
}

const llama = pythonEnvironment("xllamacpp");
interface Question {
  vocabulary: number;
  banned: readonly number[];
  requests: { prompt: unknown; tokens: number }[];
}
const ask = (model: string, question: Question) =>
  askPython<Answer[]>(llama.python!, "llama-cpp.py", { model, ...question });
/** Largest difference of log-probabilities. */
const distance = (a: readonly number[], b: readonly number[]) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);

optionalPart(
  "llama.cpp",
  llama.python !== null,
  llama.reason,
)(() => {
  // a window's prompt is as long as the window: beyond it llama.cpp attends to everything, which is told
  it.each(families)("%s: logits and greedy tokens are ours", async (name, pre) => {
    const directory = directoryOf(name, pre, name === "mistral" ? { sliding_window: 64 } : {});
    const files = openModelDirectory(directory);
    const policy = createPolicy(files, { trainable: "none" });
    const prompt = files.tokenizer.encode("hello world 123, it's hell", { addSpecialTokens: false });
    const { path, notes } = written(directory, "F32");
    expect(notes.length).toBe(name === "mistral" ? 1 : 0);
    // parts of characters, rows without a token, and ends
    const banned = [...Array(128).keys()].map((i) => 128 + i).concat([265, 267]);
    for (let id = 269; id < BYTE_VOCABULARY; id++) banned.push(id);
    const [answer] = ask(path, { vocabulary: BYTE_VOCABULARY, banned, requests: [{ prompt, tokens: 8 }] });
    const expected = await ours(policy, prompt, 8, banned);
    policy.dispose();
    expect(distance(answer!.first, expected.first)).toBeLessThan(1e-4);
    expect(answer!.tokens).toEqual(expected.tokens);
  });
});

const smollm2 = process.env["RLPT_SMOLLM2_GGUF"] ?? "";
const wanted = process.env["RLPT_SLOW"] === "1" && existsSync(smollm2) && llama.python !== null;

optionalPart(
  "SmolLM2-135M-Instruct in llama.cpp",
  wanted,
  `RLPT_SLOW=1, RLPT_SMOLLM2_GGUF and ${llama.reason}`,
)(() => {
  it.each<[WrittenType, number, number]>([
    ["F16", 0.1, 16],
    ["Q8_0", 0.5, 1],
  ])("%s: logits of a chat, and greedy text", { timeout: 600_000 }, async (type, limit, tokens) => {
    const path = space.path(`smollm2-${type}.gguf`);
    await exportModel(smollm2, path, { type: type.toLowerCase() }, () => {});
    const files = openGgufModel(path);
    await useBackend("wasm with our kernels");
    const policy = createPolicy(files, { trainable: "none" });
    const text = files.tokenizer.renderChat([{ role: "user", content: "What is 12345 + 1? It's easy." }], {
      addGenerationPrompt: true,
    });
    const prompt = files.tokenizer.encode(text, { addSpecialTokens: false });
    const requests = [prompt, text].map((each) => ({ prompt: each, tokens: tokens }));
    const answers = ask(path, { vocabulary: policy.vocabSize, banned: [], requests });
    const expected = await ours(policy, prompt, tokens);
    policy.dispose();
    for (const answer of answers) {
      expect(answer.promptTokens).toBe(prompt.length);
      expect(distance(answer.first, expected.first)).toBeLessThan(limit);
      expect(answer.text).toBe(files.tokenizer.decode(expected.tokens));
    }
  });
});
