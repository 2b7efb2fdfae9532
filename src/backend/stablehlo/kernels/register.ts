/** All kernels of the backend that is traced (xla), and what is said of those that it lacks. */
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../../../lib/errors.ts";
import { calledFrom } from "../caller.ts";
import { xlaBackendName } from "../lazy-backend.ts";
import { registerElementwise } from "./elementwise.ts";
import { registerFused } from "./fused.ts";
import { registerReductions } from "./reductions.ts";
import { registerShapes } from "./shapes.ts";

let registered = false;

export function registerXlaKernels(): void {
  if (registered) return;
  registered = true;
  registerElementwise();
  registerShapes();
  registerReductions();
  registerFused();
  for (const { kernelName } of tf.getKernelsForBackend("cpu")) {
    if (tf.getKernel(kernelName, xlaBackendName) == null) refuse(kernelName);
  }
}

/** A kernel that names itself and its caller instead of "not registered". */
function refuse(kernelName: string): void {
  tf.registerKernel({
    kernelName,
    backendName: xlaBackendName,
    kernelFunc: () => {
      throw new BackendError(
        `the operation ${kernelName} cannot be compiled: the xla backend has no kernel for it${calledFrom()}. ` +
          "Fix: write it with operations of src/backend/ops.ts, or use backend wasm.",
      );
    },
  });
}
