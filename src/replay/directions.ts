/** Gradients and weight changes of two updates: lengths, and the angle between them. */
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { openSafetensors } from "../policy/files/safetensors.ts";
import { stateFile, WEIGHTS } from "../training/checkpoint-contents.ts";

export interface Direction {
  /** Euclidean, over all trained weights. */
  norm: number;
  changedNorm: number;
  /** Cosine of the angle; null where one of them is 0. */
  cosine: number | null;
}

/** A vector in parts, by weight name. */
export type Parts = ReadonlyMap<string, Float32Array>;

/** Tensors added up on the host. */
export interface HostSum {
  /** They stay the caller's. */
  add(tensors: ReadonlyMap<string, tf.Tensor>): void;
  read(): Promise<Parts>;
}

export function createHostSum(): HostSum {
  const sum = new Map<string, Float32Array>();
  const pending: Promise<void>[] = [];
  return {
    add(tensors) {
      for (const [name, tensor] of tensors) {
        const copy = tf.clone(tensor);
        pending.push(
          copy.data<"float32">().then((values) => {
            copy.dispose();
            const before = sum.get(name);
            if (before === undefined) sum.set(name, values.slice());
            else for (let i = 0; i < before.length; i++) before[i]! += values[i]!;
          }),
        );
      }
    },
    async read() {
      await Promise.all(pending);
      return sum;
    },
  };
}

/** Inner products of two vectors that come in parts. */
function createAngle() {
  let aa = 0;
  let bb = 0;
  let ab = 0;
  return {
    add(a: ArrayLike<number>, b: ArrayLike<number>): void {
      for (let i = 0; i < a.length; i++) {
        aa += a[i]! * a[i]!;
        bb += b[i]! * b[i]!;
        ab += a[i]! * b[i]!;
      }
    },
    direction: (): Direction => ({
      norm: Math.sqrt(aa),
      changedNorm: Math.sqrt(bb),
      cosine: aa === 0 || bb === 0 ? null : ab / Math.sqrt(aa * bb),
    }),
  };
}

/** @param from taken off both, where given: then two ways from one place are compared */
export function compareDirections(original: Parts, changed: Parts, from?: Parts): Direction {
  const angle = createAngle();
  for (const [name, values] of original) {
    const start = from?.get(name);
    const way = (to: Float32Array) => (start === undefined ? to : to.map((value, i) => value - start[i]!));
    angle.add(way(values), way(changed.get(name)!));
  }
  return angle.direction();
}

/** Trained weights of a checkpoint. */
export function readWeights(directory: string): Parts {
  const file = openSafetensors(join(directory, stateFile(WEIGHTS)));
  try {
    return new Map(file.names.map((name) => [name, file.read(name)]));
  } finally {
    file.close();
  }
}
