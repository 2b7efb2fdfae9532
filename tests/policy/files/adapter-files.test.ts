import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  adapterScaling,
  isTargeted,
  openAdapter,
  parseAdapterConfig,
  saveAdapter,
  unmatchedTargets,
} from "../../../src/policy/files/adapter-files.ts";
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

test.each<[string, unknown, RegExp]>([
  ["peft_type", "IA3", /peft_type = "IA3": only LORA/],
  ["use_dora", true, /use_dora = true: not supported/],
  ["fan_in_fan_out", true, /fan_in_fan_out = true/],
  ["layer_replication", [[0, 2]], /layer_replication = \[\[0,2\]\]/],
  ["kasa_config", { a: 1 }, /kasa_config/],
  ["lora_bias", true, /lora_bias/],
  ["trainable_token_indices", [1], /trainable_token_indices/],
  ["target_parameters", ["x"], /target_parameters/],
  ["layers_to_transform", [0], /layers_to_transform/],
  ["bias", "all", /bias = "all": trained biases/],
  ["init_lora_weights", "pissa_niter_4", /init_lora_weights = "pissa_niter_4": it changes the base weights/],
  ["r", 0, /r = 0: expected a positive integer/],
  ["lora_alpha", "16", /lora_alpha = "16": expected a positive number/],
  ["rank_pattern", { q_proj: 1.5 }, /q_proj is not a positive integer/],
  ["target_modules", [], /it names no modules/],
  ["target_modules", "(", /"\(" is not a regular expression/],
  ["target_modules", [1], /expected a list of names/],
])("adapter_config.json with %s = %j is refused", (key, value, message) => {
  expect(() => parseAdapterConfig({ ...CONFIG, [key]: value }, "adapter_config.json")).toThrow(message);
});

test("keys that are off, and those without effect, pass", () => {
  const off = {
    use_dora: false,
    layer_replication: null,
    target_parameters: [],
    kasa_config: {},
    bias: "none",
  };
  const config = parseAdapterConfig(
    { ...CONFIG, ...off, lora_dropout: 0.1, init_lora_weights: "gaussian" },
    "x",
  );
  expect(config).toMatchObject({ rank: 2, alpha: 4, useRslora: false, targetModules: ["q_proj"] });
  const defaults = parseAdapterConfig({ peft_type: "LORA", target_modules: "all-linear" }, "x");
  expect([defaults.rank, defaults.alpha]).toEqual([8, 8]);
});

test("which modules are meant", () => {
  const parse = (over: Record<string, unknown>) => parseAdapterConfig({ ...CONFIG, ...over }, "x");
  const list = parse({ target_modules: ["q_proj", "mlp.up_proj"] });
  expect(isTargeted(list, Q)).toBe(true);
  expect(isTargeted(list, "model.layers.3.mlp.up_proj")).toBe(true);
  expect(isTargeted(list, "model.layers.3.notq_proj")).toBe(false);
  const regex = parse({ target_modules: ".*layers\\.[01]\\.self_attn\\.(q|k)_proj" });
  expect(isTargeted(regex, Q)).toBe(true);
  expect(isTargeted(regex, `${Q}.extra`)).toBe(false);
  expect(isTargeted(regex, "model.layers.2.self_attn.q_proj")).toBe(false);
  const all = parse({ target_modules: "all-linear", exclude_modules: ["down_proj"] });
  expect(isTargeted(all, Q)).toBe(true);
  expect(isTargeted(all, "lm_head")).toBe(false);
  expect(isTargeted(all, "model.layers.0.mlp.down_proj")).toBe(false);
  expect(unmatchedTargets(parse({ target_modules: ["q_proj", "w1"] }), [Q])).toEqual(["w1"]);
  expect(unmatchedTargets(parse({ target_modules: ".*w1" }), [Q])).toEqual([".*w1"]);
});

test("rank and alpha patterns: the first match decides, rsLoRA divides by the root", () => {
  const patterns = {
    rank_pattern: { "layers.0.self_attn.q_proj": 4, q_proj: 9 },
    alpha_pattern: { q_proj: 10 },
  };
  const config = parseAdapterConfig({ ...CONFIG, ...patterns }, "x");
  expect(adapterScaling(config, Q)).toEqual({ rank: 4, scaling: 2.5 });
  expect(adapterScaling(config, "model.layers.1.self_attn.q_proj")).toEqual({ rank: 9, scaling: 10 / 9 });
  expect(adapterScaling({ ...config, useRslora: true }, Q)).toEqual({ rank: 4, scaling: 5 });
  expect(adapterScaling(config, "model.layers.1.self_attn.k_proj")).toEqual({ rank: 2, scaling: 2 });
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
