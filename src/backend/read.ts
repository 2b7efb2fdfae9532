import * as tf from "@tensorflow/tfjs";
import { currentLazyBackend } from "./xla/lazy-backend.ts";

/** Some backends (WebGPU) can only be read asynchronously. */
export function readsSynchronously(): boolean {
  return tf.getBackend() !== "webgpu";
}

/**
 * Brings tensors to the host where they cannot be read synchronously, so that `dataSync` finds them there.
 * They are uploaded again when they are next used; meant for checkpoints.
 */
export async function prefetch(tensors: Iterable<tf.Tensor>): Promise<void> {
  if (readsSynchronously()) return;
  for (const tensor of tensors) await tensor.data();
}

/** Computes what has been asked for so far, so that it does not pile up: for backends that compute when they are read. */
export function settle(): void {
  currentLazyBackend()?.flush();
}

/** True where each new shape costs a compilation, so that batches are padded to few shapes. */
export function compilesPrograms(): boolean {
  return currentLazyBackend() !== null;
}
