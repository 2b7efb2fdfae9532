/** Puts an executor behind tfjs. */
import * as tf from "@tensorflow/tfjs";
import { type ProductPrecision, registerEngine } from "../engine.ts";
import { tracedEngine } from "../stablehlo/engine.ts";
import type { Executor } from "../stablehlo/executor.ts";
import { registerXlaKernels } from "../stablehlo/kernels/register.ts";
import { LazyBackend, xlaBackendName } from "../stablehlo/lazy-backend.ts";
import type { StartedBackend } from "../unavailable.ts";
import { type OpenExecutorOptions, openExecutor } from "./open.ts";
import { selfTestExecutor } from "./self-test.ts";

export interface XlaOptions {
  /** "auto", or "tensorflow" for its library where it is found, or a folder with it, or a PJRT plugin. */
  library?: string | undefined;
  threads?: number | undefined;
  device?: "auto" | "gpu" | "cpu" | undefined;
  precision?: ProductPrecision | undefined;
  /** Devices that share each batch: "auto" is every GPU, and 1 on the CPU. */
  devices?: "auto" | number | undefined;
}

/** @throws BackendUnavailable when there is no library, or it does not open */
export async function startXla({
  library = "auto",
  threads,
  device = "auto",
  precision = "f32",
  devices = "auto",
}: XlaOptions): Promise<StartedBackend & { platform: string; devices: number }> {
  const { executor } = await openExecutor({
    device,
    threads,
    ...(devices !== "auto" && { devices }),
    ...libraryNamed(library),
  });
  selfTestExecutor(executor);
  const backend = await startLazyBackend(executor);
  return {
    // the self-test asks for f32
    arm: () => {
      backend.precision = precision;
    },
    tfName: xlaBackendName,
    device: deviceNames(executor),
    description: `compiled programs by ${executor.name}${sharedBy(executor)}${precision === "f32" ? "" : `, products in ${precision}`}`,
    versions: { ...executor.versions },
    platform: executor.platform,
    devices: executor.devices.length,
  };
}

/** What `backend.library` asks for. */
function libraryNamed(library: string): Pick<OpenExecutorOptions, "plugin" | "tensorflow"> {
  if (library === "auto") return {};
  return /\.(so|dylib|dll)$/.test(library) ? { plugin: library } : { tensorflow: library };
}

/** "NVIDIA H100 80GB HBM3", of several "8 x NVIDIA H100 80GB HBM3". */
function deviceNames({ devices, platform }: Executor): string {
  const names = [...new Set(devices)].join(", ") || platform;
  return devices.length > 1 ? `${devices.length} x ${names}` : names;
}

function sharedBy({ devices, platform }: Executor): string {
  if (devices.length === 1) return "";
  const kind = platform === "cpu" ? "virtual devices of the CPU" : "devices";
  return `, batches cut between ${devices.length} ${kind}`;
}

/** Makes the executor the tfjs backend of this process; another one before it is closed. */
export async function startLazyBackend(executor: Executor): Promise<LazyBackend> {
  registerXlaKernels();
  if (tf.findBackend(xlaBackendName) !== null) tf.removeBackend(xlaBackendName);
  const backend = new LazyBackend(executor);
  registerEngine(backend, tracedEngine(backend));
  tf.registerBackend(xlaBackendName, () => backend, 0);
  await tf.setBackend(xlaBackendName);
  return backend;
}
