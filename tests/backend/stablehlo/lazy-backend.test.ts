/** When programs run, what they return, and what becomes of memory. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { adamwUpdate } from "../../../src/backend/ops.ts";
import type { Value } from "../../../src/backend/stablehlo/graph.ts";
import { add, compare, constant, shift, whileLoop } from "../../../src/backend/stablehlo/hlo.ts";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../../helpers/xla.ts";

let watch: Watched | null = null;
let backend: LazyBackend;
afterAll(() => watch?.executor.close());

const numbers = (tensor: tf.Tensor) => Array.from(tensor.dataSync());
/** Types of a program's results. */
const results = (module: string) =>
  /@main\([\s\S]*?\) -> \(([^)]*)\)/
    .exec(module)![1]!
    .split(/,\s*/)
    .filter((text) => text !== "");

/** Runs that `fn` made, and buffers and tensors that it left. */
function course(fn: () => void) {
  const [runs, live, ids, programs] = [
    watch!.runs(),
    watch!.live(),
    backend.numDataIds(),
    watch!.modules.length,
  ];
  fn();
  backend.flush();
  return {
    runs: watch!.runs() - runs,
    programs: watch!.modules.length - programs,
    buffers: watch!.live() - live,
    tensors: backend.numDataIds() - ids,
  };
}

optionalPart(
  "lazy backend",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    backend = await startLazyBackend(watch.executor);
  });

  it("computes nothing before a read, and at a read all that is held", () => {
    const before = watch!.runs();
    const x = tf.tensor1d([1, 2, 3]);
    const [y, z] = [tf.mul(x, 2), tf.add(x, 1)];
    const gone = tf.mul(y, 100);
    gone.dispose();
    expect(watch!.runs()).toBe(before);
    expect(numbers(y)).toEqual([2, 4, 6]);
    expect(watch!.runs()).toBe(before + 1);
    // y and z, not what was disposed
    expect(results(watch!.modules.at(-1)!)).toEqual(["tensor<3xf32>", "tensor<3xf32>"]);
    expect(watch!.modules.at(-1)!).not.toContain("42C80000"); // 100
    expect(numbers(z)).toEqual([2, 3, 4]);
    expect(numbers(x)).toEqual([1, 2, 3]);
    expect(watch!.runs()).toBe(before + 1);
    tf.dispose([x, y, z]);
  });

  it("what is computed on the way is not returned", () => {
    const x = tf.tensor1d([3, 4]);
    const norm = tf.tidy(() => tf.sqrt(tf.sum(tf.square(x))));
    expect(numbers(norm)).toEqual([5]);
    expect(results(watch!.modules.at(-1)!)).toEqual(["tensor<f32>"]);
    tf.dispose([x, norm]);
  });

  it("a scalar that changes costs one more program, and then none", () => {
    const x = tf.tensor1d([1, 2]);
    const compilations = [0.5, 0.25, 0.125, 3, 0.5].map((rate) => {
      const { compilations: before } = backend.statistics;
      const y = tf.tidy(() => tf.mul(tf.add(x, 7), tf.scalar(rate)));
      expect(numbers(y)).toEqual([8 * rate, 9 * rate]);
      y.dispose();
      return backend.statistics.compilations - before;
    });
    expect(compilations).toEqual([1, 1, 0, 0, 0]);
    x.dispose();
  });

  it("numbers that the optimizer changes at each step cost no program", () => {
    const [w, m, v, g] = [1, 2, 3, 4].map((value) => tf.fill([4], value)) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    backend.flush();
    // no weight decay: its factor is 1, as is the first step's size
    const compilations = [1, 2, 3].map((step) => {
      const { compilations: before } = backend.statistics;
      const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
      const next = adamwUpdate(w, m, v, g, { ...options, step, learningRate: 0.1 / step });
      next.w.dataSync();
      tf.dispose(Object.values(next));
      return backend.statistics.compilations - before;
    });
    expect(compilations).toEqual([1, 0, 0]);
    tf.dispose([w, m, v, g]);
  });

  it("a buffer without a holder lends its memory, one that is held does not", () => {
    const left = course(() => {
      const x = tf.tensor1d([1, 2, 3, 4]);
      const held = tf.mul(x, 2);
      held.dataSync();
      // once for itself, once as a clone that outlives it
      const clone = held.clone();
      held.dispose();
      const y = tf.add(clone, 1);
      expect(numbers(y)).toEqual([3, 5, 7, 9]);
      expect(watch!.donations.at(-1)).toEqual([]);
      expect(numbers(clone)).toEqual([2, 4, 6, 8]);
      const next = tf.mul(clone, clone); // one argument, twice
      clone.dispose();
      expect(numbers(next)).toEqual([4, 16, 36, 64]);
      expect(watch!.donations.at(-1)).toEqual([0]);
      tf.dispose([x, y, next]);
    });
    expect(left).toMatchObject({ buffers: 0, tensors: 0 });
  });

  it("a variable's old value is lent, a frozen copy of it stays", () => {
    const left = course(() => {
      const variable = tf.tidy(() => tf.variable(tf.tensor1d([1, 2, 3])));
      const step = () => {
        tf.tidy(() => variable.assign(tf.mul(variable, 2)));
        backend.flush();
      };
      step();
      const frozen = tf.tidy(() => tf.variable(variable.clone(), false));
      step();
      expect(watch!.donations.at(-1)).toEqual([]);
      step();
      expect(watch!.donations.at(-1)).toEqual([0]);
      expect(numbers(variable)).toEqual([8, 16, 24]);
      expect(numbers(frozen)).toEqual([2, 4, 6]);
      // both in one program, the variable replaced in it
      const sum = tf.tidy(() => {
        const total = tf.add(variable, frozen);
        variable.assign(tf.neg(variable));
        return total;
      });
      expect(numbers(sum)).toEqual([10, 20, 30]);
      expect(numbers(variable)).toEqual([-8, -16, -24]);
      expect(numbers(frozen)).toEqual([2, 4, 6]);
      tf.dispose([variable, frozen, sum]);
    });
    expect(left).toMatchObject({ buffers: 0, tensors: 0 });
  });

  it("a read that is under way survives what happens to its tensor", async () => {
    const x = tf.tensor1d([5, 6, 7]);
    const y = tf.mul(x, 3);
    const reading = y.data();
    tf.dispose([x, y]);
    const z = tf.tensor1d([1, 1, 1]);
    const w = tf.add(z, 1);
    w.dataSync();
    expect(Array.from(await reading)).toEqual([15, 18, 21]);
    tf.dispose([z, w]);
  });

  it("reshaped tensors share numbers, not shapes", () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    const y = tf.reshape(x, [3, 2]);
    const z = tf.transpose(y);
    expect(numbers(z)).toEqual([1, 3, 5, 2, 4, 6]);
    x.dispose();
    expect(numbers(tf.tidy(() => tf.sum(y, 0)))).toEqual([9, 12]);
    tf.dispose([y, z]);
  });

  it("200 steps of training leave no buffer, tensor or program behind", () => {
    const w = tf.variable(tf.tensor2d([1, -2, 3, 0.5], [2, 2]));
    let m: tf.Tensor = tf.zerosLike(w);
    const step = (n: number) => {
      const x = tf.tensor2d([n % 3, 1, 2, n % 5], [2, 2]);
      const { value, grads } = tf.variableGrads(() => tf.mean(tf.square(tf.matMul(x, w))) as tf.Scalar, [w]);
      const next = tf.tidy(() => {
        const mean = tf.add(tf.mul(m, 0.9), tf.mul(grads[w.name]!, 0.1));
        w.assign(tf.sub(w, tf.mul(mean, tf.scalar(0.01 / (1 + n)))));
        return mean;
      });
      m.dispose();
      m = next;
      const [loss] = numbers(value);
      tf.dispose([x, value, ...Object.values(grads)]);
      return loss!;
    };
    for (let n = 0; n < 20; n++) step(n);
    const left = course(() => {
      for (let n = 20; n < 200; n++) expect(Number.isFinite(step(n))).toBe(true);
    });
    expect(left).toEqual({ runs: 180, programs: 0, buffers: 0, tensors: 0 });
    tf.dispose([w, m]);
  });

  it("errors name the operation or the read, and who called it", () => {
    expect(() => tf.topk(tf.tensor1d([1, 2, 3]), 2)).toThrow(
      /operation TopK cannot be compiled.*lazy-backend\.test\.ts/,
    );
    const read = () =>
      whileLoop(
        [constant("i32", 0)],
        ([n]) => compare("LT", n!, constant("i32", 3)),
        ([n]) => {
          const tensor = backend.tensor(shift(n!, 1));
          try {
            tensor.dataSync();
          } finally {
            tensor.dispose();
          }
          return [n!];
        },
      );
    expect(read).toThrow(/read inside a traced loop.*lazy-backend\.test\.ts/);
    // and the backend goes on
    expect(numbers(tf.add(tf.scalar(1), tf.scalar(2)))).toEqual([3]);
  });

  it("loops within loops", () => {
    const table = tf.tensor1d([1, 2, 3]);
    const small = (limit: number) => (state: readonly Value[]) =>
      compare("LT", state[0]!, constant("i32", limit));
    const [, sum] = whileLoop([constant("i32", 0), backend.take(table)], small(4), ([n, x]) => {
      // the inner loop's bound depends on the outer one's state, its term on neither
      const [, inner] = whileLoop(
        [constant("i32", 0), x!],
        ([k]) => compare("LT", k!, n!),
        ([k, y]) => [shift(k!, 1), add(y!, backend.take(table))],
      );
      return [shift(n!, 1), inner!];
    });
    const result = backend.tensor(sum!);
    // 0 + 1 + 2 + 3 additions
    expect(numbers(result)).toEqual([7, 14, 21]);
    // one loop that both the condition and the body of another use
    let counted: Value | null = null;
    const [end] = whileLoop(
      [constant("i32", 0)],
      ([n]) => {
        const least = (k: Value) => compare("LT", k, n!);
        [counted] = whileLoop(
          [constant("i32", 0)],
          ([k]) => least(k!),
          ([k]) => [shift(k!, 1)],
        ) as [Value];
        return compare("LT", counted, constant("i32", 3));
      },
      () => [shift(counted!, 1)],
    );
    const three = backend.tensor(end!);
    expect(numbers(three)).toEqual([3]);
    tf.dispose([table, result, three]);
  });
});
