import * as tf from "@tensorflow/tfjs";
import { currentLazyBackend } from "./stablehlo/lazy-backend.ts";

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

/** A compiled program: what it computes, its memory besides its arguments (null: not reported), compiling it. */
export interface CompiledProgram {
  name: string;
  bytes: number | null;
  seconds: number;
  /** Runs so far. */
  calls: number;
  /** It came from the programs that earlier runs have kept, so that `seconds` are those of reading it. */
  kept: boolean;
}

/** All of them, in the order of compilation; null on backends that compile nothing. */
export function compiledPrograms(): CompiledProgram[] | null {
  const programs = currentLazyBackend()?.programTimes;
  if (programs === undefined) return null;
  return programs.map(({ name, ownBytes, compileSeconds, calls, kept }) => ({
    name,
    bytes: ownBytes,
    seconds: compileSeconds,
    calls,
    kept,
  }));
}

/** Rounding of operands of matrix products; f32 but where a compiled backend was told otherwise. */
export function productPrecision(): "f32" | "tf32" | "bf16" {
  return currentLazyBackend()?.precision ?? "f32";
}

/** `fn` with products of float32 operands, whatever the backend was told. */
export function withExactProducts<T>(fn: () => T): T {
  const backend = currentLazyBackend();
  return backend === null ? fn() : backend.withPrecision("f32", fn);
}

/** True where each new shape costs a compilation, so that batches are padded to few shapes. */
export function compilesPrograms(): boolean {
  return currentLazyBackend() !== null;
}
