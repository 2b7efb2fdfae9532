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

/** Programs compiled so far and the seconds that took; null on backends that compile nothing. */
export function compilation(): { programs: number; seconds: number } | null {
  const statistics = currentLazyBackend()?.statistics;
  return statistics === undefined
    ? null
    : { programs: statistics.compilations, seconds: statistics.compileSeconds };
}

/** True where each new shape costs a compilation, so that batches are padded to few shapes. */
export function compilesPrograms(): boolean {
  return currentLazyBackend() !== null;
}
