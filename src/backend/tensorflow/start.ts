/** The kernels of @tensorflow/tfjs-node-gpu, op by op, over a TensorFlow library of today. */
import { createRequire } from "node:module";
import * as tf from "@tensorflow/tfjs";
import { findPackage } from "../tfjs-node/start.ts";
import { BackendUnavailable, type StartedBackend } from "../unavailable.ts";

const require = createRequire(import.meta.url);
const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"];

export interface TensorFlowOptions {
  /** "auto", or a folder with TensorFlow's libraries. */
  library?: string | undefined;
  threads?: number | undefined;
  /** gpu refuses a TensorFlow that sees none. */
  device?: "gpu" | "cpu" | undefined;
}

interface KernelBackend {
  NodeJSKernelBackend: new (binding: object, packageName: string) => tf.KernelBackend;
}

/** @throws BackendUnavailable when the package, the library, or (device gpu) a GPU is missing */
export async function startTensorFlowLibrary(
  options: TensorFlowOptions = {},
): Promise<StartedBackend & { platform: string }> {
  const name = packages.find((each) => findPackage(each) !== null);
  if (name === undefined) {
    throw new BackendUnavailable(
      "the package @tensorflow/tfjs-node-gpu, whose kernels it runs, is not installed",
      "npm install @tensorflow/tfjs-node-gpu --ignore-scripts",
    );
  }
  const { findTensorFlow } = await import("../xla/tensorflow/find.ts");
  const library = options.library ?? "auto";
  const { found, looked } = findTensorFlow(library === "auto" ? undefined : library);
  if (found === null) {
    throw new BackendUnavailable(
      `TensorFlow's library is not here (looked in ${looked.join(", ")})`,
      "rlpt backend install tensorflow (274 MB)",
    );
  }
  if (options.device === "gpu") {
    const { hasDriver } = await import("../xla/open.ts");
    if (!hasDriver("cuda")) throw new BackendUnavailable("no NVIDIA driver is here", null);
  }
  const { openTensorFlow } = await import("../xla/tensorflow/library.ts");
  const { tensorflowBinding } = await import("./binding.ts");
  const tensorflow = openTensorFlow(
    found.folder,
    options.threads === undefined ? {} : { threads: options.threads },
  );
  const binding = tensorflowBinding(tensorflow);
  const gpu = binding.isUsingGpuDevice();
  if (options.device === "gpu" && !gpu) {
    throw new BackendUnavailable(
      `TensorFlow ${tensorflow.version} sees no GPU`,
      "check nvidia-smi; rlpt backend install tensorflow --gpu fetches the build for GPUs",
    );
  }
  require(`${name}/dist/register_all_kernels`);
  const { NodeJSKernelBackend } = require(`${name}/dist/nodejs_kernel_backend`) as KernelBackend;
  if (tf.findBackend("tensorflow") !== null) tf.removeBackend("tensorflow");
  tf.registerBackend("tensorflow", () => new NodeJSKernelBackend(binding, name), 0);
  if (!(await tf.setBackend("tensorflow"))) {
    throw new BackendUnavailable(`the kernels of ${name} did not start`, null);
  }
  return {
    tfName: "tensorflow",
    device: gpu ? tensorflow.devices.find(({ type }) => type === "GPU")!.name : "CPU",
    description: `TensorFlow ${tensorflow.version} op by op, kernels of ${name}`,
    platform: gpu ? "cuda" : "cpu",
    versions: {
      tensorflow: tensorflow.version,
      [name]: (require(`${name}/package.json`) as { version: string }).version,
    },
  };
}
