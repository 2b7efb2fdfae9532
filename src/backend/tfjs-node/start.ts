/** @tensorflow/tfjs-node and tfjs-node-gpu: an add-on over TensorFlow's C library. */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { BackendUnavailable, type StartedBackend } from "../unavailable.ts";

const require = createRequire(import.meta.url);

interface TensorFlowBackend {
  binding: { isUsingGpuDevice(): boolean; TF_Version?: string };
}

/** The package's directory, or null when it is not installed. Loads nothing. */
export function findPackage(name: string): string | null {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    return null;
  }
}

/** The compiled add-on of a tfjs-node package: its install script downloads it, and may not have run. */
export function findAddon(directory: string): string | null {
  const lib = join(directory, "lib");
  if (!existsSync(lib)) return null;
  for (const folder of readdirSync(lib).filter((name) => name.startsWith("napi-v"))) {
    const file = join(lib, folder, "tfjs_binding.node");
    if (existsSync(file)) return file;
  }
  return null;
}

/** @throws BackendUnavailable when the package or its add-on is missing, does not load, or sees no GPU */
export async function startTensorFlow(kind: "tfjs-node" | "tfjs-node-gpu"): Promise<StartedBackend> {
  const name = `@tensorflow/${kind}`;
  const directory = findPackage(name);
  if (directory === null) {
    throw new BackendUnavailable(
      `the package ${name} is not installed`,
      `npm install ${name} --ignore-scripts=false`,
    );
  }
  if (findAddon(directory) === null) {
    throw new BackendUnavailable(
      `the package ${name} is there but its TensorFlow add-on is not: it is fetched by an install script, which is not run`,
      `npm rebuild ${name} --ignore-scripts=false (about 400 MB; Node below 23${kind === "tfjs-node-gpu" ? "; CUDA 11.2" : ""})`,
    );
  }
  try {
    require(name);
  } catch (cause) {
    const first = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new BackendUnavailable(
      `the add-on of ${name} does not load: ${first}`,
      `its TensorFlow 2.9.1 needs Node below 23${kind === "tfjs-node-gpu" ? " and the libraries of CUDA 11.2" : ""}; npm rebuild ${name} --ignore-scripts=false`,
      { cause },
    );
  }
  const backend = tf.findBackend("tensorflow") as unknown as TensorFlowBackend | null;
  if (backend === null) {
    throw new BackendUnavailable(
      `${name} registered with another copy of tfjs than ours`,
      "npm dedupe, so that one @tensorflow/tfjs-core is left",
    );
  }
  const gpu = backend.binding.isUsingGpuDevice();
  if (kind === "tfjs-node-gpu" && !gpu) {
    throw new BackendUnavailable(
      `${name} loads, but TensorFlow sees no GPU`,
      "check nvidia-smi, and that the libraries of CUDA 11.2 and cuDNN 8.1 are on LD_LIBRARY_PATH",
    );
  }
  if (!(await tf.setBackend("tensorflow"))) {
    throw new BackendUnavailable(`the backend of ${name} did not start`, null);
  }
  const version = (require(`${name}/package.json`) as { version: string }).version;
  return {
    tfName: "tensorflow",
    device: gpu ? "GPU (CUDA)" : `${availableParallelism()} CPU cores`,
    description: `TensorFlow ${backend.binding.TF_Version ?? "C library"} through ${name}`,
    versions: {
      [name]: version,
      ...(backend.binding.TF_Version && { tensorflow: backend.binding.TF_Version }),
    },
  };
}
