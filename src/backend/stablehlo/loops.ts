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
  reshape,
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
 * fn over slices of rows, one slice after the other. On several devices a slice takes as many rows of each of them, so that
 * none waits for another.
 * @param inputs [K, ...] each; rows of zeros fill up the last slice
 * @param size rows of a slice, on all devices together
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
  const strips = count % backend.devices === 0 ? backend.devices : 1;
  const own = count / strips;
  const ownSize = Math.ceil(size / strips);
  const turns = Math.ceil(own / ownSize);
  const filled = inputs.map((tensor) => {
    const [, ...rest] = tensor.shape;
    const paddings = [own, ...rest].map((_, i): [number, number] => [0, i === 0 ? turns * ownSize - own : 0]);
    const rows = reshape(backend.byRows(backend.take(tensor)), [strips, own, ...rest]);
    return backend.byRows(pad(rows, [[0, 0], ...paddings], 0));
  });
  const zero = constant("i32", 0);
  const initial = [zero, backend.byRows(constant("f32", 0, [strips, turns * ownSize, width]))];
  if (sumShape !== null) initial.push(constant("f32", 0, sumShape));
  const [, rows, sum] = whileLoop(
    initial,
    ([turn]) => compare("LT", turn!, constant("i32", turns)),
    ([turn, before, sumBefore]) => {
      const next: Value[] = [];
      tf.tidy(() => {
        const start = multiply(turn!, constant("i32", ownSize));
        const slices = filled.map((value) => {
          const rest = value.shape.slice(2);
          const at = value.shape.map((_, i) => (i === 1 ? start : zero));
          const slice = dynamicSlice(value, at, [strips, ownSize, ...rest]);
          return backend.tensor(reshape(slice, [strips * ownSize, ...rest]));
        });
        const made = fn(slices, sumBefore === undefined ? null : backend.tensor(sumBefore));
        const rows = reshape(backend.take(made.rows), [strips, ownSize, width]);
        next.push(dynamicUpdateSlice(before!, rows, [zero, start, zero]));
        if (made.sum !== null) next.push(backend.take(made.sum));
      });
      return [shift(turn!, 1), ...next];
    },
  );
  return {
    rows: backend.tensor(
      reshape(slice(rows!, [0, 0, 0], [strips, own, width]), [count, width]),
    ) as tf.Tensor2D,
    sum: sum === undefined ? null : backend.tensor(sum),
  };
}
