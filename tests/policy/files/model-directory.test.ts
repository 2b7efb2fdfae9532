import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { olderSpelling, openModel, saveModel } from "../../../src/policy/files/model-directory.ts";
import { TINY_CONFIG, TINY_TOKENS, tinyModel, tinyWeights } from "./tiny-model.ts";
import { f32Tensor, writeGguf } from "./write-gguf.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-model-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const fresh = (): string => join(root, `m${made++}`);
const saved = (): string => {
  const directory = fresh();
  saveModel(directory, tinyModel());
  return directory;
};

test("a saved model opens again: every file, every weight", async () => {
  const directory = fresh();
  const files = saveModel(directory, tinyModel());
  expect(files).toEqual([
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
  ]);
  expect(readdirSync(directory).sort()).toEqual([...files].sort());
  const model = await openModel(directory);
  expect(model.source).toBe(directory);
  expect(model.commit).toBeNull();
  expect(model.config).toEqual(TINY_CONFIG);
  expect(model.generationConfig["eos_token_id"]).toEqual([2]);
  expect(model.tokenizer.eosIds).toEqual([2]);
  expect(model.warnings).toEqual([]);
  for (const { name, data } of tinyWeights()) expect(model.weights.read(name)).toEqual(data);
  model.weights.close();

  const again = fresh();
  saveModel(again, { ...model, weights: tinyWeights() });
  for (const name of files)
    expect(readFileSync(join(again, name))).toEqual(readFileSync(join(directory, name)));
});

test("tokenizer files are copied byte for byte, unknown keys of config.json stay", async () => {
  const directory = saved();
  const odd = `  ${readFileSync(join(directory, "tokenizer.json"), "utf8")}\n\n`;
  writeFileSync(join(directory, "tokenizer.json"), odd);
  writeFileSync(join(directory, "special_tokens_map.json"), "{ }");
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...TINY_CONFIG, my_key: [1, { a: null }] }));
  const model = await openModel(directory);
  const copy = fresh();
  saveModel(copy, { ...model, weights: [] });
  expect(readFileSync(join(copy, "tokenizer.json"), "utf8")).toBe(odd);
  expect(readFileSync(join(copy, "special_tokens_map.json"), "utf8")).toBe("{ }");
  expect(JSON.parse(readFileSync(join(copy, "config.json"), "utf8"))["my_key"]).toEqual([1, { a: null }]);
});

test("bfloat16 exports say so, and a tied head is left out", async () => {
  const directory = fresh();
  const head = { name: "lm_head.weight", shape: [8, 8], data: new Float32Array(64) };
  saveModel(directory, { ...tinyModel(), weights: [...tinyWeights(), head], dtype: "BF16" });
  const model = await openModel(directory);
  expect(model.config["torch_dtype"]).toBe("bfloat16");
  expect(model.weights.dtype("model.norm.weight")).toBe("BF16");
  expect(model.weights.names).not.toContain("lm_head.weight");
  const untied = fresh();
  const config = { ...TINY_CONFIG, tie_word_embeddings: false };
  saveModel(untied, { ...tinyModel(), config, weights: [...tinyWeights(), head] });
  expect((await openModel(untied)).weights.names).toContain("lm_head.weight");
});

test("config.json in the older spelling", () => {
  const { rope_theta: _theta, rope_scaling: _scaling, torch_dtype: _dtype, ...base } = TINY_CONFIG;
  const spell = (config: Record<string, unknown>) => {
    const { rope_theta, rope_scaling, rope_parameters, torch_dtype, dtype } = olderSpelling(
      { ...base, ...config },
      "F32",
    );
    return { rope_theta, rope_scaling, rope_parameters, torch_dtype, dtype };
  };
  const f32 = { torch_dtype: "float32", dtype: undefined, rope_parameters: undefined };
  expect(spell({ dtype: "bfloat16", rope_parameters: { rope_type: "default", rope_theta: 1e6 } })).toEqual({
    ...f32,
    rope_theta: 1e6,
    rope_scaling: null,
  });
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
  expect(spell({ rope_parameters: { ...yarn, rope_theta: 500 } })).toEqual({
    ...f32,
    rope_theta: 500,
    rope_scaling: yarn,
  });
  expect(spell({ rope_theta: 7, rope_scaling: yarn })).toEqual({ ...f32, rope_theta: 7, rope_scaling: yarn });
  // rope_scaling replaces rope_parameters whole, theta included
  expect(spell({ rope_scaling: yarn, rope_parameters: { rope_theta: 5, rope_type: "default" } })).toEqual({
    ...f32,
    rope_theta: undefined,
    rope_scaling: yarn,
  });
  const nested = { full_attention: { rope_type: "default", rope_theta: 5 } };
  expect(spell({ rope_parameters: nested })).toMatchObject({ rope_parameters: nested });
});

test("GGUF: opened with config and tokenizer rebuilt, saved as a directory", async () => {
  const symbols = ["<|im_start|>", "<|im_end|>", "[PAD2]", "a", "b", "ab", "Ġ", "Ġa", "<think>"];
  const path = writeGguf(
    {
      "general.architecture": "qwen2",
      "qwen2.block_count": 1,
      "qwen2.embedding_length": 4,
      "qwen2.feed_forward_length": 4,
      "qwen2.attention.head_count": 1,
      "qwen2.attention.layer_norm_rms_epsilon": { f32: 1e-6 },
      "qwen2.context_length": 32,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "qwen2",
      "tokenizer.ggml.tokens": symbols,
      "tokenizer.ggml.token_type": [3, 3, 5, 1, 1, 1, 1, 1, 4],
      "tokenizer.ggml.merges": ["a b", "Ġ a"],
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1,
      "tokenizer.ggml.eot_token_id": 0,
      "tokenizer.ggml.add_bos_token": true,
      "tokenizer.chat_template": "{{ messages[0].content }}<|im_end|>",
    },
    [f32Tensor("token_embd.weight", [9, 4], new Array<number>(36).fill(1))],
  );
  const model = await openModel(path);
  const { tokenizer } = model;
  expect(tokenizer.encode("ab a<think>", { addSpecialTokens: true })).toEqual([0, 5, 7, 8]);
  expect(tokenizer.decode([0, 5, 7, 8], { skipSpecialTokens: true })).toBe("ab a<think>");
  expect(tokenizer.decode([2])).toBe(""); // a filler, not a token
  expect([tokenizer.eosIds, tokenizer.bosId, tokenizer.padId]).toEqual([[1, 0], 0, 1]);
  expect(tokenizer.renderChat([{ role: "user", content: "a" }], { addGenerationPrompt: true })).toBe(
    "a<|im_end|>",
  );
  const directory = fresh();
  saveModel(directory, { ...model, weights: tinyWeights().slice(0, 1) });
  const again = await openModel(directory);
  expect(again.tokenizer.encode("ab a", { addSpecialTokens: true })).toEqual([0, 5, 7]);
  expect(again.config["model_type"]).toBe("qwen2");
  expect(again.tokenizer.eosIds).toEqual([1, 0]);
});

test.each<[string, Record<string, string | boolean>, RegExp]>([
  ["model", { "tokenizer.ggml.model": "bert" }, /tokenizer.ggml.model = bert; only gpt2 .* and llama/],
  ["pre", { "tokenizer.ggml.pre": "viking" }, /tokenizer.ggml.pre = viking is not a pre-tokenizer/],
])("GGUF tokenizers that cannot be rebuilt: %s", async (_name, over, message) => {
  const path = writeGguf(
    {
      "general.architecture": "llama",
      "llama.block_count": 1,
      "llama.embedding_length": 4,
      "llama.feed_forward_length": 4,
      "llama.attention.head_count": 1,
      "llama.attention.layer_norm_rms_epsilon": { f32: 1e-6 },
      "llama.context_length": 32,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "smollm",
      "tokenizer.ggml.tokens": ["a"],
      "tokenizer.ggml.merges": [],
      ...over,
    },
    [f32Tensor("token_embd.weight", [1, 4], [1, 2, 3, 4])],
  );
  await expect(openModel(path)).rejects.toThrow(message);
});

test("what cannot be opened is said with the way out", async () => {
  const at = async (prepare: (directory: string) => void): Promise<string> => {
    const directory = saved();
    prepare(directory);
    return openModel(directory).then(
      () => "opened",
      (error: Error) => error.message,
    );
  };
  const drop = (name: string) => (directory: string) => rmSync(join(directory, name));
  expect(await at(() => {})).toBe("opened");
  expect(await at(drop("config.json"))).toMatch(/has no config.json$/);
  expect(
    await at((d) => {
      drop("config.json")(d);
      writeFileSync(join(d, "x.gguf"), "");
    }),
  ).toMatch(/it holds x.gguf: name that file/);
  expect(
    await at((d) => {
      drop("config.json")(d);
      writeFileSync(join(d, "adapter_config.json"), "");
    }),
  ).toMatch(/LoRA adapter, not a model/);
  expect(await at(drop("tokenizer.json"))).toMatch(/has no tokenizer.json/);
  expect(await at(drop("model.safetensors"))).toMatch(/has no model.safetensors/);
  expect(await at((d) => writeFileSync(join(d, "config.json"), "{"))).toMatch(
    /config.json is not valid JSON at byte 1/,
  );
  const small = { ...TINY_CONFIG, vocab_size: 6 };
  expect(TINY_TOKENS.length).toBe(7);
  expect(await at((d) => writeFileSync(join(d, "config.json"), JSON.stringify(small)))).toMatch(
    /the tokenizer has id 6 \("="\) but the model's vocabulary ends at 5 \(vocab_size 6\)/,
  );
  const text = join(root, "notes.txt");
  writeFileSync(text, "x");
  await expect(openModel(text)).rejects.toThrow(
    /notes.txt is a file; a model is a directory, a .gguf file, or a Hub id/,
  );
  await expect(openModel("./nowhere/at/all")).rejects.toThrow(/nowhere\/at\/all: no such file or directory/);
  await expect(openModel("org/missing.gguf")).rejects.toThrow(/missing.gguf: no such file/);
});

test("model.safetensors wins over an index and its shards, and both are named", async () => {
  const directory = fresh();
  saveModel(directory, { ...tinyModel(), maxShardBytes: 1000 });
  const shards = readdirSync(directory).filter((name) => /-of-/.test(name));
  expect(shards.length).toBeGreaterThan(1);
  const later = tinyWeights().map((tensor) => ({ ...tensor, data: tensor.data.map((value) => value + 1) }));
  const other = fresh();
  saveModel(other, { ...tinyModel(), weights: later });
  copyFileSync(join(other, "model.safetensors"), join(directory, "model.safetensors"));
  const check = async (): Promise<void> => {
    const model = await openModel(directory);
    expect(model.weights.read("model.norm.weight")).toEqual(
      later.find(({ name }) => name === "model.norm.weight")!.data,
    );
    model.weights.close();
    expect(model.warnings.join()).toMatch(
      /has model.safetensors and model.safetensors.index.json: the first is read/,
    );
  };
  await check();
  for (const name of shards) rmSync(join(directory, name));
  await check();
});

test("an added token beyond the embedding is harmless until a text holds it", async () => {
  const directory = saved();
  const rewrite = (name: string, edit: (json: Record<string, unknown>) => void): void => {
    const json = JSON.parse(readFileSync(join(directory, name), "utf8"));
    edit(json);
    writeFileSync(join(directory, name), JSON.stringify(json));
  };
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  rewrite("tokenizer.json", (json) =>
    (json["added_tokens"] as unknown[]).push({ id: 8, content: "[PAD]", ...special }),
  );
  rewrite("tokenizer_config.json", (json) => Object.assign(json, { pad_token: "[PAD]", eos_token: "[PAD]" }));
  rewrite("generation_config.json", (json) => Object.assign(json, { eos_token_id: [8, 2], pad_token_id: 8 }));
  const { tokenizer, warnings, weights } = await openModel(directory);
  weights.close();
  expect(warnings.join()).toMatch(
    /the embedding ends at id 7 and has no row for the added tokens \[PAD\] \(8\): .*resize_token_embeddings/,
  );
  expect([tokenizer.padId, tokenizer.eosIds]).toEqual([0, [2]]);
  expect(tokenizer.encode("1+0", { addSpecialTokens: false })).toEqual([4, 5, 3]);
  expect(() => tokenizer.encode("1+[PAD]", { addSpecialTokens: false })).toThrow(
    /"1\+\[PAD\]" holds \[PAD\] \(8\), but the embedding ends at id 7/,
  );
});

test("what is no regular file is refused at once, by name", async () => {
  const reason = (directory: string): Promise<string> =>
    openModel(directory).then(
      () => "opened",
      (error: Error) => error.message,
    );
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
    const directory = saved();
    rmSync(join(directory, name));
    execFileSync("mkfifo", [join(directory, name)]);
    expect(await reason(directory)).toBe(`${join(directory, name)} is a pipe (FIFO), not a file`);
    rmSync(join(directory, name));
    mkdirSync(join(directory, name));
    expect(await reason(directory)).toBe(`${join(directory, name)} is a directory, not a file`);
    rmSync(join(directory, name), { recursive: true });
    symlinkSync("/dev/zero", join(directory, name));
    expect(await reason(directory)).toMatch(/is a device, not a file|is a link to \/dev\/zero/);
  }
  const pipe = join(root, "model.gguf");
  execFileSync("mkfifo", [pipe]);
  expect(await reason(pipe)).toBe(`${pipe} is a pipe (FIFO), not a file`);
});

test("files that are too large, and numbers, are refused before anything is made of them", async () => {
  const directory = saved();
  truncateSync(join(directory, "config.json"), 21_000_000);
  await expect(openModel(directory)).rejects.toThrow(
    /config.json has 21000000 bytes; such a file has at most/,
  );
  const large = saved();
  truncateSync(join(large, "tokenizer.json"), 3_000_000_000);
  await expect(openModel(large)).rejects.toThrow(/tokenizer.json has 3000000000 bytes; such a file/);
});

test("a link may not carry other files of this machine into checkpoints", async () => {
  const secret = join(root, "id_rsa");
  writeFileSync(secret, "{}");
  const linked = saved();
  symlinkSync(secret, join(linked, "special_tokens_map.json"));
  await expect(openModel(linked)).rejects.toThrow(
    /special_tokens_map.json is a link to .*id_rsa, a file outside of the model: .* Copy it there/,
  );
  // a neighbour's tokenizer, a link within the folder, and the Hub cache's own layout
  const neighbour = saved();
  rmSync(join(neighbour, "tokenizer.json"));
  symlinkSync(join(linked, "tokenizer.json"), join(neighbour, "tokenizer.json"));
  renameSync(join(neighbour, "tokenizer_config.json"), join(neighbour, "t.json"));
  symlinkSync("t.json", join(neighbour, "tokenizer_config.json"));
  (await openModel(neighbour)).weights.close();
  const storage = fresh();
  mkdirSync(join(storage, "blobs"), { recursive: true });
  const snapshot = join(storage, "snapshots", "c0ffee");
  saveModel(snapshot, tinyModel());
  renameSync(join(snapshot, "tokenizer.json"), join(storage, "blobs", "abc"));
  symlinkSync("../../blobs/abc", join(snapshot, "tokenizer.json"));
  (await openModel(snapshot)).weights.close();
});

test("a folder that cannot be written is an error of ours", () => {
  const file = join(root, "occupied");
  writeFileSync(file, "x");
  expect(() => saveModel(join(file, "inside"), tinyModel())).toThrow(
    /occupied\/inside cannot be written: a part of the path is not a directory/,
  );
  mkdirSync(join(root, "full", "model.safetensors"), { recursive: true });
  expect(() => saveModel(join(root, "full"), tinyModel())).toThrow(
    /full: weights cannot be written: it is a directory/,
  );
});
