/** Trading time for memory: a function whose intermediate tensors are computed again in the backward pass. */
import * as tf from "@tensorflow/tfjs";
import { currentEngine } from "./engine.ts";
import { differentiable, together } from "./fused.ts";

/**
 * fn(inputs, constants), of which only the arguments are kept for the backward pass; there `fn` runs again,
 * under a tape of its own (gradient checkpointing, arXiv:1604.06174).
 * @param fn pure; may close over tensors that live as long as the program (frozen weights), never over
 *   temporary ones: these are gone when it runs again, so they belong into `constants`
 * @param inputs differentiated, every one of them
 * @param constants not differentiated
 */
export function rematerialise(
  fn: (inputs: tf.Tensor[], constants: tf.Tensor[]) => tf.Tensor,
  inputs: tf.Tensor[],
  constants: tf.Tensor[] = [],
): tf.Tensor {
  const named = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
  return differentiable(
    named,
    (save) => {
      save([...inputs, ...constants]);
      return fn(inputs, constants);
    },
    (dy, saved) => {
      const again = saved.slice(0, inputs.length);
      const rest = saved.slice(inputs.length);
      return together(Object.keys(named), () => {
        const gradients = (from: tf.Tensor[], slope: tf.Tensor) =>
          nestedGradients(() => fn(from, rest), from, slope);
        return currentEngine().programs?.gradientsApart(again, dy, gradients) ?? gradients(again, dy);
      });
    },
  );
}

/** Gradients inside a backward pass: tfjs forgets the outer tape when an inner one ends, so it is put back. */
function nestedGradients(fn: () => tf.Tensor, inputs: tf.Tensor[], dy: tf.Tensor): tf.Tensor[] {
  const { state } = tf.engine();
  const outer = state.activeTape;
  try {
    return tf.tidy(() => {
      const { value, grads } = tf.engine().gradients(fn, inputs, dy, true);
      value.dispose();
      return grads.map((gradient, i) => gradient ?? tf.zerosLike(inputs[i]!));
    });
  } finally {
    state.activeTape = outer;
  }
}
