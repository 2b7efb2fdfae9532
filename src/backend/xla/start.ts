/** Puts an executor behind tfjs. */
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { cacheDir } from "../../lib/cache.ts";
import { BackendUnavailable, type StartedBackend } from "../unavailable.ts";
import type { Executor } from "./executor.ts";
import { registerXlaKernels } from "./kernels/register.ts";
import { LazyBackend, xlaBackendName } from "./lazy-backend.ts";

export interface XlaOptions {
  /** "auto", or a folder with TensorFlow's libraries, or a PJRT plugin. */
  library?: string | undefined;
  threads?: number | undefined;
}

/** @throws BackendUnavailable when there is no library, or it does not open */
export async function startXla(options: XlaOptions): Promise<StartedBackend> {
  const executor = await openExecutor(options);
  await startLazyBackend(executor);
  return {
    tfName: xlaBackendName,
    device: executor.devices[0] ?? executor.platform,
    description: `compiled programs by ${executor.name}`,
    versions: { ...executor.versions },
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

async function openExecutor({ library, threads }: XlaOptions): Promise<Executor> {
  const folder = library === undefined || library === "auto" ? process.env["RLPT_TENSORFLOW"] : library;
  if (folder === undefined) {
    throw new BackendUnavailable("no library that compiles programs was found", null);
  }
  if (/\.(so|dylib|dll)$/.test(folder)) {
    const { openPjrtExecutor } = await import("./pjrt/executor.ts");
    const cache = join(cacheDir(), "programs");
    return openPjrtExecutor({ plugin: folder, cache, ...(threads === undefined ? {} : { threads }) });
  }
  const { openTensorFlowExecutor } = await import("./tensorflow/executor.ts");
  return openTensorFlowExecutor({ folder, ...(threads === undefined ? {} : { threads }) });
}
