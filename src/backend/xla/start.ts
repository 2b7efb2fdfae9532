/** Puts an executor behind tfjs. */
import * as tf from "@tensorflow/tfjs";
import type { Executor } from "./executor.ts";
import { registerXlaKernels } from "./kernels/register.ts";
import { LazyBackend, xlaBackendName } from "./lazy-backend.ts";

/** Makes the executor the tfjs backend of this process; another one before it is closed. */
export async function startLazyBackend(executor: Executor): Promise<LazyBackend> {
  registerXlaKernels();
  if (tf.findBackend(xlaBackendName) !== null) tf.removeBackend(xlaBackendName);
  const backend = new LazyBackend(executor);
  tf.registerBackend(xlaBackendName, () => backend, 0);
  await tf.setBackend(xlaBackendName);
  return backend;
}
