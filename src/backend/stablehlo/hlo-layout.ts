/** Operations that move elements: nothing is computed. */
import { typeText } from "./executor.ts";
import { codeOf, operation, type Value } from "./graph.ts";
import { constant, same } from "./hlo-elementwise.ts";

export function transpose(x: Value, permutation: readonly number[]): Value {
  if (permutation.every((p, i) => p === i)) return x;
  const shape = permutation.map((p) => x.shape[p]!);
  const to = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    to,
    [x],
    codeOf("transpose", permutation.join(), x.text),
    ([a]) => `stablehlo.transpose ${a}, dims = [${permutation}] : (${x.text}) -> ${to}`,
  );
}

/** Elements [begin, begin + size) by steps of `strides`. */
export function slice(
  x: Value,
  begin: readonly number[],
  size: readonly number[],
  strides: readonly number[] = size.map(() => 1),
): Value {
  if (same(x.shape, size)) return x;
  const ranges = begin.map((b, i) => {
    const end = b + Math.max(0, (size[i]! - 1) * strides[i]! + 1);
    return strides[i] === 1 ? `${b}:${b + size[i]!}` : `${b}:${end}:${strides[i]}`;
  });
  const to = typeText({ type: x.type, shape: size });
  const range = ranges.join(", ");
  return operation(
    x.type,
    size,
    to,
    [x],
    codeOf("slice", range, x.text),
    ([a]) => `stablehlo.slice ${a} [${range}] : (${x.text}) -> ${to}`,
  );
}

/** @param start one i32 scalar per dimension */
export function dynamicSlice(x: Value, start: readonly Value[], size: readonly number[]): Value {
  const types = start.map(() => "tensor<i32>").join(", ");
  const to = typeText({ type: x.type, shape: size });
  return operation(
    x.type,
    size,
    to,
    [x, ...start],
    codeOf("dynamic_slice", x.text, to),
    ([a, ...s]) =>
      `stablehlo.dynamic_slice ${a}, ${s.join(", ")}, sizes = [${size}] : (${x.text}, ${types}) -> ${to}`,
  );
}

/** x with `update` written at `start`, in place where XLA can. */
export function dynamicUpdateSlice(x: Value, update: Value, start: readonly Value[]): Value {
  const types = start.map(() => "tensor<i32>").join(", ");
  const type = x.text;
  return operation(
    x.type,
    x.shape,
    type,
    [x, update, ...start],
    codeOf("dynamic_update_slice", type, update.text),
    ([a, u, ...s]) =>
      `stablehlo.dynamic_update_slice ${a}, ${u}, ${s.join(", ")} : (${type}, ${update.text}, ${types}) -> ${type}`,
  );
}

export function concatenate(parts: readonly Value[], dimension: number): Value {
  if (parts.length === 1) return parts[0]!;
  const first = parts[0]!;
  const shape = first.shape.slice();
  shape[dimension] = parts.reduce((sum, part) => sum + part.shape[dimension]!, 0);
  const to = typeText({ type: first.type, shape });
  return operation(
    first.type,
    shape,
    to,
    parts,
    -1,
    (names) =>
      `stablehlo.concatenate ${names.join(", ")}, dim = ${dimension} : (${parts.map(({ text }) => text).join(", ")}) -> ${to}`,
  );
}

export function pad(
  x: Value,
  paddings: readonly (readonly [number, number])[],
  value: number,
  interior: readonly number[] = paddings.map(() => 0),
): Value {
  const shape = x.shape.map(
    (n, i) => paddings[i]![0] + n + Math.max(0, n - 1) * interior[i]! + paddings[i]![1],
  );
  const to = typeText({ type: x.type, shape });
  const low = paddings.map(([before]) => before);
  const high = paddings.map(([, after]) => after);
  const filler = constant(x.type, value);
  return operation(
    x.type,
    shape,
    to,
    [x, filler],
    -1,
    ([a, f]) =>
      `stablehlo.pad ${a}, ${f}, low = [${low}], high = [${high}], interior = [${interior}] : (${x.text}, ${filler.text}) -> ${to}`,
  );
}

export function reverse(x: Value, dimensions: readonly number[]): Value {
  return operation(
    x.type,
    x.shape,
    x.text,
    [x],
    codeOf("reverse", dimensions.join(), x.text),
    ([a]) => `stablehlo.reverse ${a}, dims = [${dimensions}] : ${x.text}`,
  );
}
