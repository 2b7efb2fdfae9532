import * as tf from "@tensorflow/tfjs";
import { mark } from "../backend/profile.ts";

/** @returns the loss and a gradient for every variable, 0 for those that the loss does not reach */
export function lossAndGradients(
  trainable: ReadonlyMap<string, tf.Variable>,
  loss: () => tf.Scalar,
): { loss: tf.Scalar; gradients: Map<string, tf.Tensor> } {
  mark("gradients");
  const { value, grads } = tf.variableGrads(loss, [...trainable.values()]);
  const gradients = new Map<string, tf.Tensor>();
  for (const [name, variable] of trainable) {
    gradients.set(name, grads[variable.name] ?? tf.zerosLike(variable));
  }
  return { loss: value, gradients };
}
