/** Puts an executor behind tfjs. */
import * as tf from "@tensorflow/tfjs";
import type { StartedBackend } from "../unavailable.ts";
import type { Executor } from "./executor.ts";
import { registerXlaKernels } from "./kernels/register.ts";
import { LazyBackend, type Precision, xlaBackendName } from "./lazy-backend.ts";
import { openExecutor } from "./open.ts";
import { selfTestExecutor } from "./self-test.ts";

export interface XlaOptions {
  /** "auto", or a folder with TensorFlow's libraries, or a PJRT plugin. */
  library?: string | undefined;
  threads?: number | undefined;
  device?: "auto" | "gpu" | "cpu";
  precision?: Precision | undefined;
}

/** @throws BackendUnavailable when there is no library, or it does not open */
export async function startXla({
  library = "auto",
  threads,
  device = "auto",
  precision = "f32",
}: XlaOptions): Promise<StartedBackend & { platform: string }> {
  const named =
    library === "auto"
      ? {}
      : /\.(so|dylib|dll)$/.test(library)
        ? { plugin: library }
        : { tensorflow: library };
  const { executor } = await openExecutor({ device, threads, ...named });
  selfTestExecutor(executor);
  const backend = await startLazyBackend(executor);
  return {
    // the self-test asks for f32
    arm: () => {
      backend.precision = precision;
    },
    tfName: xlaBackendName,
    device: executor.devices[0] ?? executor.platform,
    description: `compiled programs by ${executor.name}${precision === "f32" ? "" : `, products in ${precision}`}`,
    versions: { ...executor.versions },
    platform: executor.platform,
  };
}

/** Makes the executor the tfjs backend of this process; another one before it is closed. */
export async function startLazyBackend(executor: Executor): Promise<LazyBackend> {
  registerXlaKernels();
  if (tf.findBackend(xlaBackendName) !== null) tf.removeBackend(xlaBackendName);
  const backend = new LazyBackend(executor);
  tf.registerBackend(xlaBackendName, () => backend, 0);
  await tf.setBackend(xlaBackendName);
  return backend;
}
