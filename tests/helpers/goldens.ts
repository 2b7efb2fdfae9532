/** Tiny decoders that transformers has computed: tools/goldens/decoder.py. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { batchPictures } from "../../src/policy/batch-pictures.ts";
import { expectedWeights, isTransposed } from "../../src/policy/decoder-weights.ts";
import type { NamedTensor, TokenBatch } from "../../src/policy/interfaces.ts";
import { adapterTensorName, allLinear, classModule } from "../../src/policy/lora.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { closedForm, closedFormTensors, memoryWeights, plainBatch } from "./closed-form.ts";
import { goldenPictures } from "./golden-pictures.ts";
import { expectClose } from "./tensors.ts";

export type Json = Record<string, unknown>;

/** The config with one key said otherwise: what transformers made of it. */
export interface ChangedOption {
  key: string;
  value: unknown;
  nll?: number;
  matters?: boolean;
  /** The class itself refuses it. */
  refused?: string;
}

export interface Golden {
  config: Json;
  configNewer: Json;
  ids: number[];
  logits: number[];
  nll: number;
  gradientNorms: Record<string, number>;
  gradients?: Record<string, number[]>;
  greedy: number[];
  options: ChangedOption[];
  adapterConfig: Json;
  adapterNames?: string[];
  mergedLogits: number[];
}

const folder = new URL("../golden/decoder/", import.meta.url);
const all = readdirSync(folder).map((name) => name.replace(".json", ""));
export const decoderGoldens = all.filter((name) => !name.startsWith("lora"));
export const loraGoldens = all.filter((name) => name.startsWith("lora"));

export function golden(name: string): Golden {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`${name}.json`, folder)), "utf8")) as Golden;
}

/** Configs of what is unlike Llama in layers, names or states: what holds of every decoder is asked of these too. */
export const unlikeLlama: [string, Json][] = [
  "gemma2",
  "gemma3",
  "phi3",
  "olmo2",
  "gpt2",
  "pythia",
  "lfm2",
  "lfm2-options",
  "qwen3_5",
  "qwen3_5-options",
].map((name) => [name, golden(name).config]);

export function policyOf(config: Json, options: PolicyOptions): DecoderPolicy {
  const weights = memoryWeights(closedFormTensors(parseModelConfig(config, "golden")));
  return createPolicy({ config, weights, source: "golden" }, options);
}

/** The adapter of a golden, from the formula that gave its weights. */
export function adapterOf({ config, adapterConfig }: Golden, source: string) {
  const targets = adapterConfig["target_modules"] as string[];
  const rank = adapterConfig["r"] as number;
  const tensors: NamedTensor[] = [];
  const parsed = parseModelConfig(config, source);
  for (const [module, [outputs, inputs]] of allLinear(parsed)) {
    if (!targets.some((target) => module.endsWith(`.${target}`))) continue;
    for (const [matrix, shape] of [["A", [rank, inputs]] as const, ["B", [outputs, rank]] as const]) {
      const data = closedForm(adapterTensorName(module, matrix), shape);
      tensors.push({ name: adapterTensorName(classModule(parsed, module), matrix), shape, data });
    }
  }
  return { tensors, config: adapterConfig, source };
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, v) => sum + v * v, 0));

/** A gradient in the layout of files. */
function fileLayout(policy: DecoderPolicy, name: string, gradient: tf.Tensor): tf.Tensor {
  const weight = expectedWeights(policy.config).get(name);
  const transposed =
    weight === undefined ? name.includes(".lora_") : isTransposed(policy.config, name, weight);
  return tf.tidy(() => (transposed ? tf.transpose(gradient) : tf.clone(gradient)));
}

const read = async (x: tf.Tensor): Promise<ArrayLike<number>> => {
  const values = (await x.data()) as Float32Array;
  x.dispose();
  return values;
};

/** A golden's ids as one row, with its pictures. */
export function batchOf({ config, ids }: Pick<Golden, "config" | "ids">): TokenBatch {
  const pictures = batchPictures([{ start: 0, pictures: goldenPictures(config, ids) }], ids.length);
  return { ...plainBatch([ids]), pictures };
}

/** Mean negative logprob of a golden's tokens, each given those before it. */
export async function meanNll(
  policy: DecoderPolicy,
  expected: Pick<Golden, "config" | "ids">,
): Promise<number> {
  const batch = batchOf(expected);
  const nll = tf.tidy(() => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)));
  return (await read(nll))[0]!;
}

/** Logits, loss and gradients of a policy against those of transformers or peft. */
export async function checkAgainst(expected: Golden, policy: DecoderPolicy): Promise<void> {
  const batch = batchOf(expected);
  const every = Int32Array.from(expected.ids, (_, i) => i);
  const logits = await read(policy.logits(batch, every));
  expectClose(logits, expected.logits, { atol: 1e-4, rtol: 0, what: "logits" });
  const { loss, gradients } = policy.lossAndGradients(
    () => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)) as tf.Scalar,
  );
  expectClose(await read(loss), [expected.nll], { atol: 2e-5, rtol: 0, what: "mean NLL" });
  const names = Object.keys(expected.gradientNorms).sort();
  if ([...gradients.keys()].sort().join() !== names.join()) {
    throw new Error(`gradients of ${[...gradients.keys()]}, expected of ${names}`);
  }
  for (const [name, gradient] of gradients) {
    const found = await read(fileLayout(policy, name, gradient));
    gradient.dispose();
    const size = expected.gradientNorms[name]!;
    // a gradient that is exactly 0 (a key's bias moves all scores of a query alike) comes out as rounding
    expectClose([norm(found)], [size], { atol: 1e-6, rtol: 1e-4, what: `gradient norm of ${name}` });
    const values = expected.gradients?.[name];
    if (values === undefined || size < 1e-5) continue;
    expectClose(found, values, { atol: 1e-6, rtol: 1e-4, what: `gradient of ${name}` });
  }
}

/** Most likely tokens, from the cache, as many as the golden has. */
export async function greedyTokens(
  policy: DecoderPolicy,
  { config, ids, greedy }: Golden,
): Promise<number[]> {
  const session = await policy.startGeneration([Int32Array.from(ids)], {
    repeats: 1,
    maxNewTokens: greedy.length,
    pictures: [goldenPictures(config, ids)],
  });
  const found: number[] = [];
  while (found.length < greedy.length) {
    found.push(session.logits.indexOf(Math.max(...session.logits)));
    await session.step(Int32Array.of(found.at(-1)!));
  }
  session.dispose();
  return found;
}
