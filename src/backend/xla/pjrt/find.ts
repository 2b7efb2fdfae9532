/** Where PJRT plugins are. Loads nothing. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { cacheDir } from "../../../lib/cache.ts";
import { distributionVersion, entriesOf, pythonEnvironment } from "../../python.ts";
import type { Platform } from "../../stablehlo/executor.ts";

export interface FoundPlugin {
  /** The library. */
  readonly path: string;
  readonly platform: Platform;
  readonly origin: "named" | "installed by rlpt" | "Python environment";
  /** Version of the wheel, where it tells. */
  readonly version: string | null;
  /** Whose build it is, where it is not that of the project whose program it is; else null. */
  readonly thirdParty: string | null;
  /** Folder with bin/ptxas and nvvm/libdevice beside a CUDA plugin, where there is one: what compiles for a card. */
  readonly cudaTools: string | null;
}

/** What `rlpt backend install` can fetch as plugins; each gets a folder laid out like Python's packages. */
export const pluginNames = ["xla-cpu", "cuda12", "cuda13", "rocm"] as const;
export type PluginName = (typeof pluginNames)[number];

export function pluginCacheFolder(name: PluginName): string {
  return join(cacheDir(), "pjrt", name);
}

/** XLA's own project publishes plugins inside jax_plugins/ alone; those of `otherPlugins` others have built. */
function thirdPartyOf(path: string): string | null {
  const known = otherPlugins.find((each) => path.endsWith(each));
  return known === undefined ? null : `a third party's build of XLA (${known.split("/").at(-2)})`;
}

/** Plugins outside jax_plugins/, by their path among packages, the newest first: its laboratory step takes 0.6 of the oldest's. None is of XLA's own project. */
const otherPlugins = [
  "lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so",
  "fastatomstruct_xla_cpu/libpjrt_cpu.so",
  "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so",
];

const pluginFile = /(pjrt|plugin).*\.(so|dylib|dll)$/i;

/** By the names of the library and its folder. */
export function platformOf(path: string): Platform {
  const name = `${basename(dirname(path))}/${basename(path)}`;
  if (/cuda/i.test(name)) return "cuda";
  if (/rocm/i.test(name)) return "rocm";
  if (/oneapi|sycl|xpu/i.test(name)) return "oneapi";
  if (/metal|(^|[_/-])mps/i.test(name)) return "metal";
  return /cpu/i.test(name) ? "cpu" : "other";
}

/** Plugins among the packages of one folder, the newest CUDA first. */
export function pluginsIn(root: string, origin: FoundPlugin["origin"]): FoundPlugin[] {
  const inJax = entriesOf(join(root, "jax_plugins"))
    .reverse()
    .flatMap((folder) => entriesOf(folder).filter((file) => pluginFile.test(basename(file))));
  const others = otherPlugins.map((path) => join(root, path)).filter((path) => existsSync(path));
  return [...inJax, ...others].map((path) => {
    const platform = platformOf(path);
    return {
      path,
      platform,
      origin,
      version: distributionVersion(root, distributionNames(path)),
      thirdParty: thirdPartyOf(path),
      cudaTools: platform === "cuda" ? findCudaTools(root) : null,
    };
  });
}

/** The wheel that a plugin came in: jax_plugins/xla_cuda13 is of jax-cuda13-pjrt. */
function distributionNames(path: string): string[] {
  const folder = basename(dirname(path));
  return [`jax_${folder.replace(/^xla_/, "")}_pjrt`, `jax_${folder.replace(/^xla_/, "")}_plugin`, folder];
}

/** `nvidia/cu13` (CUDA 13's wheels) or `nvidia/cuda_nvcc` (CUDA 12's). */
function findCudaTools(root: string): string | null {
  const folders = ["cu13", "cuda_nvcc"].map((name) => join(root, "nvidia", name));
  return folders.find((folder) => existsSync(join(folder, "bin", "ptxas"))) ?? null;
}

let searched: FoundPlugin[] | undefined;

/**
 * Every plugin: $RLPT_PJRT_PLUGIN, what rlpt installed, the active Python environment.
 * @param named `backend.plugin` of a config: it or nothing
 */
export function findPlugins(named?: string): FoundPlugin[] {
  const wanted = named ?? process.env["RLPT_PJRT_PLUGIN"];
  if (wanted) {
    if (!existsSync(wanted)) return [];
    const root = join(dirname(wanted), "..", "..");
    const cudaTools = platformOf(wanted) === "cuda" ? findCudaTools(root) : null;
    return [
      {
        path: wanted,
        platform: platformOf(wanted),
        origin: "named",
        version: null,
        thirdParty: thirdPartyOf(wanted),
        cudaTools,
      },
    ];
  }
  searched ??= [
    ...pluginNames.flatMap((name) => pluginsIn(pluginCacheFolder(name), "installed by rlpt")),
    ...(pythonEnvironment()?.folders ?? []).flatMap((root) => pluginsIn(root, "Python environment")),
  ];
  return searched;
}
