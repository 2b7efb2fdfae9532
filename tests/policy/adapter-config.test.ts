import { expect, test } from "vitest";
import {
  isTargeted,
  loraScale,
  moduleRank,
  parseAdapterConfig,
  unmatchedTargets,
} from "../../src/policy/adapter-config.ts";

const CONFIG = { peft_type: "LORA", task_type: "CAUSAL_LM", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
const Q = "model.layers.0.self_attn.q_proj";

test.each<[string, unknown, RegExp]>([
  ["peft_type", "IA3", /peft_type = "IA3": only LORA/],
  ["use_dora", true, /use_dora = true: not supported.*merge the adapter in PEFT first/],
  ["layer_replication", [[0, 2]], /layer_replication = \[\[0,2\]\]/],
  ["kasa_config", { a: 1 }, /kasa_config/],
  ["lora_bias", true, /lora_bias/],
  ["trainable_token_indices", [1], /trainable_token_indices/],
  ["target_parameters", ["x"], /target_parameters/],
  ["layers_to_transform", ["x"], /layers_to_transform = \["x"\]: expected numbers of layers/],
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
  expect(moduleRank(config, Q)).toEqual({ rank: 4, alpha: 10 });
  expect(moduleRank(config, "model.layers.1.self_attn.q_proj")).toEqual({ rank: 9, alpha: 10 });
  expect(moduleRank(config, "model.layers.1.self_attn.k_proj")).toEqual({ rank: 2, alpha: 4 });
  expect(loraScale({ rank: 4, alpha: 10, useRslora: false })).toBe(2.5);
  expect(loraScale({ rank: 4, alpha: 10, useRslora: true })).toBe(5);
});

test("what changes nothing of the base weights is loaded: EVA, orthogonal, fan_in_fan_out, some layers", () => {
  for (const init of ["eva", "orthogonal", "gaussian", true]) {
    expect(() =>
      parseAdapterConfig({ ...CONFIG, init_lora_weights: init, fan_in_fan_out: true }, "a"),
    ).not.toThrow();
  }
  for (const layers of [1, [1]]) {
    const config = parseAdapterConfig({ ...CONFIG, layers_to_transform: layers }, "a");
    expect([isTargeted(config, Q), isTargeted(config, Q.replace("0", "1"))]).toEqual([false, true]);
  }
});

test("a regular expression without a bound is given up", { timeout: 20_000 }, () => {
  const config = parseAdapterConfig({ ...CONFIG, target_modules: "(([a-z0-9._]+)+)+!" }, "a");
  expect(() => isTargeted(config, Q)).toThrow(/takes more than 2 seconds for model.layers.0/);
});
