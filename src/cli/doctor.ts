/** What `rlpt doctor` finds out; printing is the command's. */
import { spawnSync } from "node:child_process";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { type BackendKind, backendKinds } from "../backend/options.ts";
import type { ListedEngine } from "../backend/xla/open.ts";
import { cacheDir } from "../lib/cache.ts";
import { VERSION } from "../lib/version.ts";
import { autoChoice, type ProbeResult, probeBackends } from "../processes/probe.ts";

export interface Diagnosis {
  machine: {
    cpu: string;
    cores: number;
    /** What this process may use: the container's limit where there is one. */
    memoryBytes: number;
    freeMemoryBytes: number;
    gpus: string[];
    node: string;
    platform: string;
    rlpt: string;
    cache: string;
  };
  backends: ProbeResult[];
  chosen: BackendKind | null;
  cblas: { found: string | null; tried: { path: string; reason: string }[] };
  /** Libraries that run compiled programs (backend xla), and where they were looked for. */
  engines: { found: ListedEngine[]; looked: string[] };
  advice: { command: string | null; text: string };
}

export async function diagnose(): Promise<Diagnosis> {
  const backends = await probeBackends(backendKinds);
  const choice = autoChoice(backends);
  const cblas = await lookForCblas();
  const gpus = listNvidia();
  return {
    machine: {
      cpu: cpus()[0]?.model.trim() || process.arch,
      cores: availableParallelism(),
      ...memory(),
      gpus,
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      rlpt: VERSION,
      cache: cacheDir(),
    },
    backends,
    chosen: choice?.kind ?? null,
    cblas,
    engines: await lookForEngines(),
    advice: advise(choice, backends, gpus),
  };
}

function memory(): { memoryBytes: number; freeMemoryBytes: number } {
  const limit = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  const bounded = limit > 0 && limit < total;
  const free = bounded ? Math.min(freemem(), Math.max(0, limit - process.memoryUsage().rss)) : freemem();
  return { memoryBytes: bounded ? limit : total, freeMemoryBytes: free };
}

async function lookForCblas(): Promise<Diagnosis["cblas"]> {
  try {
    const { findCblas } = await import("../backend/wasm/cblas.ts");
    const { library, tried } = findCblas();
    return { found: library?.describe() ?? null, tried };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    return { found: null, tried: [{ path: "koffi (native libraries)", reason }] };
  }
}

async function lookForEngines(): Promise<Diagnosis["engines"]> {
  const { listEngines } = await import("../backend/xla/open.ts");
  const { engines, looked } = listEngines();
  return { found: engines, looked };
}

/** NVIDIA cards by name, where their driver's tool is there. */
function listNvidia(): string[] {
  const args = ["--query-gpu=name,memory.total", "--format=csv,noheader"];
  const { status, stdout } = spawnSync("nvidia-smi", args, { encoding: "utf8", timeout: 5000 });
  return status === 0 ? stdout.trim().split("\n").filter(Boolean) : [];
}

/** The one command that helps most. Factors are those of docs/benchmarks.md. */
export function advise(
  choice: ProbeResult | undefined,
  backends: readonly ProbeResult[],
  gpus: readonly string[],
): Diagnosis["advice"] {
  if (choice === undefined || !choice.usable) {
    return { command: null, text: "reinstall the packages: npm ci" };
  }
  const webgpu = backends.find(({ kind }) => kind === "webgpu");
  if (gpus.length > 0 && webgpu?.usable === false) {
    return {
      command: process.platform === "linux" ? "apt-get install libvulkan1" : null,
      text: `there is a GPU (${gpus[0]}), but WebGPU cannot use it: ${webgpu.reason}`,
    };
  }
  if (choice.kind === "wasm" && choice.info.matmul === "simd") {
    return { command: "rlpt backend install openblas", text: OPENBLAS_FACTOR };
  }
  return { command: null, text: "nothing to add: this is the fastest that this machine can do with rlpt" };
}

/** Measured on two cores: docs/benchmarks.md. More cores, more. */
const OPENBLAS_FACTOR =
  "matrix products on all cores: training 1.7 times faster on a 0.14 M model, 3 times on a 5 M model (2 cores)";
