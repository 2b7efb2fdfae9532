/** Where the time goes: by compiled program, or by kernel where a backend computes op by op. */
import { performance } from "node:perf_hooks";
import * as tf from "@tensorflow/tfjs";
import { currentEngine } from "./engine.ts";

export interface ProfileRow {
  /** What the program computes, or the kernel's name. */
  name: string;
  /** Of the batch, or of the kernel's inputs. */
  shapes: string;
  calls: number;
  milliseconds: number;
  /** Compiling it; null for kernels. */
  compileMilliseconds: number | null;
  /** Bytes that a run takes besides its arguments, by the compiler's own figure; null where there is none. */
  ownBytes: number | null;
}

/** Names what is computed next, for the profile of a backend that compiles programs. */
export function mark(name: string): void {
  currentEngine().programs?.mark(name);
}

/**
 * Times everything that the current backend computes from now on. Kernels of backends that return before they have
 * computed (WebGPU) show the time to start them.
 * @returns rows so far, the most expensive first
 */
export function startProfile(): () => ProfileRow[] {
  const { programs } = currentEngine();
  if (programs !== null) {
    programs.startTiming();
    return () =>
      sorted(
        programs.times.map(({ name, operations, shapes, calls, seconds, compileSeconds, ownBytes }) => ({
          name,
          shapes: [...shapes, `${operations} operations`].join(" "),
          calls,
          milliseconds: seconds * 1000,
          compileMilliseconds: compileSeconds * 1000,
          ownBytes,
        })),
      );
  }
  const rows = new Map<string, ProfileRow>();
  for (const kernel of tf.getKernelsForBackend(tf.getBackend())) {
    const { kernelName, kernelFunc } = kernel;
    kernel.kernelFunc = (params) => {
      const began = performance.now();
      const result = kernelFunc(params);
      const shapes = Object.values(params.inputs)
        .flat()
        .map((info) => `[${(info as tf.TensorInfo).shape}]`)
        .join(" ");
      const key = `${kernelName} ${shapes}`;
      const row = rows.get(key) ?? {
        name: kernelName,
        shapes,
        calls: 0,
        milliseconds: 0,
        compileMilliseconds: null,
        ownBytes: null,
      };
      row.calls++;
      row.milliseconds += performance.now() - began;
      rows.set(key, row);
      return result;
    };
  }
  return () => sorted([...rows.values()]);
}

function sorted(rows: ProfileRow[]): ProfileRow[] {
  return rows.sort((a, b) => b.milliseconds - a.milliseconds);
}
