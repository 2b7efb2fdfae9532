import * as tf from "@tensorflow/tfjs";

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
