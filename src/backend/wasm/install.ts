/** Puts our kernels in the place of tfjs's in its wasm backend. */
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import type { CblasLibrary } from "./cblas.ts";
import { fusedKernels } from "./fused-kernels.ts";
import { type WasmBackend, WasmHeap } from "./heap.ts";
import { matmul } from "./matmul.ts";
import { stockKernels } from "./stock-kernels.ts";

type KernelFunc = tf.KernelFunc;

interface Installed {
  heap: WasmHeap;
  /** Stock functions by kernel name, to put back. */
  stock: Map<string, KernelFunc>;
  /** Kernels that tfjs does not have. */
  added: string[];
}

let installed: Installed | null = null;

/** @returns the kernels that are put in place, by name */
function kernelTable(
  heap: WasmHeap,
  cblas: CblasLibrary | null,
  stock: ReadonlyMap<string, KernelFunc>,
): Record<string, KernelFunc> {
  return {
    ...stockKernels(heap, (name, args) => stock.get(name)!(args)),
    ...fusedKernels(heap),
    BatchMatMul: ({ inputs, attrs }) =>
      matmul(
        heap,
        cblas,
        inputs["a"]!,
        inputs["b"]!,
        attrs!["transposeA"] as boolean,
        attrs!["transposeB"] as boolean,
      ),
  };
}

/**
 * Replaces tfjs's slow wasm kernels and adds the fused ones of `ops.ts`. Call when the wasm backend is ready.
 * @param options cblas: matrix products through it, else through our SIMD kernel; relaxed: false for plain SIMD
 * @throws BackendError when the wasm backend is not the current one
 */
export function installWasmKernels(options: { cblas: CblasLibrary | null; relaxed?: boolean }): {
  matmul: "cblas" | "simd";
  describe(): string;
} {
  if (tf.getBackend() !== "wasm") {
    throw new BackendError(`wasm kernels: the current backend is ${tf.getBackend()}, not wasm`);
  }
  uninstallWasmKernels();
  const { cblas } = options;
  const heap = new WasmHeap(tf.backend() as unknown as WasmBackend, { relaxed: options.relaxed ?? true });
  const now: Installed = { heap, stock: new Map(), added: [] };
  for (const [kernelName, kernelFunc] of Object.entries(kernelTable(heap, cblas, now.stock))) {
    // biome-ignore lint/suspicious/noExplicitAny: tfjs types the config as read-only; it is the live object
    const live = tf.getKernel(kernelName, "wasm") as any;
    if (live) {
      now.stock.set(kernelName, live.kernelFunc);
      live.kernelFunc = kernelFunc;
    } else {
      tf.registerKernel({ kernelName, backendName: "wasm", kernelFunc });
      now.added.push(kernelName);
    }
  }
  installed = now;
  return {
    matmul: cblas ? "cblas" : "simd",
    describe: () =>
      cblas
        ? `CBLAS ${cblas.describe()}`
        : `own SIMD kernels${heap.relaxed ? " with fused multiply-add" : ""}`,
  };
}

/** Puts tfjs's own kernels back (tests, and the benchmark against stock tfjs). No effect when none are installed. */
export function uninstallWasmKernels(): void {
  if (!installed) return;
  for (const [kernelName, kernelFunc] of installed.stock) {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    (tf.getKernel(kernelName, "wasm") as any).kernelFunc = kernelFunc;
  }
  for (const kernelName of installed.added) tf.unregisterKernel(kernelName, "wasm");
  installed.heap.release();
  installed = null;
}
