/**
 * Cards that a program can be compiled for without having one: what XLA's compiler asks of a device
 * (`stream_executor.GpuTargetConfigProto`). H100, H200 and A100 as XLA's own target descriptions give them; L4 and
 * RTX 4090 by NVIDIA's CUDA programming guide (limits of compute capability 8.9) and data sheets (the rest).
 */
import { BackendError } from "../../../lib/errors.ts";

export interface GpuTarget {
  /** As the driver names it. */
  readonly description: string;
  /** Compute capability. */
  readonly capability: readonly [number, number];
  /** Streaming multiprocessors. */
  readonly cores: number;
  /** 32-bit floating-point units of each. */
  readonly fpusPerCore: number;
  readonly threadsPerCore: number;
  /** Bytes of shared memory of a multiprocessor, and what one block may ask for. */
  readonly sharedPerCore: number;
  readonly sharedPerBlock: number;
  /** Bytes. */
  readonly l2Cache: number;
  /** Bytes. */
  readonly memory: number;
  /** Bytes a second. */
  readonly bandwidth: number;
  readonly clockGhz: number;
  /** Dense bfloat16 products on tensor cores with sums in 32-bit floats, operations a second, by NVIDIA's data sheets. */
  readonly halfFlops: number;
}

const GB = 1e9;
const MiB = 2 ** 20;

export const gpuTargets = {
  h100: {
    description: "NVIDIA H100 80GB HBM3",
    capability: [9, 0],
    cores: 132,
    fpusPerCore: 128,
    threadsPerCore: 2048,
    sharedPerCore: 233_472,
    sharedPerBlock: 232_448,
    l2Cache: 50 * MiB,
    memory: 84_942_979_072,
    bandwidth: 3352.32 * GB,
    clockGhz: 1.98,
    halfFlops: 989.4e12,
  },
  h200: {
    description: "NVIDIA H200",
    capability: [9, 0],
    cores: 132,
    fpusPerCore: 128,
    threadsPerCore: 2048,
    sharedPerCore: 233_472,
    sharedPerBlock: 232_448,
    l2Cache: 60 * MiB,
    memory: 150_121_545_728,
    bandwidth: 4806 * GB,
    clockGhz: 1.98,
    halfFlops: 989.4e12,
  },
  a100: {
    description: "NVIDIA A100-SXM4-80GB",
    capability: [8, 0],
    cores: 108,
    fpusPerCore: 64,
    threadsPerCore: 2048,
    sharedPerCore: 167_936,
    sharedPerBlock: 166_912,
    l2Cache: 40 * MiB,
    memory: 85_100_068_864,
    bandwidth: 2039.04 * GB,
    clockGhz: 1.41,
    halfFlops: 312e12,
  },
  l4: {
    description: "NVIDIA L4",
    capability: [8, 9],
    cores: 58,
    fpusPerCore: 128,
    threadsPerCore: 1536,
    sharedPerCore: 102_400,
    sharedPerBlock: 101_376,
    l2Cache: 48 * MiB,
    memory: 24 * 1024 * MiB,
    bandwidth: 300 * GB,
    clockGhz: 2.04,
    halfFlops: 121e12,
  },
  rtx4090: {
    description: "NVIDIA GeForce RTX 4090",
    capability: [8, 9],
    cores: 128,
    fpusPerCore: 128,
    threadsPerCore: 1536,
    sharedPerCore: 102_400,
    sharedPerBlock: 101_376,
    l2Cache: 72 * MiB,
    memory: 24 * 1024 * MiB,
    bandwidth: 1008 * GB,
    clockGhz: 2.52,
    halfFlops: 165.2e12,
  },
} as const satisfies Record<string, GpuTarget>;

export type GpuTargetName = keyof typeof gpuTargets;

/** @throws BackendError that lists the known ones */
export function gpuTarget(name: string): GpuTarget {
  const known = gpuTargets as Readonly<Record<string, GpuTarget>>;
  const found = known[name.toLowerCase().replaceAll(/[\s_-]/g, "")];
  if (found === undefined) {
    throw new BackendError(`the card ${name} is not known. Fix: use ${Object.keys(gpuTargets).join(", ")}.`);
  }
  return found;
}

/** Peak rates: a multiply-add of each 32-bit unit a cycle, tensor cores by data sheet, memory by its interface. */
export function cardRates({ cores, fpusPerCore, clockGhz, halfFlops, bandwidth }: GpuTarget): {
  flops: number;
  halfFlops: number;
  bandwidth: number;
} {
  return { flops: 2 * cores * fpusPerCore * clockGhz * 1e9, halfFlops, bandwidth };
}

/** The versions of CUDA and cuDNN that a program is compiled against; autotuning, which needs the card, is off. */
const RUNTIME = { major: 12, minor: 8, patch: 0 };
const CUDNN = { major: 9, minor: 7, patch: 0 };

/** Text of a GpuTargetConfigProto. */
export function targetConfig(target: GpuTarget): string {
  const [major, minor] = target.capability;
  // limits that every card from compute capability 8.0 on shares
  const device: readonly [string, string | number][] = [
    ["threads_per_block_limit", 1024],
    ["threads_per_warp", 32],
    ["shared_memory_per_block", 49_152],
    ["shared_memory_per_core", target.sharedPerCore],
    ["threads_per_core_limit", target.threadsPerCore],
    ["core_count", target.cores],
    ["fpus_per_core", target.fpusPerCore],
    ["block_dim_limit_x", 2 ** 31 - 1],
    ["block_dim_limit_y", 65_535],
    ["block_dim_limit_z", 65_535],
    ["thread_dim_limit_x", 1024],
    ["thread_dim_limit_y", 1024],
    ["thread_dim_limit_z", 64],
    ["memory_bandwidth", target.bandwidth],
    ["l2_cache_size", target.l2Cache],
    ["clock_rate_ghz", target.clockGhz],
    ["device_memory_size", target.memory],
    ["shared_memory_per_block_optin", target.sharedPerBlock],
    ["cuda_compute_capability", `{ major: ${major} minor: ${minor} }`],
    ["registers_per_core_limit", 65_536],
    ["registers_per_block_limit", 65_536],
  ];
  const fields = device.map(([name, value]) =>
    typeof value === "string" ? `${name} ${value}` : `${name}: ${value}`,
  );
  const version = ({ major: a, minor: b, patch: c }: typeof RUNTIME) =>
    `{ major: ${a} minor: ${b} patch: ${c} }`;
  return [
    `gpu_device_info { ${fields.join(" ")} }`,
    'platform_name: "CUDA"',
    `dnn_version_info ${version(CUDNN)}`,
    `runtime_version ${version(RUNTIME)}`,
    `device_description_str: "${target.description}"`,
  ].join("\n");
}
