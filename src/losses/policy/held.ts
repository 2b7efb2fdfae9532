/** Tokens whose gradient a bound stops: beyond it on the side that the advantage pushes to. 0 or 1, [K]. */
import type * as Tf from "@tensorflow/tfjs";

export function heldLow(tf: typeof Tf, value: Tf.Tensor, bound: number, advantages: Tf.Tensor): Tf.Tensor {
  return tf.cast(tf.logicalAnd(tf.less(value, bound), tf.less(advantages, 0)), "float32");
}

export function heldHigh(tf: typeof Tf, value: Tf.Tensor, bound: number, advantages: Tf.Tensor): Tf.Tensor {
  return tf.cast(tf.logicalAnd(tf.greater(value, bound), tf.greater(advantages, 0)), "float32");
}

export function neither(tf: typeof Tf, low: Tf.Tensor, high: Tf.Tensor): Tf.Tensor {
  return tf.sub(1, tf.add(low, high));
}
