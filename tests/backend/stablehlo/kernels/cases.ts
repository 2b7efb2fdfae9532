/** Runs kernels on the xla backend, many in one program, and compares them with references and with tfjs's cpu backend. */
import * as tf from "@tensorflow/tfjs";
import { expect } from "vitest";
import { createRng } from "../../../../src/lib/rng.ts";
import { type Nd, sizeOf } from "./reference.ts";

type Dtype = "float32" | "int32" | "bool";

export interface Input extends Nd {
  dtype: Dtype;
}

export interface Case {
  kernel: string;
  inputs: Record<string, Input> | readonly Input[];
  attrs?: Record<string, unknown>;
  want: Nd | Nd[];
  /** Of the outputs; default float32. */
  dtype?: Dtype;
  relative?: number;
  absolute?: number;
  /** false where tfjs's cpu backend has no such kernel, or answers otherwise on purpose. */
  cpu?: boolean;
}

/** Kernels that have been compared. */
export const compared = new Set<string>();

/** float32 numbers, ints in [-6, 6] or bits, the same for one seed. */
export function input(shape: readonly number[], seed: number, dtype: Dtype = "float32"): Input {
  const rng = createRng(seed);
  const values = Array.from({ length: sizeOf(shape) }, (_, i) => {
    const u = rng.uniform(i);
    return dtype === "float32" ? Math.fround(4 * u - 2) : Math.floor(dtype === "int32" ? 13 * u - 6 : 2 * u);
  });
  return { shape: [...shape], values, dtype };
}

export function given(values: readonly number[], dtype: Dtype = "float32", shape = [values.length]): Input {
  return { shape, values: dtype === "float32" ? values.map(Math.fround) : [...values], dtype };
}

interface Output {
  shape: number[];
  dtype: string;
  values: ArrayLike<number>;
}

/** All cases, read at the end. */
async function outputs(backend: string, cases: readonly Case[]): Promise<Output[][]> {
  if (!(await tf.setBackend(backend))) throw new Error(`${backend} did not start`);
  const before = tf.memory().numTensors;
  const results = tf.tidy(() => {
    const made = cases.map(({ kernel, inputs, attrs }) => {
      const tensor = ({ values, shape, dtype }: Input) =>
        tf.tensor(
          dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values),
          shape,
          dtype === "bool" ? "int32" : dtype,
        );
      const typed = (x: Input) => (x.dtype === "bool" ? tf.cast(tensor(x), "bool") : tensor(x));
      const tensors = Array.isArray(inputs)
        ? inputs.map(typed)
        : Object.fromEntries(
            Object.entries(inputs as Record<string, Input>).map(([name, x]) => [name, typed(x)]),
          );
      // the engine's signature has no lists, but that is how Concat's inputs come
      return [
        tf
          .engine()
          .runKernel(kernel, tensors as tf.NamedTensorMap, (attrs ?? {}) as Record<string, number>) as
          | tf.Tensor
          | tf.Tensor[],
      ]
        .flat()
        .map((result) => tf.keep(result));
    });
    return made;
  });
  let read: Output[][];
  try {
    read = results.map((list) =>
      list.map((tensor) => ({ shape: tensor.shape, dtype: tensor.dtype, values: tensor.dataSync() })),
    );
  } finally {
    tf.dispose(results.flat());
  }
  expect(tf.memory().numTensors, `tensors left on ${backend}`).toBe(before);
  return read;
}

function compare(
  got: Output,
  want: Nd,
  { relative = 3e-6, absolute = 2e-6, dtype = "float32" }: Case,
  what: string,
) {
  expect(got.dtype, `${what}: dtype`).toBe(dtype);
  expect(got.shape, `${what}: shape`).toEqual(want.shape);
  for (const [i, value] of want.values.entries()) {
    const expected = dtype === "float32" ? Math.fround(value) : value;
    const actual = got.values[i]!;
    if (Number.isNaN(expected) ? Number.isNaN(actual) : actual === expected) continue;
    const allowed = dtype === "float32" ? relative * Math.abs(expected) + absolute : 0;
    if (!(Math.abs(actual - expected) <= allowed)) {
      expect.fail(`${what}: element ${i} of ${want.values.length} is ${actual} instead of ${expected}`);
    }
  }
}

export async function check(cases: readonly Case[]): Promise<void> {
  const verify = (results: Output[][], which: readonly Case[], backend: string) => {
    for (const [n, one] of which.entries()) {
      const shapes = (Array.isArray(one.inputs) ? one.inputs : Object.values(one.inputs)).map(
        (x: Input) => `${x.dtype}[${x.shape}]`,
      );
      const what = `${one.kernel}(${shapes.join(", ")}; ${JSON.stringify(one.attrs ?? {})}) on ${backend}`;
      const wanted = [one.want].flat();
      expect(results[n]!.length, `${what}: outputs`).toBe(wanted.length);
      for (const [k, want] of wanted.entries()) compare(results[n]![k]!, want, one, what);
    }
  };
  verify(await outputs("xla", cases), cases, "xla");
  for (const { kernel } of cases) compared.add(kernel);
  // where the reference itself is wrong, this says so
  const shared = cases.filter(({ cpu }) => cpu !== false);
  verify(await outputs("cpu", shared), shared, "cpu");
  await tf.setBackend("xla");
}
