/** How kernels of the backend that is traced (xla) are written: values in, values out. */
import * as tf from "@tensorflow/tfjs";
import type { Value } from "../graph.ts";
import { convert } from "../hlo.ts";
import { type LazyBackend, xlaBackendName } from "../lazy-backend.ts";

// biome-ignore lint/suspicious/noExplicitAny: kernels' attributes have a type each
export type Attributes = any;

export interface KernelInputs {
  /** The value of a named input. @throws Error when it is missing */
  (name: string): Value;
  /** dtype as tfjs sees it. */
  dtype(name: string): tf.DataType;
  has(name: string): boolean;
  /** All inputs, in order, of kernels that take a list. */
  all(): Value[];
}

export interface KernelResult {
  value: Value;
  /** Where it is not what the value's type says. */
  dtype?: tf.DataType;
}

const defined = new Set<string>();

/** Names of the kernels that can be compiled. */
export function definedKernels(): readonly string[] {
  return [...defined];
}

/**
 * Registers a kernel.
 * @param compute values of the inputs and attributes to one value, or to a list where the kernel has several outputs
 */
export function defineKernel(
  kernelName: string,
  compute: (inputs: KernelInputs, attrs: Attributes, backend: LazyBackend) => Value | Value[],
): void {
  defined.add(kernelName);
  // of the call under way; kernels do not call kernels
  let given: Record<string, tf.TensorInfo | tf.TensorInfo[] | undefined> = {};
  let lazy: LazyBackend;
  const one = (name: string): tf.TensorInfo => {
    const info = given[name];
    if (info === undefined || Array.isArray(info))
      throw new Error(`kernel ${kernelName} lacks its input ${name}`);
    return info;
  };
  const read = Object.assign((name: string) => lazy.take(one(name)), {
    dtype: (name: string) => one(name).dtype,
    has: (name: string) => given[name] != null,
    all: () =>
      Object.values(given)
        .flat()
        .map((info) => lazy.take(info!)),
  });
  tf.registerKernel({
    kernelName,
    backendName: xlaBackendName,
    kernelFunc: ({ inputs, attrs, backend }) => {
      given = inputs as typeof given;
      lazy = backend as LazyBackend;
      const result = compute(read, attrs ?? {}, lazy);
      given = {};
      return Array.isArray(result) ? result.map((value) => lazy.give(value)) : lazy.give(result);
    },
  });
}

/** Non-negative axes; all of them when absent. */
export function axesOf(axis: number | readonly number[] | null | undefined, rank: number): number[] {
  if (axis === undefined || axis === null) return Array.from({ length: rank }, (_, i) => i);
  return [axis].flat().map((a) => {
    if (a < -rank || a >= rank) throw new RangeError(`axis ${a} of a tensor of rank ${rank}`);
    return a < 0 ? a + rank : a;
  });
}

/** Bools as integers, which can be counted with. */
export function numeric(x: Value): Value {
  return x.type === "i1" ? convert(x, "i32") : x;
}
