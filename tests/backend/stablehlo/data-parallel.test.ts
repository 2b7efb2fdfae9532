/** Programs for several devices: the numbers of one device, each device with its own rows, and no more exchanged than sums. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { overDevices } from "../../../src/backend/devices.ts";
import { tokenLogprobs } from "../../../src/backend/ops.ts";
import { forDevices } from "../../../src/backend/stablehlo/data-parallel.ts";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { orderedScatterAdd } from "../../../src/backend/stablehlo/ordered-sums.ts";
import { type Collective, collectivesOf } from "../../../src/backend/xla/pjrt/collectives.ts";
import type { PjrtProgram } from "../../../src/backend/xla/pjrt/executable.ts";
import { openPjrtExecutor } from "../../../src/backend/xla/pjrt/executor.ts";
import { kernelsOf, totalCost } from "../../../src/backend/xla/pjrt/hlo-cost.ts";
import { readHloModule } from "../../../src/backend/xla/pjrt/hlo-module.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { createRng } from "../../../src/lib/rng.ts";
import { initPolicy } from "../../../src/policy/policy.ts";
import { ladder, partsFor } from "../../../src/policy/stablehlo/sizes.ts";
import { type GenerateOptions, generate } from "../../../src/rollouts/generate.ts";
import { cpuPluginMissing, pluginFor } from "../../helpers/engines.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { characters } from "../../helpers/scripted-policy.ts";
import { expectClose, normals, useBackend } from "../../helpers/tensors.ts";
import { type Watched, watched } from "../../helpers/xla.ts";

describe("marks for the partitioner", () => {
  const text =
    "module @rlpt {\nfunc.func public @main(%arg0: tensor<8x3xf32>, %arg1: tensor<f32>) -> (tensor<8x3xf32>) {\nreturn %arg0 : tensor<8x3xf32>\n}\n}\n";

  it("stand at each argument and result", () => {
    const cut = forDevices(text, 4, ["rows", "replicated"], ["rows"]);
    expect(cut).toContain('%arg0: tensor<8x3xf32> {mhlo.sharding = "{devices=[4,1]<=[4]}"}');
    expect(cut).toContain('%arg1: tensor<f32> {mhlo.sharding = "{replicated}"}');
    expect(cut).toContain('-> (tensor<8x3xf32> {mhlo.sharding = "{devices=[4,1]<=[4]}"})');
    expect(cut).toContain("mhlo.num_partitions = 4 : i32");
  });

  it("must be as many as there are arguments and results", () => {
    expect(() => forDevices(text, 4, ["rows"], ["rows"])).toThrow(
      "the program has 2 arguments, and shardings are given for 1",
    );
    expect(() => forDevices(text, 4, ["rows", "rows"], [])).toThrow(
      "1 results, and shardings are given for 0",
    );
  });
});

describe("rows of generation", () => {
  it("are as many on each device, prompts in parts where there are few", () => {
    expect([1, 2, 3, 5, 9].map((size) => ladder(size, 2))).toEqual([2, 2, 4, 6, 12]);
    expect(partsFor(16, 8, 8)).toBe(1);
    expect(partsFor(4, 8, 8)).toBe(2);
    expect(partsFor(1, 8, 8)).toBe(8);
    // no parts of one size fit: empty groups fill up
    expect(partsFor(3, 4, 8)).toBe(1);
  });
});

const V = 29;
const model = {
  model_type: "llama",
  vocab_size: V,
  hidden_size: 16,
  intermediate_size: 20,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  // near to uniform, so that rows end late and one by one
  initializer_range: 0.05,
};
const prompt = (length: number, seed: number) => ({
  prompt: { id: `p${seed}`, text: "", fields: {} } as never,
  tokens: Int32Array.from({ length }, (_, i) => 2 + createRng(seed).integer(V - 2, i)),
});

optionalPart(
  "on several devices",
  pluginFor("cpu") !== null,
  cpuPluginMissing,
)(() => {
  let watch: Watched;
  let backend: LazyBackend;
  beforeAll(async () => {
    watch = watched(openPjrtExecutor({ plugin: pluginFor("cpu")!.path, devices: 2 }));
    backend = await startLazyBackend(watch.executor);
  });
  afterAll(() => watch?.executor.close());

  const exchanged = (program = watch.last()): Collective[] =>
    collectivesOf(readHloModule((program as PjrtProgram).optimized()), 1);
  const [rows, width] = [24, 6];
  const numbers = normals(1, rows * width);

  /** One step of least squares on a weight, its loss. @param cut how the batch lies */
  async function step(weight: tf.Variable, count: number, cut: boolean): Promise<number> {
    const loss = tf.tidy(() => {
      const batch = tf.tensor2d(numbers.slice(0, count * width), [count, width]);
      const x = cut ? overDevices(batch) : batch;
      const { value, grads } = tf.variableGrads(
        () => tf.mean(tf.square(tf.matMul(x, weight as unknown as tf.Tensor2D))) as tf.Scalar,
        [weight],
      );
      weight.assign(tf.sub(weight, tf.mul(grads[weight.name]!, 0.1)));
      return value;
    });
    const [number] = await loss.data();
    loss.dispose();
    return number!;
  }

  it("a batch is cut and weights are whole; a sum over rows is one exchange; weights are updated in place", async () => {
    await tf.setBackend("xla");
    const trained: Float32Array[] = [];
    const memory = [];
    for (const cut of [false, true]) {
      const weight = tf.variable(tf.tensor2d(normals(2, width * width), [width, width]));
      const before = watch.modules.length;
      const losses = [await step(weight, rows, cut), await step(weight, rows, cut)];
      expect(losses[1]).toBeLessThan(losses[0]!);
      // how the batch lies is part of what a program is known by
      expect(watch.modules.length).toBeGreaterThan(before);
      const collectives = exchanged();
      expect(collectives.map(({ kind }) => kind)).toEqual(cut ? ["all-reduce"] : []);
      if (cut) expect(collectives[0]!.bytes).toBe(4 * width * width + 4);
      memory.push(watch.last().memory!);
      trained.push((await weight.data()) as Float32Array);
      weight.dispose();
    }
    expectClose(trained[1]!, trained[0]!, { atol: 1e-6, rtol: 1e-5, what: "weights" });
    const [whole, cut] = memory;
    expect(whole!.arguments - cut!.arguments).toBe((4 * rows * width) / 2);
    expect(cut!.aliased).toBeGreaterThanOrEqual(4 * width * width);
    expect(cut!.aliased).toBe(whole!.aliased);
  });

  it("a large array goes up in parts too, where it is made for that", async () => {
    await tf.setBackend("xla");
    const [count, size] = [2, 512 * 512];
    const numbers = normals(9, count * size);
    const largest = numbers.reduce((most, number) => Math.max(most, number));
    const results: number[] = [];
    for (const parts of [false, true]) {
      const max = tf.tidy(() => {
        const make = () => tf.tensor2d(numbers, [count, size]);
        return tf.max(parts ? overDevices(make) : make());
      });
      expect((await max.data())[0]).toBe(largest);
      results.push(watch.last().memory!.arguments);
      max.dispose();
    }
    expect(results).toEqual([4 * count * size, (4 * count * size) / 2]);
  });

  it("rows that do not divide are computed whole on each device", async () => {
    await tf.setBackend("xla");
    const weight = () => tf.variable(tf.tensor2d(normals(2, width * width), [width, width]));
    const [a, b] = [weight(), weight()];
    expect(await step(a, rows - 1, true)).toBe(await step(b, rows - 1, false));
    expect(exchanged()).toEqual([]);
    tf.dispose([a, b]);
  });

  it.each([
    [true, true],
    [false, false],
  ])(
    "a slice of the logits takes rows of each device; the output's gradient: %s, the entropy's: %s",
    async (weightGradient, entropyGradient) => {
      const [tokens, hidden, vocabulary] = [100, 8, 40];
      const both: Float32Array[][] = [];
      for (const name of ["wasm with our kernels", "xla"] as const) {
        if (name === "xla") await tf.setBackend(name);
        else await useBackend(name);
        const x = tf.variable(tf.tensor2d(normals(3, tokens * hidden), [tokens, hidden]));
        const w = tf.variable(tf.tensor2d(normals(4, hidden * vocabulary), [hidden, vocabulary]));
        const results = tf.tidy(() => {
          const ids = Int32Array.from({ length: tokens }, (_, i) => (i * 7) % vocabulary);
          const { value, grads } = tf.variableGrads(
            () => {
              const { logprobs, entropy } = tokenLogprobs(
                overDevices(x as unknown as tf.Tensor2D),
                w as unknown as tf.Tensor2D,
                overDevices(tf.tensor1d(ids, "int32")),
                { layout: "hv", temperature: 0.7, weightGradient, entropyGradient, sliceTokens: 7 },
              );
              const sum = entropyGradient ? tf.add(logprobs, tf.mul(entropy, 0.3)) : logprobs;
              return tf.sum(tf.mul(sum, tf.tensor1d(normals(5, tokens)))) as tf.Scalar;
            },
            weightGradient ? [x, w] : [x],
          );
          return [value, ...Object.values(grads)];
        });
        both.push((await Promise.all(results.map((tensor) => tensor.data()))) as Float32Array[]);
        if (name === "xla") {
          const module = readHloModule((watch.last() as PjrtProgram).optimized());
          // each device computes its own rows: the logits twice and their gradients' products
          const products = weightGradient ? 4 : 2;
          const own = products * 2 * (tokens / 2) * hidden * vocabulary;
          const { flops } = totalCost(kernelsOf(module, 1));
          expect(flops / own).toBeGreaterThanOrEqual(1);
          expect(flops / own).toBeLessThan(1.2);
          // no loop gathers the rows of the other device
          const inLoops = exchanged().filter(({ times }) => times > 1);
          expect(inLoops.filter(({ kind }) => kind !== "all-reduce")).toEqual([]);
        }
        tf.dispose([x, w, ...results]);
      }
      const [want, got] = both as [Float32Array[], Float32Array[]];
      expect(got).toHaveLength(want.length);
      for (const [i, list] of want.entries()) {
        expectClose(got[i]!, list, { atol: 2e-5, rtol: 1e-5, what: `result ${i}` });
      }
    },
  );

  it("ordered sums by index: each device its own rows, then one sum", async () => {
    await tf.setBackend("xla");
    const [count, own, vocabulary] = [20, 3, 9];
    const ids = Int32Array.from({ length: count }, (_, i) => (i * i) % vocabulary);
    const values = normals(7, count * own);
    const result = tf.tidy(() => {
      const at = overDevices(tf.tensor1d(ids, "int32"));
      const updates = overDevices(tf.tensor2d(values, [count, own]));
      return backend.tensor(orderedScatterAdd(backend, vocabulary, backend.take(at), backend.take(updates)));
    });
    const want = new Float32Array(vocabulary * own);
    for (const [i, id] of ids.entries())
      for (let c = 0; c < own; c++) want[id * own + c]! += values[i * own + c]!;
    expectClose((await result.data()) as Float32Array, want, { atol: 1e-6, rtol: 1e-5, what: "sums" });
    expect(exchanged().map(({ kind, bytes }) => [kind, bytes])).toEqual([["all-reduce", 4 * want.length]]);
    result.dispose();
  });

  it.each<[string, number, Partial<GenerateOptions>]>([
    ["prompts that divide", 2, {}],
    ["a prompt in parts, truncated", 1, { top_k: 8, top_p: 0.9, min_p: 0.02 }],
    ["rows that leave at a border", 5, { maxNewTokens: 140 }],
  ])("generation with %s gives the host's tokens", { timeout: 120_000 }, async (_name, count, asked) => {
    const completions = async () => {
      const policy = initPolicy(model, createRng(4), { trainable: "full" });
      const options: GenerateOptions = {
        ...{ temperature: 1, top_p: 1, top_k: 0, min_p: 0, stop: [], batchRows: 64 },
        ...{ groupSize: 4, maxNewTokens: 20 },
        ...asked,
      };
      const prompts = Array.from({ length: count }, (_, i) => prompt(2 + 3 * i, i));
      const groups = await generate(policy, { ...characters, size: V }, prompts, options, createRng(8));
      policy.dispose();
      return groups.flatMap((group) => group.completions.map(({ tokens }) => [...tokens]));
    };
    await useBackend("wasm with our kernels");
    const want = await completions();
    await tf.setBackend("xla");
    const live = watch.live();
    const first = watch.modules.length;
    expect(await completions()).toEqual(want);
    backend.flush();
    expect(watch.live(), "buffers left").toBe(live);
    const marked = watch.modules.slice(first).filter((text) => text.includes("stablehlo.while"));
    // the caches that a later program goes on with are cut
    const caches = 4 * model.num_hidden_layers;
    const cut = marked[0]!.split("\n")[1]!.split(") -> (")[1]!.split('"{devices=[2,1,1,1]<=[2]}"').length - 1;
    expect(cut).toBe(caches);
    expect(marked.length > 1).toBe(asked.maxNewTokens !== undefined);
    if (marked.length > 1) {
      // rows that leave at a border do so where they are
      expect(exchanged().filter(({ open, kind }) => !open && kind !== "all-gather")).toEqual([]);
    }
    if (Object.keys(asked).length === 0) {
      const inLoop = exchanged().filter(({ open }) => open);
      expect(inLoop.map(({ kind, bytes }) => [kind, bytes])).toEqual([["all-reduce", 1]]);
    }
  });
});
