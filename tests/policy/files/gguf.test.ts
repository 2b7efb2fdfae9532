import { expect, test } from "vitest";
import { openGguf } from "../../../src/policy/files/gguf.ts";
import {
  ggufConfig,
  ggufWeights,
  huggingFaceName,
  unpermuteRows,
} from "../../../src/policy/files/gguf-model.ts";
import { f32Tensor, type MetadataValue, type TestTensor, writeGguf } from "./write-gguf.ts";

const LLAMA: Record<string, MetadataValue> = {
  "general.architecture": "llama",
  "llama.block_count": 1,
  "llama.embedding_length": 16,
  "llama.feed_forward_length": 24,
  "llama.attention.head_count": 2,
  "llama.attention.head_count_kv": 1n,
  "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
  "llama.rope.freq_base": { f32: 100000 },
  "llama.context_length": 64,
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
};

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const EMBEDDING = f32Tensor("token_embd.weight", [5, 16], count(80));
const asArchitecture = (name: string): Record<string, MetadataValue> =>
  Object.fromEntries(
    Object.entries(LLAMA).map(([key, value]) => [
      key.replace(/^llama/, name),
      key === "general.architecture" ? name : value,
    ]),
  );

test("metadata of every value type and tensors in outermost-first shape", () => {
  const path = writeGguf(
    { a: "text", b: true, c: 7, d: 2n ** 40n, e: { f32: 1e-5 }, f: 0.1, g: ["x", "é"], h: [1, -2] },
    [f32Tensor("w", [2, 3], count(6)), f32Tensor("v", [40], count(40))],
  );
  const file = openGguf(path);
  expect(Object.fromEntries(file.metadata)).toEqual({
    a: "text",
    b: true,
    c: 7,
    d: 2 ** 40,
    e: 1e-5,
    f: 0.1,
    g: ["x", "é"],
    h: [1, -2],
  });
  expect(file.tensors.get("w")!.shape).toEqual([2, 3]);
  expect([...file.read("w")]).toEqual(count(6));
  expect([...file.read("v")]).toEqual(count(40));
  file.close();
});

test("version 2 and another alignment are read", () => {
  const path = writeGguf({ "general.alignment": 64 }, [EMBEDDING], { version: 2, alignment: 64 });
  expect([...openGguf(path).read("token_embd.weight")]).toEqual(count(80));
});

const tensor = (over: Partial<TestTensor>): TestTensor => ({ ...EMBEDDING, ...over });
test.each<[string, () => string, RegExp]>([
  ["magic", () => writeGguf({}, [], { magic: "GGML" }), /does not start with "GGUF"/],
  ["version 1", () => writeGguf({}, [], { version: 1 }), /is GGUF version 1; versions 2 and 3/],
  ["big-endian", () => writeGguf({}, [], { version: 3 << 24 }), /big-endian/],
  [
    "duplicate key",
    () =>
      writeGguf(
        [
          ["a", 1],
          ["a", 2],
        ],
        [],
      ),
    /metadata key a twice/,
  ],
  [
    "alignment",
    () => writeGguf({ "general.alignment": 24 }, []),
    /general.alignment = 24 is not a power of two/,
  ],
  ["duplicate tensor", () => writeGguf({}, [EMBEDDING, EMBEDDING]), /tensor token_embd.weight twice/],
  [
    "type",
    () => writeGguf({}, [tensor({ type: 23 })]),
    /tensor token_embd.weight has GGUF type IQ4_XS \(23\)/,
  ],
  [
    "block",
    () => writeGguf({}, [tensor({ type: "Q8_0" })]),
    /rows of 16, not a multiple of Q8_0's block of 32/,
  ],
  ["truncated data", () => writeGguf({}, [EMBEDDING], { cut: 1 }), /ends at byte \d+, the file has \d+/],
  ["truncated header", () => writeGguf({ a: "text" }, [], { cut: 20 }), /it is truncated/],
  [
    "offset",
    () => writeGguf({}, [EMBEDDING], { shift: 4 }),
    /starts at 4, not a multiple of the alignment 32/,
  ],
  [
    "overlap",
    () => writeGguf({}, [EMBEDDING, tensor({ name: "b" })], { shift: -32 }),
    /tensors token_embd.weight and b overlap/,
  ],
])("refuses a file: %s", (_name, make, message) => {
  const path = make();
  expect(() => openGguf(path)).toThrow(message);
  expect(() => openGguf(path)).toThrow(path);
});

test("config.json from metadata", () => {
  const config = ggufConfig(openGguf(writeGguf(LLAMA, [EMBEDDING])));
  expect(config).toMatchObject({
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 5,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    rope_scaling: null,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: null,
  });
});

test.each<[string, Record<string, MetadataValue>, RegExp]>([
  [
    "architecture",
    { "general.architecture": "bert" },
    /general.architecture = bert is not supported; supported are llama/,
  ],
  ["missing", { "llama.block_count": [] }, /llama.block_count is an array of 0, expected an integer/],
  ["string", { "llama.block_count": "3" }, /llama.block_count is a string, expected an integer/],
  ["experts", { "llama.expert_count": 8 }, /mixtures of experts/],
  ["per layer", { "llama.attention.head_count_kv": [1, 2] }, /values per layer/],
  ["partial rope", { "llama.rope.dimension_count": 4 }, /rope.dimension_count = 4: partial RoPE \(of 8\)/],
  ["scaling", { "llama.rope.scaling.type": "longrope" }, /rope.scaling.type = longrope is not supported/],
  ["split", { "split.count": 2 }, /part of a split model/],
])("refuses metadata: %s", (_name, metadata, message) => {
  const file = openGguf(writeGguf({ ...LLAMA, ...metadata }, [EMBEDDING]));
  expect(() => ggufConfig(file)).toThrow(message);
});

test("rope scaling: linear, yarn, and Llama 3's divisors", () => {
  const scaling = (metadata: Record<string, MetadataValue>, tensors: TestTensor[] = []): unknown =>
    ggufConfig(openGguf(writeGguf({ ...LLAMA, ...metadata }, [EMBEDDING, ...tensors])))["rope_scaling"];
  expect(scaling({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": { f32: 4 } })).toEqual({
    rope_type: "linear",
    type: "linear",
    factor: 4,
  });
  expect(
    scaling({
      "llama.rope.scaling.type": "yarn",
      "llama.rope.scaling.factor": { f32: 2.5 },
      "llama.rope.scaling.original_context_length": 32,
    }),
  ).toMatchObject({ rope_type: "yarn", factor: 2.5, original_max_position_embeddings: 32 });
  // theta 5e5, D = 8: wavelengths 6.3, 167, 4443, 118146; 4443 lies between 8192 / 4 and 8192
  const theta = { "llama.rope.freq_base": { f32: 500000 } };
  const smooth = (8192 / (2 * Math.PI * Math.sqrt(500000)) - 1) / 3;
  const divisors = [1, 1, 1 / ((1 - smooth) / 8 + smooth), 8];
  expect(scaling(theta, [f32Tensor("rope_freqs.weight", [4], divisors)])).toEqual({
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  });
  expect(scaling(theta, [f32Tensor("rope_freqs.weight", [4], [1, 1, 1, 1])])).toBeNull();
  expect(() => scaling(theta, [f32Tensor("rope_freqs.weight", [4], [1, 2, 4, 8])])).toThrow(
    /rope_freqs.weight is not Llama 3's/,
  );
});

test("Hugging Face names", () => {
  expect(huggingFaceName("blk.12.attn_q.bias")).toBe("model.layers.12.self_attn.q_proj.bias");
  expect(huggingFaceName("blk.0.ffn_norm.weight")).toBe("model.layers.0.post_attention_layernorm.weight");
  expect(huggingFaceName("output.weight")).toBe("lm_head.weight");
  expect(huggingFaceName("blk.0.ffn_gate_exps.weight")).toBeNull();
});

test("rows of one head of 8 come back in order", () => {
  // the converter writes Hugging Face rows 0 4 1 5 2 6 3 7
  const stored = [0, 4, 1, 5, 2, 6, 3, 7, 10, 14, 11, 15, 12, 16, 13, 17];
  expect([...unpermuteRows(Float32Array.from(stored), 2, 1)]).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17,
  ]);
  const wide = Float32Array.from(stored.flatMap((row) => [row, row + 0.5]));
  expect([...unpermuteRows(wide, 2, 2)].slice(0, 6)).toEqual([0, 0.5, 1, 1.5, 2, 2.5]);
});

test.each(["llama", "smollm3", "qwen2", "qwen3"])("%s: q and k rows, v and o as they are", (architecture) => {
  const stored = [0, 4, 1, 5, 2, 6, 3, 7].flatMap((row) => Array<number>(16).fill(row));
  const permuted = architecture === "llama" || architecture === "smollm3";
  const names = ["attn_q.weight", "attn_k.weight", "attn_v.weight"];
  const tensors = names.map((name) =>
    f32Tensor(
      `blk.0.${name}`,
      name === "attn_q.weight" ? [16, 16] : [8, 16],
      name === "attn_q.weight" ? [...stored, ...stored] : stored,
    ),
  );
  const bias = f32Tensor("blk.0.attn_k.bias", [8], [0, 4, 1, 5, 2, 6, 3, 7]);
  const file = openGguf(writeGguf(asArchitecture(architecture), [EMBEDDING, ...tensors, bias]));
  const weights = ggufWeights(file, ggufConfig(file));
  const rows = (name: string): number[] =>
    [...weights.read(`model.layers.0.self_attn.${name}.weight`)].filter((_, i) => i % 16 === 0);
  const original = [0, 1, 2, 3, 4, 5, 6, 7];
  expect(rows("k_proj")).toEqual(permuted ? original : [0, 4, 1, 5, 2, 6, 3, 7]);
  expect(rows("q_proj")).toEqual(
    permuted ? [...original, ...original] : [0, 4, 1, 5, 2, 6, 3, 7, 0, 4, 1, 5, 2, 6, 3, 7],
  );
  expect(rows("v_proj")).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
  expect([...weights.read("model.layers.0.self_attn.k_proj.bias")]).toEqual(
    permuted ? original : [0, 4, 1, 5, 2, 6, 3, 7],
  );
  expect(weights.shape("model.embed_tokens.weight")).toEqual([5, 16]);
  expect(weights.dtype("model.embed_tokens.weight")).toBe("F32");
  expect(() => weights.read("lm_head.weight")).toThrow(/has no tensor for lm_head.weight/);
});

test("a tensor without a Hugging Face name is an error", () => {
  const file = openGguf(writeGguf(LLAMA, [EMBEDDING, f32Tensor("blk.0.attn_sinks.weight", [2], [1, 2])]));
  expect(() => ggufWeights(file, ggufConfig(file))).toThrow(/unexpected tensor blk.0.attn_sinks.weight/);
});
