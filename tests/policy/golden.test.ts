import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import type { NamedTensor } from "../../src/policy/interfaces.ts";
import { adapterTensorName } from "../../src/policy/lora.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { closedForm, closedFormTensors, memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { expectClose, testBackends, useBackend } from "../helpers/tensors.ts";

type Json = Record<string, unknown>;

/** Written by tools/goldens/decoder.py with transformers and peft. */
interface Golden {
  config: Json;
  configNewer: Json;
  ids: number[];
  logits: number[];
  nll: number;
  gradientNorms: Record<string, number>;
  gradients: Record<string, number[]>;
  greedy: number[];
  adapterConfig: Json;
  mergedLogits: number[];
}

function golden(name: string): Golden {
  const path = fileURLToPath(new URL(`../golden/decoder/${name}.json`, import.meta.url));
  return JSON.parse(readFileSync(path, "utf8")) as Golden;
}

function policyOf(config: Json, options: PolicyOptions): DecoderPolicy {
  const weights = memoryWeights(closedFormTensors(parseModelConfig(config, "golden")));
  return createPolicy({ config, weights, source: "golden" }, options);
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, v) => sum + v * v, 0));

/** A gradient in the layout of files. */
function fileLayout(name: string, gradient: tf.Tensor): Float32Array {
  const transposed = name.includes("_proj.weight") || name === "lm_head.weight" || name.includes(".lora_");
  return tf.tidy(() => (transposed ? tf.transpose(gradient) : gradient).dataSync() as Float32Array);
}

function checkAgainst(golden: Golden, policy: DecoderPolicy): void {
  const batch = plainBatch([golden.ids]);
  const every = Int32Array.from(golden.ids, (_, i) => i);
  expectClose(policy.logits(batch, every).dataSync(), golden.logits, { atol: 1e-4, rtol: 0, what: "logits" });
  const nll = () => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)) as tf.Scalar;
  const { loss, gradients } = policy.lossAndGradients(nll);
  expectClose(loss.dataSync(), [golden.nll], { atol: 2e-5, rtol: 0, what: "mean NLL" });
  expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.gradientNorms).sort());
  for (const [name, expected] of Object.entries(golden.gradientNorms)) {
    const found = norm(gradients.get(name)!.dataSync());
    expectClose([found], [expected], { atol: 0, rtol: 1e-4, what: `gradient norm of ${name}` });
  }
  for (const [name, expected] of Object.entries(golden.gradients ?? {})) {
    const found = fileLayout(name, gradients.get(name)!);
    expectClose(found, expected, { atol: 0, rtol: 1e-4, what: `gradient of ${name}` });
  }
}

const decoders = [
  "llama",
  "llama3-rope",
  "qwen2",
  "qwen2-yarn",
  "qwen3",
  "smollm3",
  "mistral",
  "llama-biases",
];

describe.each(testBackends)("decoders against transformers on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  describe.each(decoders)("%s", (name) => {
    const expected = golden(name);

    it.each([false, true])("logits, loss and gradients (rematerialise: %s)", (rematerialise) => {
      const policy = policyOf(expected.config, { trainable: "full", rematerialise });
      checkAgainst(expected, policy);
      policy.dispose();
    });

    it("greedy continuation from the cache", async () => {
      const policy = policyOf(expected.config, { trainable: "none" });
      const steps = expected.greedy.length;
      const session = await policy.startGeneration([Int32Array.from(expected.ids)], {
        repeats: 1,
        maxNewTokens: steps,
      });
      const found: number[] = [];
      for (let i = 0; i < steps; i++) {
        found.push(session.logits.indexOf(Math.max(...session.logits)));
        await session.step(Int32Array.of(found.at(-1)!));
      }
      expect(found).toEqual(expected.greedy);
      session.dispose();
      policy.dispose();
    });
  });

  it.each(decoders)("%s: the newer spelling of config.json means the same", (name) => {
    const { config, configNewer } = golden(name);
    expect(parseModelConfig(configNewer, "newer")).toEqual(parseModelConfig(config, "older"));
  });

  describe.each(["lora", "lora-rslora"])("%s, against peft", (name) => {
    const expected = golden(name);
    const config = parseModelConfig(expected.config, name);
    const tensors: NamedTensor[] = [];
    for (let n = 0; n < config.layers; n++) {
      for (const [part, outputs] of [["q_proj", 32] as const, ["v_proj", 16] as const]) {
        for (const [matrix, shape] of [["A", [4, 32]] as const, ["B", [outputs, 4]] as const]) {
          const tensor = adapterTensorName(`model.layers.${n}.self_attn.${part}`, matrix);
          tensors.push({ name: tensor, shape, data: closedForm(tensor, shape) });
        }
      }
    }
    const adapter = { tensors, config: expected.adapterConfig, source: name };

    it.each([false, true])("logits, loss and adapter gradients (rematerialise: %s)", (rematerialise) => {
      const policy = policyOf(expected.config, { trainable: "lora", adapter, rematerialise });
      checkAgainst(expected, policy);
      policy.dispose();
    });

    it("merged on export, and the adapter comes out as it went in", () => {
      const policy = policyOf(expected.config, { trainable: "lora", adapter });
      const weights = memoryWeights([...policy.exportWeights()]);
      const merged = createPolicy(
        { config: expected.config, weights, source: "merged" },
        { trainable: "none" },
      );
      const every = Int32Array.from(expected.ids, (_, i) => i);
      const logits = merged.logits(plainBatch([expected.ids]), every).dataSync();
      expectClose(logits, expected.mergedLogits, { atol: 1e-4, rtol: 0, what: "merged logits" });

      const exported = policy.exportAdapter()!;
      expect(exported.tensors).toEqual(tensors);
      for (const key of [
        "r",
        "lora_alpha",
        "use_rslora",
        "target_modules",
        "bias",
        "peft_type",
        "task_type",
      ]) {
        expect(exported.config[key], key).toEqual(expected.adapterConfig[key]);
      }
      merged.dispose();
      policy.dispose();
    });
  });
});
