/** What layers are made of: weights by name, products with their adapters, norms. */
import * as tf from "@tensorflow/tfjs";
import { layerNorm } from "../backend/activations.ts";
import { rmsNorm } from "../backend/ops.ts";
import type { PictureTile } from "../types.ts";
import type { LinearConfig, NormConfig } from "./interfaces.ts";

/** A low-rank update of one linear layer: y += scale * (x A) B. */
export interface Adapter {
  a: tf.Tensor2D; // [in, r]
  b: tf.Tensor2D; // [r, out]
  scale: number;
}

/** Weights as the forward pass sees them: the policy's own, the reference's, or stand-ins under a tape. */
export interface WeightView {
  /** A weight by Hugging Face name, linear layers [in, out]; undefined where the family has none. */
  find(name: string): tf.Tensor | undefined;
  /** The adapter of a linear layer by module name, if any. */
  adapter(module: string): Adapter | undefined;
  /** Rows that the tower made of a tile, where nothing trains it. [tokens, H] */
  seen?: ((tile: PictureTile) => tf.Tensor2D) | undefined;
}

export function weight<T extends tf.Tensor>(view: WeightView, name: string): T {
  const found = view.find(name);
  if (!found) throw new RangeError(`no weight is called ${name}`);
  return found as T;
}

/** x W + b, with the adapter's update where there is one. @param x [N, in] @returns [N, out] */
export function linear(x: tf.Tensor2D, { module, bias }: LinearConfig, view: WeightView): tf.Tensor2D {
  let y = tf.matMul(x, weight<tf.Tensor2D>(view, `${module}.weight`)) as tf.Tensor2D;
  if (bias) y = tf.add(y, weight(view, `${module}.bias`));
  const adapter = view.adapter(module);
  if (adapter) y = tf.add(y, tf.matMul(tf.mul(tf.matMul(x, adapter.a), adapter.scale), adapter.b));
  return y;
}

/** The norm of a residual stream, or of heads. @param module null: x as it is @param x [N, width] */
export function norm({ kind, epsilon }: NormConfig, module: string | null, x: tf.Tensor2D, view: WeightView) {
  if (module === null) return x;
  const w = weight<tf.Tensor1D>(view, `${module}.weight`);
  if (kind === "layer") return layerNorm(x, w, weight(view, `${module}.bias`), epsilon);
  return rmsNorm(x, kind === "rms-one-plus" ? tf.add(w, 1) : w, epsilon);
}
