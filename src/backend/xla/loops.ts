/** Parts of a step as loops of its program, for the memory that this saves. */
import * as tf from "@tensorflow/tfjs";
import type { Value } from "./graph.ts";
import {
  compare,
  constant,
  dynamicSlice,
  dynamicUpdateSlice,
  multiply,
  pad,
  shift,
  slice,
  whileLoop,
} from "./hlo.ts";
import type { LazyBackend } from "./lazy-backend.ts";

/**
 * gradients(inputs, dy) as the body of a loop that turns once. XLA merges equal computations across a program and, on
 * processors, drops optimization barriers before it does, so a rematerialised layer would be merged with its forward pass and
 * save nothing; into a loop whose state changes and whose number of turns it does not know it cannot look.
 * @param gradients one tensor per input, of its shape: they take the inputs' place in the loop's state
 */
export function gradientsApart(
  backend: LazyBackend,
  inputs: readonly tf.Tensor[],
  dy: tf.Tensor,
  gradients: (inputs: tf.Tensor[], dy: tf.Tensor) => tf.Tensor[],
): tf.Tensor[] {
  const turns = backend.changing(1, "turns");
  const initial = [constant("f32", 0), ...[...inputs, dy].map((tensor) => backend.take(tensor))];
  const [, ...results] = whileLoop(
    initial,
    ([turn]) => compare("LT", turn!, turns),
    ([turn, ...state]) => {
      const next: Value[] = [];
      // tidy would look for tensors in what it returns, and values lead to the whole graph
      tf.tidy(() => {
        const tensors = state.map((value) => backend.tensor(value));
        const slope = tensors.pop()!;
        next.push(...gradients(tensors, slope).map((tensor) => backend.take(tensor)));
      });
      return [shift(turn!, 1), ...next, state.at(-1)!];
    },
  );
  return results.slice(0, inputs.length).map((value) => backend.tensor(value));
}

/**
 * fn over slices of rows, one slice after the other.
 * @param inputs [K, ...] each; rows of zeros fill up the last slice
 * @param size rows of a slice
 * @param width columns of fn's rows
 * @param sumShape shape of fn's sum; null: it has none
 * @param fn of a slice of each input and the sum so far, to rows [size, width] and the new sum
 */
export function loopOverRows(
  backend: LazyBackend,
  inputs: readonly tf.Tensor[],
  size: number,
  width: number,
  sumShape: readonly number[] | null,
  fn: (slices: tf.Tensor[], sum: tf.Tensor | null) => { rows: tf.Tensor; sum: tf.Tensor | null },
): { rows: tf.Tensor2D; sum: tf.Tensor | null } {
  const count = inputs[0]!.shape[0]!;
  const turns = Math.ceil(count / size);
  const filled = inputs.map((tensor) => {
    const paddings = tensor.shape.map((_, i): [number, number] => [0, i === 0 ? turns * size - count : 0]);
    return pad(backend.take(tensor), paddings, 0);
  });
  const zero = constant("i32", 0);
  const initial = [zero, constant("f32", 0, [turns * size, width])];
  if (sumShape !== null) initial.push(constant("f32", 0, sumShape));
  const [, rows, sum] = whileLoop(
    initial,
    ([turn]) => compare("LT", turn!, constant("i32", turns)),
    ([turn, before, sumBefore]) => {
      const next: Value[] = [];
      tf.tidy(() => {
        const start = multiply(turn!, constant("i32", size));
        const slices = filled.map((value) => {
          const at = value.shape.map((_, i) => (i === 0 ? start : zero));
          return backend.tensor(dynamicSlice(value, at, [size, ...value.shape.slice(1)]));
        });
        const made = fn(slices, sumBefore === undefined ? null : backend.tensor(sumBefore));
        next.push(dynamicUpdateSlice(before!, backend.take(made.rows), [start, zero]));
        if (made.sum !== null) next.push(backend.take(made.sum));
      });
      return [shift(turn!, 1), ...next];
    },
  );
  return {
    rows: backend.tensor(slice(rows!, [0, 0], [count, width])) as tf.Tensor2D,
    sum: sum === undefined ? null : backend.tensor(sum),
  };
}
