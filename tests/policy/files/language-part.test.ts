/** The language part of a model that sees pictures, against transformers (tools/goldens/language-part.py). */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openModelDirectory, saveModel } from "../../../src/policy/files/model-directory.ts";
import { writeSafetensorsDirectory } from "../../../src/policy/files/safetensors-write.ts";
import { wordLevelTokenizerFiles } from "../../../src/policy/files/word-level.ts";
import { parseModelConfig } from "../../../src/policy/model-config.ts";
import { createPolicy } from "../../../src/policy/policy.ts";
import { closedForm, plainBatch } from "../../helpers/closed-form.ts";
import { expectClose, useBackend } from "../../helpers/tensors.ts";

type Json = Record<string, unknown>;

const golden = JSON.parse(readFileSync("tests/golden/language-part.json", "utf8")) as {
  config: Json & { text_config: Json };
  shapes: Record<string, number[]>;
  ids: number[];
  logits: number[];
};
const root = mkdtempSync(join(tmpdir(), "rlpt-language-"));
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() => useBackend("wasm with our kernels"));
let made = 0;

/** The golden's model as a directory, with keys of its config and tensors of its own. */
function directoryOf(changed: Json = {}, more: Record<string, number[]> = {}): string {
  const directory = join(root, `m${made++}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...golden.config, ...changed }));
  const tokens = ["<pad>", "<bos>", "<eos>", ...Array.from({ length: 94 }, (_, i) => `t${i}`)];
  for (const [name, bytes] of wordLevelTokenizerFiles(
    tokens,
    { pad: "<pad>", bos: "<bos>", eos: "<eos>" },
    { separator: "space" },
  )) {
    writeFileSync(join(directory, name), bytes);
  }
  const shapes = Object.entries({ ...golden.shapes, ...more });
  const tensors = shapes.map(([name, shape]) => ({ name, shape, data: closedForm(name, shape) }));
  writeSafetensorsDirectory(directory, tensors, { dtype: "F32" });
  return directory;
}

function logitsOf(directory: string) {
  const files = openModelDirectory(directory);
  const policy = createPolicy(files, { trainable: "none" });
  files.weights.close();
  const every = Int32Array.from(golden.ids, (_, i) => i);
  const logits = policy.logits(plainBatch([golden.ids]), every).dataSync();
  return { files, policy, logits };
}

it("computes what the whole computes of text, and says what is left out", () => {
  const directory = directoryOf();
  const { files, policy, logits } = logitsOf(directory);
  expectClose(logits, golden.logits, { atol: 1e-4, rtol: 0, what: "logits" });
  const pictures = Object.keys(golden.shapes).filter((name) => name.startsWith("model.visual.")).length;
  expect(pictures).toBeGreaterThan(10);
  expect(files.warnings[0]).toBe(
    `${directory}: ${pictures} tensors of the part that sees pictures (model.visual.*) and 1 tensors of the part ` +
      "that predicts further tokens (mtp.*) are left out: what is trained and saved is the language part, " +
      "Qwen3_5ForCausalLM, which sees no pictures",
  );
  policy.dispose();
});

it("is saved as the class that transformers has for it, and opens again", () => {
  const { files, policy, logits } = logitsOf(directoryOf());
  const directory = join(root, `m${made++}`);
  saveModel(directory, { ...files, weights: policy.exportWeights() });
  const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as Json;
  expect(config).toMatchObject({ model_type: "qwen3_5_text", architectures: ["Qwen3_5ForCausalLM"] });
  expect(Object.keys(config).filter((key) => /text_config|vision|image|video|mtp/.test(key))).toEqual([]);
  const again = logitsOf(directory);
  expect(again.files.warnings).toEqual([]);
  expect(again.files.weights.names).toContain("model.layers.0.linear_attn.A_log");
  expect(again.files.weights.names.some((name) => /language_model|visual|mtp/.test(name))).toBe(false);
  expect(again.logits).toEqual(logits);
  for (const each of [policy, again.policy]) each.dispose();
});

it("a picture in a message is refused, though the chat template places it", () => {
  const directory = directoryOf();
  const template = "{% for m in messages %}{% for c in m.content %}t1<|image_pad|>{% endfor %}{% endfor %}";
  writeFileSync(join(directory, "chat_template.jinja"), template);
  const picture = { id: "x", name: "x.png", load: () => new Uint8Array() };
  const content = [{ type: "image" as const, picture }];
  const render = () => {
    const { tokenizer, weights } = openModelDirectory(directory);
    weights.close();
    return tokenizer.renderChat([{ role: "user", content }], { addGenerationPrompt: true });
  };
  expect(render).toThrow(/message 0 holds an image, but .* only its language part is read/);
});

describe("what contradicts itself or is not known is refused by name", () => {
  const text = golden.config.text_config;
  it.each<[string, Json, RegExp]>([
    ["no text_config", { text_config: undefined }, /config\.json: text_config is missing/],
    ["of experts", { text_config: { ...text, model_type: "qwen3_5_moe_text" } }, /text_config\.model_type/],
    [
      "ties that differ",
      { tie_word_embeddings: false },
      /tie_word_embeddings = false, and true in text_config/,
    ],
    ["sizes that differ", { hidden_size: 64 }, /hidden_size = 64, and 32 in text_config/],
  ])("%s", (_, changed, message) => {
    expect(() => openModelDirectory(directoryOf(changed))).toThrow(message);
  });

  it.each<[string, Json, RegExp]>([
    [
      "a key beside the parts",
      { sliding_window_size: 8 },
      /sliding_window_size = 8.*not known to qwen3_5_text/,
    ],
    ["a quantised checkpoint", { quantization_config: { bits: 4 } }, /quantization_config/],
    ["a gate that is off", { text_config: { ...text, attn_output_gate: false } }, /attn_output_gate = false/],
  ])("%s", (_, changed, message) => {
    const { config, source, weights } = openModelDirectory(directoryOf(changed));
    weights.close();
    expect(() => parseModelConfig(config, source)).toThrow(message);
  });

  it("a tensor of neither part", () => {
    const directory = directoryOf({}, { "model.audio.weight": [2, 2] });
    expect(() => logitsOf(directory)).toThrow(
      /unexpected tensors for a qwen3_5_text model: model\.audio\.weight/,
    );
  });

  it("mixtures of experts", () => {
    for (const type of ["qwen3_5_moe", "qwen3_5_moe_text"]) {
      expect(() => parseModelConfig({ model_type: type }, "x")).toThrow(
        `model_type = "${type}" is not supported; known are llama, qwen2, qwen3, qwen3_5_text`,
      );
    }
  });
});
