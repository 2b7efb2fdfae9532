import { beforeAll, describe, expect, it } from "vitest";
import { configText, olderSpelling } from "../../src/policy/files/model-directory.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy } from "../../src/policy/policy.ts";
import { closedFormTensors, memoryWeights } from "../helpers/closed-form.ts";
import {
  adapterOf,
  batchOf,
  checkAgainst,
  decoderGoldens,
  golden,
  greedyTokens,
  loraGoldens,
  policyOf,
} from "../helpers/goldens.ts";
import { expectClose, testBackends, useBackend } from "../helpers/tensors.ts";

it("there are goldens", () => {
  expect(decoderGoldens.length).toBeGreaterThanOrEqual(20);
  expect(loraGoldens.length).toBeGreaterThanOrEqual(6);
});

it.each(decoderGoldens)("%s: the newer spelling of config.json means the same", (name) => {
  const { config, configNewer } = golden(name);
  expect(parseModelConfig(configNewer, "newer")).toEqual(parseModelConfig(config, "older"));
});

it.each(decoderGoldens)(
  "%s: what is saved is what was loaded: config, names, shapes, numbers",
  async (name) => {
    await useBackend("wasm with our kernels");
    const { config, configNewer } = golden(name);
    const parsed = parseModelConfig(config, "loaded");
    for (const json of [config, configNewer]) {
      expect(parseModelConfig(olderSpelling(json, "F32"), "saved")).toEqual(parsed);
    }
    const loaded = closedFormTensors(parsed);
    const policy = policyOf(config, { trainable: "full" });
    expect([...policy.exportWeights()]).toEqual(loaded);
    policy.dispose();
  },
);

it("floats stay floats: transformers refuses a cap of 30 where it wants 30.0", () => {
  const text = configText({ final_logit_softcapping: 30, hidden_size: 30, rope_scaling: { factor: 8 } });
  expect(text).toContain('"final_logit_softcapping": 30.0,');
  expect(text).toContain('"hidden_size": 30,');
  expect(text).toContain('"factor": 8.0');
  expect(JSON.parse(text)).toEqual({
    final_logit_softcapping: 30,
    hidden_size: 30,
    rope_scaling: { factor: 8 },
  });
});

describe.each(testBackends)("decoders against transformers on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  describe.each(decoderGoldens)("%s", (name) => {
    const expected = golden(name);

    it.each([false, true])("logits, loss and gradients (rematerialise: %s)", async (rematerialise) => {
      const policy = policyOf(expected.config, { trainable: "full", rematerialise });
      await checkAgainst(expected, policy);
      policy.dispose();
    });

    it("greedy continuation from the cache", async () => {
      const policy = policyOf(expected.config, { trainable: "none" });
      expect(await greedyTokens(policy, expected)).toEqual(expected.greedy);
      policy.dispose();
    });
  });

  describe.each(loraGoldens)("%s, against peft", (name) => {
    const expected = golden(name);
    const adapter = adapterOf(expected, name);

    it.each([false, true])(
      "logits, loss and adapter gradients (rematerialise: %s)",
      async (rematerialise) => {
        const policy = policyOf(expected.config, { trainable: "lora", adapter, rematerialise });
        await checkAgainst(expected, policy);
        policy.dispose();
      },
    );

    it("merged on export, and the adapter comes out as it went in", () => {
      const policy = policyOf(expected.config, { trainable: "lora", adapter });
      const weights = memoryWeights([...policy.exportWeights()]);
      const merged = createPolicy(
        { config: expected.config, weights, source: "merged" },
        { trainable: "none" },
      );
      const every = Int32Array.from(expected.ids, (_, i) => i);
      const logits = merged.logits(batchOf(expected), every).dataSync();
      expectClose(logits, expected.mergedLogits, { atol: 1e-4, rtol: 0, what: "merged logits" });

      const exported = policy.exportAdapter()!;
      expect(exported.tensors).toEqual(adapter.tensors);
      const names = exported.tensors.map(({ name }) => name).sort();
      if (expected.adapterNames !== undefined) expect(names).toEqual(expected.adapterNames);
      for (const key of [
        "r",
        "lora_alpha",
        "use_rslora",
        "bias",
        "peft_type",
        "task_type",
        "fan_in_fan_out",
      ]) {
        expect(exported.config[key], key).toEqual(expected.adapterConfig[key]);
      }
      // names of modules where a target is not in every layer
      const targets = (config: Record<string, unknown>) =>
        [...new Set((config["target_modules"] as string[]).map((name) => name.split(".").at(-1)!))].sort();
      expect(targets(exported.config)).toEqual(targets(expected.adapterConfig));
      merged.dispose();
      policy.dispose();
    });
  });
});
