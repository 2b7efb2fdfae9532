/**
 * What an engine can do beyond what tfjs asks of a backend. Code outside of the engines' folders asks this, never which
 * engine it is. An engine that registers nothing computes operation by operation, on one device, in float32.
 */
import * as tf from "@tensorflow/tfjs";
import type { QuantisedMatrix } from "./quantised.ts";

/** How operands of matrix products are rounded. */
export type ProductPrecision = "f32" | "tf32" | "bf16";

export interface Engine {
  /** false: `data()` reads tensors, `dataSync()` does not. */
  readonly readsSynchronously: boolean;
  /** Devices that share the rows of each batch. */
  readonly devices: number;
  /** A tensor with its first axis, the rows of a batch, cut between the devices. Differentiable. */
  overDevices<T extends tf.Tensor>(make: () => T): T;
  readonly precision: ProductPrecision;
  /** `fn` with products of float32 operands. */
  withExactProducts<T>(fn: () => T): T;
  /** Tensors that lie on the device as bf16; null where there are none. */
  readonly halves: HalvedTensors | null;
  /** Tensors that lie on the device as codes and scales; null where there are none. */
  readonly quantised: QuantisedTensors | null;
  /** What engines have that gather operations and compile them; null where each operation is computed at once. */
  readonly programs: Programs | null;
}

/** To tfjs they are float32, with the same numbers. */
export interface HalvedTensors {
  /** Are products rounded to bf16 anyway, so that programs read such weights without a copy in float32? */
  readonly wanted: boolean;
  /** @param bits of bf16 */
  make(bits: Uint16Array, shape: readonly number[]): tf.Tensor;
  has(tensor: tf.Tensor): boolean;
}

/** To tfjs they are float32 (quantised.ts). */
export interface QuantisedTensors {
  make(matrix: QuantisedMatrix, transposed: boolean): tf.Tensor;
  /** Of codes and scales; null for a tensor that is none. */
  bytes(tensor: tf.Tensor): number | null;
}

export interface Programs {
  readonly statistics: Readonly<ProgramStatistics>;
  /** Every program so far, in the order of compilation. */
  readonly times: readonly ProgramTimes[];
  /** Waits for every program from now on and times it. */
  startTiming(): void;
  /** Names what the next program computes, for profiles. */
  mark(name: string): void;
  /** Computes what has been asked for so far. */
  settle(): void;
  /** byRows (by-rows.ts) as one loop. @param size rows of a slice, on all devices together */
  loopOverRows(
    inputs: readonly tf.Tensor[],
    size: number,
    width: number,
    sumShape: readonly number[] | null,
    fn: (slices: tf.Tensor[], sum: tf.Tensor | null) => { rows: tf.Tensor; sum: tf.Tensor | null },
  ): { rows: tf.Tensor2D; sum: tf.Tensor | null };
  /** gradients(inputs, dy) where the compiler cannot merge them with the forward pass, of which they compute a part again. */
  gradientsApart(
    inputs: readonly tf.Tensor[],
    dy: tf.Tensor,
    gradients: (inputs: tf.Tensor[], dy: tf.Tensor) => tf.Tensor[],
  ): tf.Tensor[];
}

export interface ProgramStatistics {
  /** Programs compiled so far, and the seconds this took. */
  readonly compilations: number;
  readonly compileSeconds: number;
  /** Runs of programs. */
  readonly runs: number;
}

export interface ProgramTimes {
  /** What was asked for when it was compiled. */
  readonly name: string;
  readonly operations: number;
  /** Of arguments that differ from run to run, the largest first. */
  readonly shapes: readonly string[];
  /** Runs, since they are timed where they are. */
  calls: number;
  /** Seconds of runs, where they are waited for. */
  seconds: number;
  readonly compileSeconds: number;
  /** Bytes that a run takes besides its arguments, as the compiler reports them; null where it cannot be asked. */
  readonly ownBytes: number | null;
  /** It came from the programs that earlier runs have kept. */
  readonly kept: boolean;
}

/** What an engine is that registers nothing. */
export const plainEngine: Engine = {
  readsSynchronously: true,
  devices: 1,
  overDevices: (make) => make(),
  precision: "f32",
  withExactProducts: (fn) => fn(),
  halves: null,
  quantised: null,
  programs: null,
};

const engines = new WeakMap<tf.KernelBackend, Engine>();

/** Says what the engine behind a tfjs backend can do. */
export function registerEngine(backend: tf.KernelBackend, engine: Engine): void {
  engines.set(backend, engine);
}

/** Of tfjs's current backend. */
export function currentEngine(): Engine {
  const backend = tf.findBackend(tf.getBackend());
  return (backend === null ? undefined : engines.get(backend)) ?? plainEngine;
}
