/** Frozen bf16 weights lie on the device as bf16, and nothing that is computed with them changes. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { frozenTensor, halvedTensor } from "../../src/backend/frozen.ts";
import type { LazyBackend } from "../../src/backend/stablehlo/lazy-backend.ts";
import { startLazyBackend } from "../../src/backend/xla/start.ts";
import { upperHalves, widened } from "../../src/lib/bfloat16.ts";
import { createRng } from "../../src/lib/rng.ts";
import { randomWeights } from "../../src/policy/decoder-weights.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../../src/policy/policy.ts";
import { generate } from "../../src/rollouts/generate.ts";
import { optionalPart } from "../helpers/optional.ts";
import { characters } from "../helpers/scripted-policy.ts";
import { normals } from "../helpers/tensors.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../helpers/xla.ts";

/** Normal draws without the lower half of their bits. */
const bf16Normals = (seed: number, size: number) =>
  widened(Uint16Array.from(new Uint32Array(normals(seed, size).buffer), (word) => word >>> 16));

describe("bfloat16", () => {
  it("upper halves are all there is, or null", () => {
    const values = Float32Array.of(0, -0, 1, -2.5, 3.140625, 2 ** -133, Infinity, -Infinity);
    expect([...upperHalves(values)!]).toEqual([0, 0x8000, 0x3f80, 0xc020, 0x4049, 0x0001, 0x7f80, 0xff80]);
    expect(new Uint8Array(widened(upperHalves(values)!).buffer)).toEqual(new Uint8Array(values.buffer));
    expect(upperHalves(Float32Array.of(1, 1 + 2 ** -8))).toBeNull();
    // a view into a larger array
    expect([...upperHalves(values.subarray(2, 4))!]).toEqual([0x3f80, 0xc020]);
  });
});

let watch: Watched | null = null;
let backend: LazyBackend;
afterAll(() => watch?.executor.close());

const V = 128;
const config = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 256,
  tie_word_embeddings: true,
};

/** @param halved hold frozen matrices as bf16; products are rounded to bf16 in any case */
function policyOf(halved: boolean, options: PolicyOptions): DecoderPolicy {
  const random = randomWeights(parseModelConfig(config, "test"), createRng(3), 0.3);
  const cut = (values: Float32Array) =>
    widened(Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16));
  const weights = { ...random, read: (name: string) => cut(random.read(name)) };
  backend.precision = halved ? "bf16" : "f32";
  const policy = createPolicy({ config, weights, source: "test" }, { rng: createRng(4), ...options });
  backend.precision = "bf16";
  return policy;
}

const lora: PolicyOptions = {
  trainable: "lora",
  lora: { rank: 2, alpha: 4, targets: ["q_proj", "down_proj"], useRslora: false },
};
const batch = {
  rows: 1,
  length: 8,
  tokens: Int32Array.from([5, 9, 2, 7, 100, 31, 4, 127]),
  segments: new Int32Array(8).fill(1),
  positions: Int32Array.from({ length: 8 }, (_, i) => i),
  scoredAt: Int32Array.from([2, 3, 4, 5, 6]),
  targets: Int32Array.from([7, 100, 31, 4, 127]),
};

/** Shapes of this type among the arguments of the programs since `from`. */
const argumentsOf = (type: string, from: number) =>
  new Set(
    watch!.modules
      .slice(from)
      .flatMap((text) => [...text.matchAll(/%arg\d+: tensor<([\dx]+)x(\w+)>/g)])
      .flatMap(([, shape, own]) => (own === type ? [shape!] : [])),
  );

optionalPart(
  "frozen weights",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    backend = await startLazyBackend(watch.executor);
    backend.precision = "bf16";
  });

  it("halved only where products round to bf16 and nothing is lost", () => {
    const values = bf16Normals(1, 64 * 64);
    const odd = values.slice();
    odd[77] = 1 + 2 ** -20;
    expect(halvedTensor(odd, [64, 64])).toBeNull();
    expect(halvedTensor(values.slice(0, 64), [8, 8])).toBeNull();
    expect(halvedTensor(values, [64 * 64])).toBeNull();
    backend.withPrecision("f32", () => expect(halvedTensor(values, [64, 64])).toBeNull());
    backend.withPrecision("tf32", () => expect(halvedTensor(values, [64, 64])).toBeNull());
    const kept = frozenTensor(odd, [64, 64]);
    expect(kept.dataSync()).toEqual(odd);
    kept.dispose();
  });

  it("a halved tensor reads, copies, gathers and multiplies as the same float32 tensor", () => {
    const values = bf16Normals(2, 64 * 80);
    const x = tf.tensor2d(normals(5, 3 * 64), [3, 64]);
    const of = (w: tf.Tensor2D) =>
      tf.tidy(() => {
        const copy = tf.clone(w);
        const results = [
          w,
          copy,
          tf.gather(w, tf.tensor1d([3, 60, 3], "int32")),
          tf.matMul(x, w),
          tf.matMul(tf.matMul(x, w), w, false, true),
          tf.add(w, 1),
          backend.withPrecision("f32", () => tf.matMul(x, w)),
        ];
        return results.map((tensor) => Array.from(tensor.dataSync()));
      });
    const whole = tf.tensor2d(values, [64, 80]);
    const want = of(whole);
    const halved = frozenTensor(values, [64, 80]) as tf.Tensor2D;
    expect(halved.dtype).toBe("float32");
    const from = watch!.modules.length;
    expect(of(halved)).toEqual(want);
    expect(argumentsOf("bf16", from)).toEqual(new Set(["64x80"]));
    expect(argumentsOf("f32", from)).not.toContain("64x80");
    // a product takes the weight as it lies
    tf.tidy(() => tf.matMul(x, halved).dataSync());
    expect(watch!.modules.at(-1)).toContain("tensor<64x80xbf16>) -> tensor<3x80xf32>");
    expect(watch!.modules.at(-1)).not.toContain("(tensor<64x80xbf16>) -> tensor<64x80xf32>");
    // of a table the rows that are asked for are widened
    tf.tidy(() => tf.mul(tf.gather(halved, tf.tensor1d([3, 60, 3], "int32")), 2).dataSync());
    expect(watch!.modules.at(-1)).toContain("(tensor<3x80xbf16>) -> tensor<3x80xf32>");
    expect(watch!.modules.at(-1)).not.toContain("(tensor<64x80xbf16>) -> tensor<64x80xf32>");
    expect(tf.tidy(() => backend.typeOf(tf.clone(halved)))).toBe("bf16");
    tf.dispose([whole, halved, x]);
  });

  it("LoRA on a halved model: the same samples, loss and gradients, and no float32 weight", async () => {
    const outcome = async (halved: boolean) => {
      const policy = policyOf(halved, lora);
      // B is zero at first, and A's gradient with it
      for (const variable of policy.trainable.values()) {
        const warm = tf.tensor(normals(variable.size, variable.size, 0.1), variable.shape);
        variable.assign(warm);
        warm.dispose();
      }
      const from = watch!.modules.length;
      const { loss, gradients } = policy.lossAndGradients(() =>
        tf.sum(policy.score(batch, { temperature: 1 }).logprobs),
      );
      const numbers = [loss, ...gradients.values()].map((tensor) => Array.from(tensor.dataSync()));
      tf.dispose([loss, ...gradients.values()]);
      const tokenizer = { ...characters, size: V };
      const sampled = await generate(
        policy,
        tokenizer,
        [{ prompt: { id: "p", text: "", fields: {} } as never, tokens: Int32Array.of(5, 9, 2) }],
        {
          temperature: 1,
          top_p: 1,
          top_k: 0,
          min_p: 0,
          groupSize: 3,
          maxNewTokens: 4,
          stop: [],
          batchRows: 8,
        },
        createRng(8),
      );
      const rows = sampled[0]!.completions.map(({ tokens, logprobs }) => [[...tokens], [...logprobs]]);
      const held = { bf16: argumentsOf("bf16", from), f32: argumentsOf("f32", from) };
      const exported = [...policy.exportWeights()].map(({ data }) => Array.from(data));
      policy.dispose();
      return { numbers, rows, held, exported };
    };
    const want = await outcome(false);
    const got = await outcome(true);
    expect(got.numbers).toEqual(want.numbers);
    expect(got.rows).toEqual(want.rows);
    expect(got.exported).toEqual(want.exported);
    expect(want.held.f32).toContain("128x64");
    expect(got.held.bf16).toEqual(new Set(["128x64", "64x64", "64x96", "96x64"]));
    for (const shape of got.held.bf16) expect(got.held.f32).not.toContain(shape);
  });

  it("the reference of full training is halved where the weights are as the file had them", () => {
    const scores = (halved: boolean) => {
      const policy = policyOf(halved, { trainable: "full" });
      if (!halved) backend.precision = "f32";
      policy.freezeReference();
      backend.precision = "bf16";
      const from = watch!.modules.length;
      const values = tf.tidy(() =>
        Array.from(policy.score(batch, { temperature: 1, reference: true }).logprobs.dataSync()),
      );
      const held = argumentsOf("bf16", from);
      const exported = policy.exportReference()!;
      policy.importReference(exported);
      const again = policy.exportReference()!;
      expect(again.map(({ data }) => Array.from(data))).toEqual(exported.map(({ data }) => Array.from(data)));
      // trained weights are no bf16 numbers any more
      const embedding = policy.trainable.get("model.embed_tokens.weight")!;
      tf.tidy(() => embedding.assign(tf.mul(embedding, 1.001)));
      policy.freezeReference();
      const changed = policy.exportReference()![0]!.data[0];
      expect(changed).toBe(embedding.dataSync()[0]);
      policy.dispose();
      return { values, held, exported: exported.map(({ data }) => Array.from(data)) };
    };
    const want = scores(false);
    const got = scores(true);
    expect(got.values).toEqual(want.values);
    expect(got.exported).toEqual(want.exported);
    expect(want.held.size).toBe(0);
    expect(got.held).toContain("128x64");
  });
});
