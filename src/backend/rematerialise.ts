/** Trading time for memory: a function whose intermediate tensors are computed again in the backward pass. */
import * as tf from "@tensorflow/tfjs";
import { differentiable, together } from "./fused.ts";

/**
 * fn(...inputs), of which only the inputs are kept for the backward pass; there `fn` runs again, under a tape
 * of its own (gradient checkpointing, arXiv:1604.06174). All inputs are differentiated, so pass only what is
 * trained and the activations, and close over what is frozen.
 * @param fn pure; returns one tensor; may use tensors it closes over
 */
export function rematerialise(fn: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[]): tf.Tensor {
  const named = Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor]));
  return differentiable(
    named,
    (save) => {
      save(inputs);
      return fn(...inputs);
    },
    (dy, saved) => together(Object.keys(named), () => nestedGradients(() => fn(...saved), saved, dy)),
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
