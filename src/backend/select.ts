/** Starts a tensor backend: a named one, or the first of a fixed order that starts and computes correctly. */
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../lib/errors.ts";
import { autoOrder, type BackendKind } from "./options.ts";
import { type SelfTestResult, selfTest } from "./self-test.ts";
import { startTensorFlow } from "./tfjs-node/start.ts";
import { BackendUnavailable, type StartedBackend } from "./unavailable.ts";
import type { CblasLibrary } from "./wasm/cblas.ts";

const require = createRequire(import.meta.url);

export interface StartOptions {
  kind: "auto" | BackendKind;
  /** wasm only: "auto" (default) takes the library it finds, "off" none, else the path of one. */
  cblas?: string | undefined;
  /** xla and tensorflow: "auto" (default), or a folder with TensorFlow's libraries, or a PJRT plugin. */
  library?: string | undefined;
  /** Of the model, where it is known: `auto` does not compile programs on the CPU for the smallest. */
  parameters?: number | undefined;
  /** xla only: rounding of operands of matrix products; f32 when absent. */
  precision?: "f32" | "tf32" | "bf16" | undefined;
  /** xla and tensorflow: where they compute; a GPU where there is one when absent. */
  device?: "gpu" | "cpu" | undefined;
  /** xla only: devices that share each batch; "auto" (default) is every GPU, and 1 on the CPU. */
  devices?: "auto" | number | undefined;
  /** Threads of the CBLAS library or of compiled programs; every core when absent. */
  threads?: number | undefined;
}

export interface BackendInfo {
  kind: BackendKind;
  /** The hardware. */
  device: string;
  /** One line: what computes. */
  description: string;
  /** Backends before this one in `auto`'s order, and why they were passed over. */
  tried: { kind: BackendKind; reason: string; fix: string | null }[];
  /** Package and library versions, for provenance. */
  versions: Record<string, string>;
  selfTest: SelfTestResult;
  /** wasm only: what multiplies matrices. */
  matmul?: "cblas" | "simd";
  /** xla and tensorflow: what they compute on: cpu, cuda ... */
  platform?: string;
  /** xla only: how many devices share each batch. */
  devices?: number;
}

/** Parameters from which compiling pays on a CPU; docs/decisions/0006. */
const SMALLEST_COMPILED = 500_000;

/**
 * Sets the tfjs backend of this process. May be called again for another kind.
 * @throws BackendError when a named backend cannot start or fails its self-test: there is no fallback then
 */
export async function startBackend(options: StartOptions): Promise<BackendInfo> {
  // no debug checks, and no advice to install another backend on stderr
  tf.enableProdMode();
  if (options.kind !== "auto") {
    try {
      return { ...(await startAndCheck(options.kind, options, false)), tried: [] };
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      const fix = error.fix === null ? "" : ` Fix: ${error.fix}; or`;
      throw new BackendError(
        `backend ${options.kind} cannot start: ${error.reason}.${fix || " Fix:"} use --backend auto (rlpt doctor shows what works here).`,
        { cause: error },
      );
    }
  }
  const tried: BackendInfo["tried"] = [];
  for (const { kind, device } of autoOrder) {
    if (kind === "xla" && device === "cpu" && (options.parameters ?? Infinity) < SMALLEST_COMPILED) {
      const reason = "a model this small is trained op by op before its programs are compiled";
      tried.push({ kind, reason, fix: null });
      continue;
    }
    try {
      return { ...(await startAndCheck(kind, { ...options, device }, true)), tried };
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      tried.push({ kind, reason: error.reason, fix: error.fix });
    }
  }
  const list = tried.map(({ kind, reason }) => `  ${kind}: ${reason}`).join("\n");
  throw new BackendError(`no tensor backend starts on this machine:\n${list}`);
}

async function startAndCheck(
  kind: BackendKind,
  options: StartOptions,
  auto: boolean,
): Promise<Omit<BackendInfo, "tried">> {
  if (kind !== "xla" && options.precision !== undefined && options.precision !== "f32") {
    throw new BackendUnavailable(
      `backend.precision ${options.precision} needs compiled programs`,
      "use backend xla",
    );
  }
  if (kind !== "xla" && typeof options.devices === "number" && options.devices > 1) {
    throw new BackendUnavailable(
      `backend.devices ${options.devices} needs compiled programs`,
      "use backend xla",
    );
  }
  const started = await start(kind, options, auto);
  if (tf.getBackend() !== started.tfName) {
    throw new BackendUnavailable(`tfjs is on ${tf.getBackend()} instead of ${started.tfName}`, null);
  }
  const { tfName: _, arm, ...rest } = started;
  const result = await checkedSelfTest();
  if (!result.passed) {
    throw new BackendUnavailable(
      `it computes wrongly: the self-test's ${result.of} is off by ${result.deviation.toExponential(1)} (relative)`,
      "update the driver or library below it",
    );
  }
  arm?.();
  return { kind, ...rest, versions: { tfjs: tf.version_core, ...rest.versions }, selfTest: result };
}

async function checkedSelfTest(): Promise<SelfTestResult> {
  try {
    return await selfTest();
  } catch (cause) {
    throw new BackendUnavailable(
      `its self-test stopped: ${firstLine(cause)}`,
      "update the driver or library below it",
      { cause },
    );
  }
}

type Started = StartedBackend & Pick<BackendInfo, "matmul" | "platform" | "devices">;

async function start(kind: BackendKind, options: StartOptions, auto: boolean): Promise<Started> {
  switch (kind) {
    case "tfjs-node":
    case "tfjs-node-gpu":
      return startTensorFlow(kind);
    case "webgpu": {
      const { startWebgpu } = await import("./webgpu/start.ts");
      return startWebgpu({ allowSoftware: !auto });
    }
    case "xla": {
      const { startXla } = await import("./xla/start.ts");
      const { library, threads, device = "auto", precision, devices } = options;
      return startXla({ library, threads, device, precision, devices });
    }
    case "tensorflow": {
      const { startTensorFlowLibrary } = await import("./tensorflow/start.ts");
      const { library, threads, device } = options;
      return startTensorFlowLibrary({ library, threads, device });
    }
    case "wasm":
      return startWasm(options);
    case "cpu":
      await setBackend("cpu");
      return {
        tfName: "cpu",
        device: describeCpu(),
        description: "plain JavaScript, one thread",
        versions: {},
      };
    default: {
      const unreachable: never = kind;
      throw new BackendError(`unknown backend ${String(unreachable)}`);
    }
  }
}

async function startWasm(options: StartOptions): Promise<Started> {
  const name = "@tensorflow/tfjs-backend-wasm";
  await import("@tensorflow/tfjs-backend-wasm");
  await setBackend("wasm");
  const { installWasmKernels } = await import("./wasm/install.ts");
  const installed = installWasmKernels({ cblas: await chooseCblas(options) });
  return {
    tfName: "wasm",
    device: describeCpu(),
    description: `WebAssembly, matrix products by ${installed.describe()}`,
    versions: { [name]: (require(`${name}/package.json`) as { version: string }).version },
    matmul: installed.matmul,
  };
}

/** @throws BackendError when a library was named and cannot be used */
async function chooseCblas(options: StartOptions): Promise<CblasLibrary | null> {
  const wanted = options.cblas ?? "auto";
  if (wanted === "off") return null;
  let cblas: typeof import("./wasm/cblas.ts");
  try {
    cblas = await import("./wasm/cblas.ts");
  } catch (cause) {
    // koffi has no binary for this platform
    if (wanted === "auto") return null;
    throw new BackendError(
      `backend.cblas = ${wanted}: native libraries cannot be opened here: ${firstLine(cause)}`,
      {
        cause,
      },
    );
  }
  if (wanted === "auto") {
    const { library } = cblas.findCblas();
    if (options.threads !== undefined) library?.setThreads(options.threads);
    return library;
  }
  try {
    return cblas.openCblas(wanted, options.threads === undefined ? {} : { threads: options.threads });
  } catch (cause) {
    throw new BackendError(
      `backend.cblas = ${wanted}: ${firstLine(cause)}. Fix: name a library with cblas_sgemm, or use auto or off.`,
      { cause },
    );
  }
}

/** `tf.setBackend` answers false and swallows the reason; this asks the factory for it. */
async function setBackend(name: string): Promise<void> {
  const reason = `tfjs could not start its ${name} backend`;
  if (await tf.setBackend(name)) return;
  try {
    await tf.findBackendFactory(name)?.();
  } catch (cause) {
    throw new BackendUnavailable(`${reason}: ${firstLine(cause)}`, null, { cause });
  }
  throw new BackendUnavailable(reason, null);
}

export function describeCpu(): string {
  const model = cpus()[0]?.model.trim().replace(/\s+/g, " ") || process.arch;
  const cores = availableParallelism();
  return `${model}, ${cores} ${cores === 1 ? "core" : "cores"}`;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
