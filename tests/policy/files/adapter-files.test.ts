import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openAdapter, saveAdapter } from "../../../src/policy/files/adapter-files.ts";
import type { NamedTensor } from "../../../src/policy/interfaces.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-adapter-"));
afterAll(() => rmSync(root, { recursive: true }));
const fresh = (): string => mkdtempSync(join(root, "a"));
const golden = JSON.parse(readFileSync("tests/golden/files/weights.json", "utf8")).adapter as {
  files: Record<string, string>;
  scalings: Record<string, number>;
};
const CONFIG = { peft_type: "LORA", task_type: "CAUSAL_LM", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
const Q = "model.layers.0.self_attn.q_proj";
const matrix = (name: string, shape: readonly number[]): NamedTensor => ({
  name: `base_model.model.${name}`,
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
});
const PAIR = [matrix(`${Q}.lora_A.weight`, [2, 8]), matrix(`${Q}.lora_B.weight`, [6, 2])];

test("an adapter written by PEFT opens, with PEFT's scalings", () => {
  const directory = fresh();
  for (const [name, bytes] of Object.entries(golden.files)) {
    writeFileSync(join(directory, name), Buffer.from(bytes, "base64"));
  }
  const adapter = openAdapter(directory);
  expect(adapter.pairs.length).toBe(4);
  expect(adapter.saved).toEqual([]);
  for (const pair of adapter.pairs) {
    expect(pair.scaling).toBeCloseTo(golden.scalings[pair.module]!, 12);
    expect(pair.rank).toBe(pair.module === "model.layers.1.mlp.down_proj" ? 3 : 2);
    expect(pair.readA().length).toBe(pair.shapeA[0] * pair.shapeA[1]);
    expect(pair.readB().some((x) => x !== 0)).toBe(true);
  }
  adapter.close();
});

test("what is saved opens with the same bytes", () => {
  const directory = join(fresh(), "new");
  saveAdapter(directory, { tensors: PAIR, config: CONFIG });
  const adapter = openAdapter(directory);
  expect(adapter.rawConfig).toEqual(CONFIG);
  const [pair] = adapter.pairs;
  expect(pair).toMatchObject({ module: Q, rank: 2, scaling: 2, shapeA: [2, 8], shapeB: [6, 2] });
  expect(pair!.readA()).toEqual(PAIR[0]!.data);
  expect(pair!.readB()).toEqual(PAIR[1]!.data);
  adapter.close();
});

test("names of raw state dicts and modules_to_save", () => {
  const directory = fresh();
  const tensors = [
    matrix(`${Q}.lora_A.default.weight`, [2, 8]),
    matrix(`${Q}.lora_B.default.weight`, [6, 2]),
    matrix("lm_head.weight", [3, 2]),
  ];
  saveAdapter(directory, { tensors, config: { ...CONFIG, modules_to_save: ["lm_head"] } });
  const adapter = openAdapter(directory);
  expect(adapter.pairs.map(({ module }) => module)).toEqual([Q]);
  expect(adapter.saved.map(({ name, shape }) => [name, shape])).toEqual([["lm_head.weight", [3, 2]]]);
  expect([...adapter.saved[0]!.read()]).toEqual([1, 2, 3, 4, 5, 6]);
});

test.each<[string, NamedTensor[], RegExp]>([
  ["no partner", [PAIR[0]!], /q_proj has lora_A but no lora_B/],
  ["rank", [PAIR[0]!, matrix(`${Q}.lora_B.weight`, [6, 3])], /but r = 2 implies \[2, in\] and \[out, 2\]/],
  ["prefix", [{ ...PAIR[0]!, name: "x.lora_A.weight" }], /does not start with base_model.model./],
  [
    "not targeted",
    [...PAIR, matrix("model.layers.0.mlp.up_proj.lora_A.weight", [2, 8])],
    /target_modules does not name model.layers.0.mlp.up_proj/,
  ],
  ["left over", [...PAIR, matrix(`${Q}.lora_magnitude_vector`, [6])], /lora_magnitude_vector is left over/],
  ["not saved", [...PAIR, matrix("lm_head.weight", [2, 2])], /lm_head.weight is left over/],
  ["twice", [...PAIR, matrix(`${Q}.lora_A.default.weight`, [2, 8])], /has lora_A twice/],
  ["empty", [], /has no LoRA matrices/],
])("tensors that do not fit: %s", (_name, tensors, message) => {
  const directory = fresh();
  saveAdapter(directory, { tensors, config: CONFIG });
  expect(() => openAdapter(directory)).toThrow(message);
});

test("missing files", () => {
  const directory = fresh();
  expect(() => openAdapter(directory)).toThrow(/has no adapter_config.json: it is not a PEFT adapter/);
  writeFileSync(join(directory, "adapter_config.json"), JSON.stringify(CONFIG));
  writeFileSync(join(directory, "adapter_model.bin"), "");
  expect(() => openAdapter(directory)).toThrow(/has no adapter_model.safetensors, only adapter_model.bin/);
});
