/** WebGPU under Node: Dawn (npm `webgpu`) below tfjs's WebGPU backend. */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import { plainEngine, registerEngine } from "../engine.ts";
import { BackendUnavailable, type StartedBackend } from "../unavailable.ts";

const require = createRequire(import.meta.url);

interface AdapterInfo {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  isFallbackAdapter?: boolean;
}
interface Adapter {
  info: AdapterInfo;
}
interface Device {
  addEventListener(type: "uncapturederror", listener: (event: { error: { message: string } }) => void): void;
  lost: Promise<{ reason: string; message: string }>;
}
interface Gpu {
  requestAdapter(options?: { powerPreference: "high-performance" }): Promise<Adapter | null>;
}

const howToGetOne =
  "a GPU with a Vulkan, Metal or Direct3D 12 driver is needed (on Linux: the vendor's driver and libvulkan1)";

/**
 * What is plainly missing under Linux. Dawn would find out too, but slowly, and it writes to stderr.
 * @param software a driver that computes on the CPU will do
 */
function missingOnLinux(software: boolean): string | null {
  const nodes = ["/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/dev/mali0"];
  const hasGpu =
    nodes.some((path) => existsSync(path)) || list("/dev/dri").some((name) => name.startsWith("render"));
  if (!hasGpu && !software) return "no GPU is visible (neither /dev/dri/render* nor /dev/nvidia0)";
  try {
    (require("koffi") as typeof import("koffi").default).load("libvulkan.so.1").unload();
  } catch {
    return "Vulkan's loader, libvulkan.so.1, is not installed";
  }
  const named = process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"];
  if (named) {
    const missing = named.split(":").filter((path) => !existsSync(path));
    return missing.length === 0 ? null : `VK_ICD_FILENAMES names ${missing[0]}, which is not there`;
  }
  const data = process.env["XDG_DATA_HOME"] ?? join(homedir(), ".local", "share");
  const roots = ["/etc", "/usr/share", "/usr/local/share", "/usr/local/etc", "/etc/xdg", data];
  if (roots.some((root) => list(join(root, "vulkan", "icd.d")).some((name) => name.endsWith(".json"))))
    return null;
  return "no Vulkan driver is installed (no vulkan/icd.d/*.json)";
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** One instance a process: a second one would own other devices. */
let gpu: Gpu | undefined;

/** Opens Dawn and puts it where tfjs looks for it: `navigator.gpu`. */
async function openDawn(): Promise<Gpu> {
  if (gpu !== undefined) return gpu;
  let dawn: { create(options: string[]): unknown; globals: object };
  try {
    dawn = await import("webgpu");
  } catch (cause) {
    const first = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new BackendUnavailable(
      `the WebGPU library (npm webgpu) does not load on ${process.platform}-${process.arch}: ${first}`,
      "its prebuilt binaries cover linux, macOS and Windows on x64 and arm64",
      { cause },
    );
  }
  Object.assign(globalThis, dawn.globals);
  gpu = dawn.create([]) as Gpu;
  const holder = globalThis as { navigator?: object };
  if (holder.navigator === undefined)
    Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  Object.defineProperty(holder.navigator, "gpu", { value: gpu, configurable: true });
  return gpu;
}

/** SwiftShader, llvmpipe and WARP compute on the CPU, slower than the wasm backend does. */
export function isSoftwareAdapter(info: AdapterInfo): boolean {
  if (info.isFallbackAdapter === true) return true;
  const names = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b|microsoft basic/i.test(names);
}

/**
 * @param allowSoftware accept an adapter that computes on the CPU (for checks of correctness)
 * @throws BackendUnavailable when there is no adapter, or only one in software
 */
export async function startWebgpu(options: { allowSoftware: boolean }): Promise<StartedBackend> {
  const missing = process.platform === "linux" ? missingOnLinux(options.allowSoftware) : null;
  if (missing !== null) throw new BackendUnavailable(missing, howToGetOne);
  const dawn = await openDawn();
  const adapter = await dawn.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new BackendUnavailable("WebGPU found no adapter", howToGetOne);
  const { info } = adapter;
  const software = isSoftwareAdapter(info);
  const device =
    [info.description || info.device, info.architecture].filter(Boolean).join(", ") || info.vendor;
  if (software && !options.allowSoftware) {
    throw new BackendUnavailable(
      `WebGPU found only ${device}, which computes on the CPU and is slower than wasm`,
      `${howToGetOne}; --backend webgpu uses it all the same`,
    );
  }
  // registers itself when navigator.gpu is there
  await import("@tensorflow/tfjs-backend-webgpu");
  if (!(await tf.setBackend("webgpu")) || tf.getBackend() !== "webgpu") {
    throw new BackendUnavailable(`tfjs could not open a WebGPU device on ${device}`, howToGetOne);
  }
  registerEngine(tf.backend(), { ...plainEngine, readsSynchronously: false });
  const watch = watchDevice((tf.backend() as unknown as { device: Device }).device);
  sumInParts();
  return {
    tfName: "webgpu",
    arm: watch.arm,
    device: software ? `${device} (software)` : device,
    description: `WebGPU (Dawn) on ${device}`,
    versions: {
      webgpu: (require("webgpu/package.json") as { version: string }).version,
      "@tensorflow/tfjs-backend-webgpu": (
        require("@tensorflow/tfjs-backend-webgpu/package.json") as { version: string }
      ).version,
    },
  };
}

/**
 * WebGPU reports what it cannot do as an event, and the result is then zeros: that must stop the run.
 * @returns faults so far, and `arm`: from then on a fault is thrown where nothing catches it
 */
export function watchDevice(
  device: Device,
  raise: (error: BackendError) => void = throwUncaught,
): { faults: string[]; arm(): void } {
  const faults: string[] = [];
  let armed = false;
  const fault = (message: string) => {
    faults.push(message);
    if (armed) raise(new BackendError(`WebGPU: ${message}`));
  };
  device.addEventListener("uncapturederror", ({ error }) => fault(error.message));
  device.lost.then(({ reason, message }) => {
    if (reason !== "destroyed") fault(`the device was lost: ${message}`);
  });
  return {
    faults,
    arm: () => {
      if (faults.length > 0) throw new BackendUnavailable(`WebGPU refused a program: ${faults[0]}`, null);
      armed = true;
    },
  };
}

function throwUncaught(error: BackendError): void {
  setImmediate(() => {
    throw error;
  });
}

/** Tensors that one program may read; WebGPU guarantees 8 storage buffers, one is the result. */
const MOST_ADDENDS = 7;

/** tfjs's AddN binds every addend to one program, and past the limit its result is zeros (tfjs 4.22). */
function sumInParts(): void {
  const kernel = tf.getKernel("AddN", "webgpu") as { kernelFunc: tf.KernelFunc };
  if (partwise.has(kernel)) return;
  partwise.add(kernel);
  const stock = kernel.kernelFunc;
  kernel.kernelFunc = (params) => {
    let addends = params.inputs as unknown as tf.TensorInfo[];
    const partial: tf.TensorInfo[] = [];
    const sum = (inputs: tf.TensorInfo[]) =>
      stock({ ...params, inputs: inputs as unknown as tf.NamedTensorInfoMap }) as tf.TensorInfo;
    while (addends.length > MOST_ADDENDS) {
      const first = sum(addends.slice(0, MOST_ADDENDS));
      partial.push(first);
      addends = [first, ...addends.slice(MOST_ADDENDS)];
    }
    const total = sum(addends);
    const { disposeData } = params.backend as { disposeData(id: object): boolean };
    for (const { dataId } of partial) disposeData.call(params.backend, dataId);
    return total;
  };
}
const partwise = new WeakSet<object>();
