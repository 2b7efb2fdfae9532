/** Between tfjs's numbers and dtypes and those of programs. */
import type * as tf from "@tensorflow/tfjs";
import { widened } from "../../lib/bfloat16.ts";
import { BackendError } from "../../lib/errors.ts";
import { type ElementType, elementTypes, type HostArray } from "./executor.ts";
import type { Value } from "./graph.ts";

const TYPES: Partial<Record<tf.DataType, ElementType>> = { float32: "f32", int32: "i32", bool: "i1" };

export function elementType(dtype: tf.DataType): ElementType {
  const type = TYPES[dtype];
  if (type === undefined) throw new BackendError(`tensors of dtype ${dtype} cannot be compiled`);
  return type;
}

/** As tfjs sees it. */
export function dataType(type: ElementType): tf.DataType {
  if (type === "i1") return "bool";
  return type === "f32" || type === "bf16" || type === "f16" ? "float32" : "int32";
}

/** Numbers of tfjs as an array of the element type. */
export function hostArray(
  values: tf.backend_util.BackendValues | null,
  type: ElementType,
  shape: readonly number[],
): HostArray {
  if (values === null) throw new BackendError("a tensor without numbers cannot be moved to xla");
  const { array } = elementTypes[type];
  if (values instanceof array) return values as HostArray;
  const numbers = Array.from(values as ArrayLike<number>, Number);
  const size = shape.reduce((product, n) => product * n, 1);
  if (numbers.length !== size) throw new BackendError(`${numbers.length} numbers for a tensor of ${size}`);
  return type === "f32"
    ? Float32Array.from(numbers)
    : type === "i32"
      ? Int32Array.from(numbers)
      : Uint8Array.from(numbers);
}

/** Of a value whose numbers lie on the host. */
export function numbersOf({ definition }: Value): tf.backend_util.BackendValues {
  if (definition.kind !== "host") throw new BackendError("numbers of the host were expected");
  return asTfjs(definition.data);
}

/** What tfjs takes for an array: it knows no 16 bits. */
export function asTfjs(data: HostArray): tf.backend_util.BackendValues {
  if (data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array) return data;
  // bf16 is the only type of 16 bits that tensors are held in
  if (data instanceof Uint16Array) return widened(data);
  return Float32Array.from(data as ArrayLike<number>);
}
