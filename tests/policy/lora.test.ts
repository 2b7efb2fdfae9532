import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import type { LoraOptions, NamedTensor, TokenBatch } from "../../src/policy/interfaces.ts";
import { importAdapter } from "../../src/policy/lora.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { linearTargets } from "../../src/policy/options.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { closedForm, closedFormTensors, memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { expectClose, newTensors, useBackend } from "../helpers/tensors.ts";

const config = {
  model_type: "qwen2",
  vocab_size: 41,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
};
const parsed = parseModelConfig(config, "test");
const lora: LoraOptions = { rank: 3, alpha: 6, targets: [...linearTargets], useRslora: false };
const batch: TokenBatch = plainBatch([
  [3, 10, 17, 24, 31, 38],
  [5, 6, 7],
]);

function policyOf(options: PolicyOptions): DecoderPolicy {
  return createPolicy({ config, weights: memoryWeights(closedFormTensors(parsed)), source: "test" }, options);
}

function adapted(options: Partial<PolicyOptions> = {}): DecoderPolicy {
  const policy = policyOf({ trainable: "lora", lora, rng: createRng(4), ...options });
  for (const [name, variable] of policy.trainable) {
    if (name.includes("lora_B")) variable.assign(tf.tensor(closedForm(name, variable.shape), variable.shape));
  }
  return policy;
}

const logprobs = (policy: DecoderPolicy, reference = false) =>
  policy.score(batch, { temperature: 1, reference }).logprobs.dataSync();
const loss = (policy: DecoderPolicy) => () =>
  tf.mean(policy.score(batch, { temperature: 1 }).logprobs) as tf.Scalar;

beforeAll(() => useBackend("wasm"));

describe("new adapters", () => {
  it("start at the base model, on all seven linear layers, and repeat with the seed", () => {
    const [base, policy, again] = [
      policyOf({ trainable: "none" }),
      policyOf({ trainable: "lora", lora, rng: createRng(4) }),
      policyOf({ trainable: "lora", lora, rng: createRng(4) }),
    ];
    expect(policy.trainable.size).toBe(3 * 7 * 2);
    expect(logprobs(policy)).toEqual(logprobs(base));
    for (const [name, variable] of policy.trainable) {
      const values = variable.dataSync();
      expect(values, name).toEqual(again.trainable.get(name)!.dataSync());
      if (!name.includes("lora_A")) continue;
      const bound = 1 / Math.sqrt(variable.shape[0]!);
      const largest = Math.max(...values.map(Math.abs));
      expect(largest, name).toBeLessThanOrEqual(bound);
      expect(largest, name).toBeGreaterThan(0.8 * bound);
      expect(Math.min(...values), name).toBeLessThan(0);
    }
    for (const each of [base, policy, again]) each.dispose();
  });

  it("only chosen targets are adapted; an unknown one is named", () => {
    const policy = policyOf({ trainable: "lora", lora: { ...lora, targets: ["q_proj", "down_proj"] } });
    expect([...policy.trainable.keys()].slice(0, 4)).toEqual([
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
      "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
      "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight",
    ]);
    policy.dispose();
    expect(() => policyOf({ trainable: "lora", lora: { ...lora, targets: ["w1"] } })).toThrow(
      'lora targets name "w1", which this model has not; it has q_proj, k_proj',
    );
  });
});

describe("adapters in training", () => {
  it("frozen weights are no variables and get no gradient; a step on the adapter lowers the loss", () => {
    for (const rematerialise of [false, true]) {
      const policy = adapted({ rematerialise });
      const { loss: before, gradients } = policy.lossAndGradients(loss(policy));
      expect([...gradients.keys()]).toEqual([...policy.trainable.keys()]);
      for (const [name, gradient] of gradients) {
        expect(Math.max(...gradient.dataSync().map(Math.abs)), name).toBeGreaterThan(0);
        const variable = policy.trainable.get(name)!;
        variable.assign(tf.sub(variable, tf.mul(gradient, 0.01)));
      }
      expect(loss(policy)().dataSync()[0]).toBeLessThan(before.dataSync()[0]!);
      policy.dispose();
    }
  });

  it("the reference is the base model, whatever the adapter", () => {
    const [base, policy] = [policyOf({ trainable: "none" }), adapted()];
    expect(logprobs(policy, true)).toEqual(logprobs(base));
    expect(() => expectClose(logprobs(policy), logprobs(base), { atol: 1e-2 })).toThrow(/off by/);
    base.dispose();
    policy.dispose();
  });

  it("merged weights score like the adapter, and sampling uses it too", async () => {
    const policy = adapted();
    const merged = createPolicy(
      { config, weights: memoryWeights([...policy.exportWeights()]), source: "merged" },
      { trainable: "none" },
    );
    expectClose(logprobs(merged), logprobs(policy), { atol: 2e-5 });
    const [a, b] = await Promise.all(
      [policy, merged].map((each) =>
        each.startGeneration([Int32Array.of(1, 2, 3)], { repeats: 1, maxNewTokens: 1 }),
      ),
    );
    expectClose(a!.logits, b!.logits, { atol: 2e-5 });
    await Promise.all([a!.step(Int32Array.of(4)), b!.step(Int32Array.of(4))]);
    expectClose(a!.logits, b!.logits, { atol: 2e-5 });
    for (const each of [policy, merged, a!, b!]) each.dispose();
  });

  it("leaves no tensor behind", () => {
    const work = () => {
      const policy = policyOf({ trainable: "lora", lora, rematerialise: true });
      const { loss: value, gradients } = policy.lossAndGradients(loss(policy));
      tf.dispose([value, ...gradients.values()]);
      policy.dispose();
    };
    work();
    expect(newTensors(work)).toBe(0);
  });
});

describe("adapters from PEFT files", () => {
  const exported = () => {
    const policy = adapted();
    const result = policy.exportAdapter()!;
    policy.dispose();
    return result;
  };

  it("go out and come in again unchanged, to train on or to sample", () => {
    const policy = adapted();
    const adapter = { ...policy.exportAdapter()!, source: "adapter" };
    expect(adapter.tensors[0]).toMatchObject({
      name: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
      shape: [3, 16],
    });
    expect(adapter.config).toMatchObject({ r: 3, lora_alpha: 6, target_modules: [...linearTargets] });
    for (const trainable of ["lora", "none"] as const) {
      const again = policyOf({ trainable, adapter });
      expect(logprobs(again)).toEqual(logprobs(policy));
      expect(again.trainable.size).toBe(trainable === "lora" ? 42 : 0);
      again.dispose();
    }
    policy.dispose();
  });

  it("ranks and alphas by pattern scale each module by its own", () => {
    const { tensors, config: json } = exported();
    const name = "base_model.model.model.layers.1.mlp.up_proj.lora_";
    const halved: NamedTensor[] = tensors.map((tensor) => {
      if (tensor.name === `${name}A.weight`)
        return { ...tensor, shape: [2, 16], data: tensor.data.slice(0, 32) };
      if (tensor.name === `${name}B.weight`)
        return { ...tensor, shape: [24, 2], data: tensor.data.slice(0, 48) };
      return tensor;
    });
    const patterned = { ...json, rank_pattern: { "1.mlp.up_proj": 2 }, alpha_pattern: { up_proj: 5 } };
    const { adapters } = importAdapter(parsed, halved, patterned, "adapter");
    expect(adapters.get("model.layers.1.mlp.up_proj")).toMatchObject({ rank: 2, alpha: 5 });
    expect(adapters.get("model.layers.0.mlp.up_proj")).toMatchObject({ rank: 3, alpha: 5 });
    expect(adapters.get("model.layers.0.mlp.gate_proj")).toMatchObject({ rank: 3, alpha: 6 });
    const policy = policyOf({
      trainable: "lora",
      adapter: { tensors: halved, config: patterned, source: "adapter" },
    });
    const again = policy.exportAdapter()!;
    expect(importAdapter(parsed, again.tensors, again.config, "again").adapters).toEqual(adapters);
    policy.dispose();
  });

  it("names with .default. are read, all-linear and a regex select like PEFT", () => {
    const { tensors, config: json } = exported();
    const raw = tensors.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace(".weight", ".default.weight"),
    }));
    expect(importAdapter(parsed, raw, { ...json, target_modules: "all-linear" }, "a").adapters.size).toBe(21);
    const queries = tensors.filter(({ name }) => name.includes("q_proj"));
    const { options } = importAdapter(parsed, queries, { ...json, target_modules: ".*\\.q_proj" }, "a");
    expect(options.targets).toEqual(["q_proj"]);
  });

  it.each<[string, (tensors: NamedTensor[]) => NamedTensor[], Record<string, unknown>, string]>([
    ["a partner is missing", (t) => t.slice(1), {}, "q_proj has lora_B but no lora_A"],
    [
      "a shape is off",
      (t) => [{ ...t[0]!, shape: [16, 3] }, ...t.slice(1)],
      {},
      "is [16, 3], the model and r imply [3, 16]",
    ],
    [
      "a name fits nothing",
      (t) => [{ ...t[0]!, name: "x.lora_A.weight" }, ...t.slice(1)],
      {},
      "tensor x.lora_A.weight fits no linear layer",
    ],
    [
      "a target is unknown",
      (t) => t,
      { target_modules: ["w1"] },
      'target_modules names "w1", which this model has not',
    ],
    [
      "a layer is left out",
      (t) => t.slice(2),
      {},
      "covers model.layers.0.self_attn.q_proj, but there are no tensors",
    ],
    [
      "tensors are left over",
      (t) => t,
      { target_modules: ["q_proj"] },
      "which target_modules does not cover",
    ],
    ["DoRA", (t) => t, { use_dora: true }, "use_dora = true: not supported"],
    ["biases", (t) => t, { bias: "all" }, 'bias = "all": trained biases are not supported'],
    [
      "saved modules",
      (t) => t,
      { modules_to_save: ["lm_head"] },
      'modules_to_save = ["lm_head"] is not supported',
    ],
    [
      "excluded modules",
      (t) => t,
      { exclude_modules: ["q_proj"] },
      'exclude_modules = ["q_proj"] is not supported',
    ],
    ["a rank of 0", (t) => t, { r: 0 }, "r = 0: expected a positive integer"],
  ])("refused when %s", (_name, change, keys, message) => {
    const { tensors, config: json } = exported();
    expect(() => importAdapter(parsed, change(tensors), { ...json, ...keys }, "dir")).toThrow(`dir: `);
    expect(() => importAdapter(parsed, change(tensors), { ...json, ...keys }, "dir")).toThrow(message);
  });
});
