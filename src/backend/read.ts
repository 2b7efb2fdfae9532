import type * as tf from "@tensorflow/tfjs";
import { currentEngine, type ProductPrecision } from "./engine.ts";

/** Some backends (WebGPU) can only be read asynchronously. */
export function readsSynchronously(): boolean {
  return currentEngine().readsSynchronously;
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
  currentEngine().programs?.settle();
}

/** Programs compiled so far and the seconds that took; null on backends that compile nothing. */
export function compilation(): { programs: number; seconds: number } | null {
  const statistics = currentEngine().programs?.statistics;
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
  const programs = currentEngine().programs?.times;
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
export function productPrecision(): ProductPrecision {
  return currentEngine().precision;
}

/** `fn` with products of float32 operands, whatever the backend was told. */
export function withExactProducts<T>(fn: () => T): T {
  return currentEngine().withExactProducts(fn);
}

/** True where each new shape costs a compilation, so that batches are padded to few shapes. */
export function compilesPrograms(): boolean {
  return currentEngine().programs !== null;
}
