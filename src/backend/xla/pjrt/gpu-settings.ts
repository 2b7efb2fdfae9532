/** How plugins for GPUs are started: memory, libraries of the vendor, and what their compiler is told. */
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { cacheDir } from "../../../lib/cache.ts";
import { entriesOf } from "../../python.ts";
import type { Platform } from "../../stablehlo/executor.ts";
import { preload } from "../native.ts";
import type { NamedValue } from "./api.ts";
import { unlessGiven, type XlaFlags } from "./compile-options.ts";
import type { FoundPlugin } from "./find.ts";

/** Plugins of these platforms are built from XLA's one GPU client and know its options. */
const xlaGpus: ReadonlySet<Platform> = new Set(["cuda", "rocm"]);

/** Largest part of a card that is taken: its driver, cuBLAS and the screen need some too. */
const MEMORY_FRACTION = 0.9;

/**
 * Options of PJRT_Client_Create. XLA by itself takes three quarters of every card at once, which leaves no room for a second
 * process and none for larger models; here it takes memory as it needs it. JAX's variables say otherwise:
 * XLA_PYTHON_CLIENT_PREALLOCATE, XLA_PYTHON_CLIENT_MEM_FRACTION.
 * @param devices cards that are used; the others are left alone. Default all
 */
export function gpuClientOptions(
  platform: Platform,
  devices?: number,
  environment: NodeJS.ProcessEnv = process.env,
): Record<string, NamedValue> {
  if (!xlaGpus.has(platform)) return {};
  const cards = BigInt64Array.from({ length: devices ?? 0 }, (_, card) => BigInt(card));
  const fraction = Number(environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] ?? MEMORY_FRACTION);
  return {
    ...(cards.length > 0 && { visible_devices: cards }),
    preallocate: /^(1|true)$/i.test(environment["XLA_PYTHON_CLIENT_PREALLOCATE"] ?? ""),
    // a whole number would pass as an integer, which is refused
    memory_fraction: Float32Array.of(fraction > 0 && fraction <= 1 ? fraction : MEMORY_FRACTION),
  };
}

/**
 * Flags of every program for a card. The same seed must give the same bytes: the kernels that were found fastest are kept,
 * since timing them again may choose others. What $XLA_FLAGS sets is left to it.
 */
export function gpuFlags(
  { platform, cudaTools }: Pick<FoundPlugin, "platform" | "cudaTools">,
  environment: NodeJS.ProcessEnv = process.env,
): XlaFlags {
  if (!xlaGpus.has(platform)) return {};
  const kept = join(cacheDir(), "autotune");
  const flags: XlaFlags = {
    xla_gpu_per_fusion_autotune_cache_dir: kept,
    ...(cudaTools !== null && { xla_gpu_cuda_data_dir: cudaTools }),
  };
  mkdirSync(kept, { recursive: true });
  return unlessGiven(flags, environment);
}

/** NVIDIA's libraries that a program may need, those first that others need. */
const nvidiaLibraries =
  /^lib(cudart|nvJitLink|nvrtc|cublasLt|cublas|nccl|cupti|cusparse|cusolver|cufft|nvshmem_host|cudnn)\.so\.\d+$/;

/** Libraries of NVIDIA's wheels beside a plugin, in the order in which they are opened. */
export function nvidiaLibrariesBeside(plugin: string): string[] {
  const packages = join(dirname(plugin), "..", "..", "nvidia");
  const order = nvidiaLibraries.source.replace(/^.*?\(|\).*$/g, "").split("|");
  const place = (path: string) => order.indexOf(nvidiaLibraries.exec(basename(path))![1]!);
  return entriesOf(packages)
    .flatMap((folder) => entriesOf(join(folder, "lib")))
    .filter((path) => nvidiaLibraries.test(basename(path)))
    .sort((a, b) => place(a) - place(b));
}

/**
 * Opens them, so that those which look for one another by bare names (cuDNN for NVRTC) find these. A plugin finds most by
 * itself; what does not open is missed by the program that needs it, and named then.
 */
export function preloadNvidia(plugin: FoundPlugin): void {
  if (plugin.platform !== "cuda") return;
  for (const path of nvidiaLibrariesBeside(plugin.path)) preload(path);
}
