/** Finds what can run compiled programs on this machine and opens the best of it. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../../lib/cache.ts";
import { BackendError } from "../../lib/errors.ts";
import type { Executor, Platform } from "../stablehlo/executor.ts";
import { BackendUnavailable } from "../unavailable.ts";
import { type FoundPlugin, findPlugins } from "./pjrt/find.ts";
import { findTensorFlow } from "./tensorflow/find.ts";

export interface OpenExecutorOptions {
  /** auto: a GPU where there is one, else the CPU. */
  readonly device?: "auto" | "gpu" | "cpu";
  /** TensorFlow's library alone: a folder with it, or "tensorflow" for the usual places. */
  readonly tensorflow?: string | undefined;
  /** A PJRT plugin's library instead of the usual places: it or nothing. */
  readonly plugin?: string | undefined;
  /** Threads on the CPU; every core when absent. */
  readonly threads?: number | undefined;
  /** Devices to use, when there are several; default 1 on the CPU, all GPUs. */
  readonly devices?: number | undefined;
  /** Keep compiled programs in rlpt's cache folder (PJRT only); default true. */
  readonly keepPrograms?: boolean | undefined;
}

export interface OpenedExecutor {
  readonly executor: Executor;
  /** The library behind it. */
  readonly path: string;
  /** What stood before it in order, and why it was passed over. */
  readonly tried: { readonly what: string; readonly reason: string }[];
}

/** Folder of compiled programs. */
export function programCacheFolder(): string {
  return join(cacheDir(), "programs");
}

/** Whether a driver of this platform is plainly there; opening a plugin of half a gigabyte to learn it is slow. */
export function hasDriver(platform: Platform): boolean {
  if (process.platform !== "linux") return true;
  switch (platform) {
    case "cuda":
      return ["/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg"].some((path) => existsSync(path));
    case "rocm":
      return existsSync("/dev/kfd");
    case "oneapi":
      return existsSync("/dev/dri") && readdirSync("/dev/dri").some((name) => name.startsWith("render"));
    case "metal":
      return false;
    default:
      return true;
  }
}

interface Candidate {
  readonly what: string;
  readonly path: string;
  /** It is refused when it turns out to compute on the CPU. */
  readonly gpu: boolean;
  open(): Promise<Executor>;
}

function pluginCandidate(plugin: FoundPlugin, options: OpenExecutorOptions): Candidate {
  return {
    what: `PJRT plugin for ${plugin.platform}${plugin.version === null ? "" : ` ${plugin.version}`}`,
    path: plugin.path,
    gpu: plugin.platform !== "cpu",
    open: async () => {
      if (!hasDriver(plugin.platform))
        throw new BackendUnavailable("no driver of such a device is here", null);
      const { gpuClientOptions, gpuFlags, preloadNvidia } = await import("./pjrt/gpu-settings.ts");
      const { openPjrtExecutor } = await import("./pjrt/executor.ts");
      preloadNvidia(plugin);
      return openPjrtExecutor({
        plugin: plugin.path,
        client: gpuClientOptions(plugin.platform, options.devices),
        flags: gpuFlags(plugin),
        ...(options.threads !== undefined && { threads: options.threads }),
        ...(options.devices !== undefined && { devices: options.devices }),
        ...(options.keepPrograms !== false && { cache: programCacheFolder() }),
      });
    },
  };
}

function tensorflowCandidate(folder: string, gpu: boolean, options: OpenExecutorOptions): Candidate {
  return {
    what: `TensorFlow's library on ${gpu ? "a GPU" : "the CPU"}`,
    path: folder,
    gpu,
    open: async () => {
      if (gpu && !hasDriver("cuda")) throw new BackendUnavailable("no NVIDIA driver is here", null);
      const { openTensorFlowExecutor } = await import("./tensorflow/executor.ts");
      return openTensorFlowExecutor({
        folder,
        ...(options.threads !== undefined && { threads: options.threads }),
      });
    },
  };
}

/**
 * In the order they are tried: GPUs by plugins, a GPU by TensorFlow, XLA's plugin for the CPU, TensorFlow on the
 * CPU, which needs more memory for the same speed. Loads nothing.
 */
function candidates(options: OpenExecutorOptions): { list: Candidate[]; looked: string[] } {
  const { device = "auto" } = options;
  const found = options.tensorflow === undefined ? findPlugins(options.plugin) : [];
  const plugins = found.map((plugin) => pluginCandidate(plugin, options));
  const search =
    options.plugin === undefined ? findTensorFlow(options.tensorflow) : { found: null, looked: [] };
  const folder = search.found?.folder;
  const list = [true, false].flatMap((gpu) => [
    ...plugins.filter((plugin) => plugin.gpu === gpu),
    ...(folder === undefined ? [] : [tensorflowCandidate(folder, gpu, options)]),
  ]);
  const wanted = list.filter(({ gpu }) => device === "auto" || gpu === (device === "gpu"));
  return { list: wanted, looked: search.looked };
}

export interface ListedEngine {
  readonly what: string;
  readonly path: string;
  /** Where it was found ("installed by rlpt", "Python environment", "named"), and whose build it is where that needs saying. */
  readonly origin: string;
  /** Why it cannot compute here, or null; and what it can do all the same. */
  readonly lacks: string | null;
}

/** Every library that is found, for `rlpt doctor`. Loads nothing. */
export function listEngines(): { engines: ListedEngine[]; looked: string[] } {
  const plugins = findPlugins().map(
    ({ path, platform, origin, version, cudaTools, thirdParty }): ListedEngine => {
      const ahead = cudaTools === null ? "" : "; it compiles for cards that are not here";
      return {
        what: `PJRT plugin for ${platform}${version === null ? "" : ` ${version}`}`,
        path,
        origin: thirdParty === null ? origin : `${origin}; ${thirdParty}`,
        lacks: hasDriver(platform) ? null : `no driver of such a device is here${ahead}`,
      };
    },
  );
  const { found, looked } = findTensorFlow();
  const tensorflow =
    found === null
      ? []
      : [
          {
            what: "TensorFlow's library",
            path: found.folder,
            origin: found.origin,
            lacks: null,
          },
        ];
  return { engines: [...plugins, ...tensorflow], looked };
}

/** How to get one. */
export const howToGetExecutor =
  "rlpt backend install xla-cpu (XLA for the CPU, 63 MB), or cuda12, cuda13, rocm for a GPU; rlpt doctor lists what is found";

/** More devices are asked for than there are: another engine in their place would be a surprise. */
class TooFewDevices extends BackendError {
  constructor(what: string, wanted: number, there: number) {
    super(
      `backend.devices = ${wanted}: ${what} has ${there === 1 ? "1 device" : `${there} devices`} here. Fix: use ${there === 1 ? "1" : `1 to ${there}`} or auto.`,
    );
  }
}

/**
 * Opens the first that starts.
 * @throws BackendError when it has fewer devices than are asked for
 * @throws BackendUnavailable when there is none, with what was found and why it does not do
 */
export async function openExecutor(options: OpenExecutorOptions = {}): Promise<OpenedExecutor> {
  const { list, looked } = candidates(options);
  const tried: { what: string; reason: string }[] = [];
  for (const { what, path, gpu, open } of list) {
    try {
      const executor = await open();
      if (gpu && executor.platform === "cpu") {
        tried.push({ what, reason: "it sees no GPU" });
        continue;
      }
      if (executor.devices.length >= (options.devices ?? 1)) return { executor, path, tried };
      executor.close();
      throw new TooFewDevices(what, options.devices!, executor.devices.length);
    } catch (error) {
      if (error instanceof TooFewDevices) throw error;
      tried.push({ what, reason: error instanceof BackendUnavailable ? error.reason : messageOf(error) });
    }
  }
  const places = options.plugin ?? looked.join(", ");
  const reasons =
    tried.length > 0
      ? tried.map(({ what, reason }) => `${what}: ${reason}`).join("; ")
      : `neither a PJRT plugin nor TensorFlow's library is here (looked in ${places})`;
  throw new BackendUnavailable(`no engine for compiled programs starts: ${reasons}`, howToGetExecutor);
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
