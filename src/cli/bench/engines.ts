/** What the benchmark compares. Each engine runs in a process of its own. */
import * as tf from "@tensorflow/tfjs";
import { startBackend } from "../../backend/select.ts";

export const engineNames = [
  "wasm-stock",
  "wasm-simd",
  "wasm-cblas",
  "tfjs-node",
  "tfjs-node-gpu",
  "webgpu",
  "cpu",
] as const;
export type EngineName = (typeof engineNames)[number];

/** What every other engine is compared with. */
export const baseline: EngineName = "wasm-stock";

export interface StartedEngine {
  description: string;
  device: string;
}

/** @throws BackendError when this machine cannot run it */
export async function startEngine(name: EngineName): Promise<StartedEngine> {
  switch (name) {
    case "wasm-stock": {
      // the same model code on tfjs's own kernels: ours are taken out again
      const { device } = await startBackend({ kind: "wasm", cblas: "off" });
      const { uninstallWasmKernels } = await import("../../backend/wasm/install.ts");
      uninstallWasmKernels();
      return { device, description: `tfjs ${tf.version_core} as it comes, no kernel of ours` };
    }
    case "wasm-simd":
      return startBackend({ kind: "wasm", cblas: "off" });
    case "wasm-cblas": {
      const info = await startBackend({ kind: "wasm" });
      if (info.matmul === "cblas") return info;
      const { BackendError } = await import("../../lib/errors.ts");
      throw new BackendError("no CBLAS library was found; rlpt backend install openblas brings one");
    }
    default:
      return startBackend({ kind: name });
  }
}
