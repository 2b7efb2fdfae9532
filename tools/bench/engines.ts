/** What the benchmark compares. Each engine runs in a process of its own. */
import * as tf from "@tensorflow/tfjs";
import { startBackend } from "../../src/backend/select.ts";
import { BackendError } from "../../src/lib/errors.ts";
import { isSoftware } from "../../src/processes/probe.ts";

export const engineNames = [
  "wasm-stock",
  "wasm-simd",
  "wasm-cblas",
  "xla",
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

/**
 * @param options software: also WebGPU on an adapter that computes on the CPU, minutes where others take seconds
 * @throws BackendError when this machine cannot run it
 */
export async function startEngine(name: EngineName, options: { software: boolean }): Promise<StartedEngine> {
  switch (name) {
    case "wasm-stock": {
      // the same model code on tfjs's own kernels: ours are taken out again
      const { device } = await startBackend({ kind: "wasm", cblas: "off" });
      const { uninstallWasmKernels } = await import("../../src/backend/wasm/install.ts");
      uninstallWasmKernels();
      return { device, description: `tfjs ${tf.version_core} as it comes, no kernel of ours` };
    }
    case "wasm-simd":
      return startBackend({ kind: "wasm", cblas: "off" });
    case "wasm-cblas": {
      const info = await startBackend({ kind: "wasm" });
      if (info.matmul === "cblas") return info;
      throw new BackendError("no CBLAS library was found; rlpt backend install openblas brings one");
    }
    case "webgpu": {
      const info = await startBackend({ kind: "webgpu" });
      if (options.software || !isSoftware(info)) return info;
      throw new BackendError(`only ${info.device} was found; --engines webgpu times it all the same`);
    }
    default:
      return startBackend({ kind: name });
  }
}
