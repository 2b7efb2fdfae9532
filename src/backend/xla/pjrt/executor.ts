/** Compiled programs through a PJRT plugin: GPUs by their vendors' plugins, the CPU by XLA's own. */
import { basename } from "node:path";
import { BackendError } from "../../../lib/errors.ts";
import { withDonation } from "../../stablehlo/donation.ts";
import type {
  CompileOptions,
  DeviceMemory,
  Executor,
  Platform,
  Program,
  Spec,
} from "../../stablehlo/executor.ts";
import { type Pointer, textAt, trimHeap, viewOf } from "../native.ts";
import { Arena, type NamedValue, openPlugin, type PjrtPlugin } from "./api.ts";
import { BufferPool } from "./buffers.ts";
import { compileOptions, processorFlags, unlessGiven, type XlaFlags } from "./compile-options.ts";
import { PjrtProgram } from "./executable.ts";
import { type ProgramCache, programCache } from "./program-cache.ts";

export interface PjrtExecutorOptions {
  /** The plugin's library. */
  readonly plugin: string;
  /** Options of PJRT_Client_Create, such as `memory_fraction` of a GPU. */
  readonly client?: Readonly<Record<string, NamedValue>>;
  /** XLA's flags for every program. */
  readonly flags?: XlaFlags;
  /** Threads of the CPU plugin; every core when absent. */
  readonly threads?: number;
  /** Devices to use, when there are several; default all. */
  readonly devices?: number;
  /** Folder that keeps compiled programs from one process to the next; none when absent. */
  readonly cache?: string;
}

/** Seconds. Giving memory back takes 2 to 30 ms. */
const LONG_COMPILATION = 0.5;

const platforms: readonly [RegExp, Platform][] = [
  [/^cpu|host/i, "cpu"],
  [/cuda|nvidia/i, "cuda"],
  [/rocm|amd/i, "rocm"],
  [/sycl|oneapi|xpu/i, "oneapi"],
  [/metal|mps|apple/i, "metal"],
];

/** @throws BackendError when the plugin does not open, is of another version, or finds no device */
export function openPjrtExecutor(options: PjrtExecutorOptions): Executor {
  // XLA's pools on the CPU are sized by this when a client starts
  if (options.threads !== undefined) process.env["NPROC"] = String(options.threads);
  const plugin = openPlugin(options.plugin);
  // the CPU plugin makes four devices of one processor unless it is told; GPU plugins do not know the option
  const isCpu = /cpu/i.test(basename(options.plugin));
  const client = createClient(plugin, {
    ...(isCpu && { cpu_device_count: options.devices ?? 1 }),
    ...options.client,
  });
  const name = clientText(plugin, "Client_PlatformName", client);
  const platformVersion = clientText(plugin, "Client_PlatformVersion", client);
  const found = plugin.call("Client_AddressableDevices", { client });
  const all = pointersAt(found.addressable_devices, found.num_addressable_devices);
  const devices = all.slice(0, options.devices ?? all.length);
  if (devices.length === 0) {
    throw new BackendError(`${options.plugin}: the plugin runs, but has no device here`);
  }
  const kinds = devices.map((device) => deviceKind(plugin, device));
  const pool = new BufferPool(plugin, client, devices);
  const platform = platforms.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
  const xla = plugin.attributes["xla_version"];
  const versions = {
    pjrt: plugin.version,
    ...(xla !== undefined && { xla }),
    [`pjrt_${platform}`]: platformVersion.split("\n")[0]!,
  };
  // a program is compiled for the card that it was timed on
  const made = { ...versions, devices: kinds.join(", ") };
  const cache = options.cache === undefined ? null : programCache(options.cache, options.plugin, made);
  const programs = new Set<PjrtProgram>();

  const flags = {
    ...(platform === "cpu" ? unlessGiven(processorFlags(plugin.version)) : {}),
    ...options.flags,
  };

  const compile = (module: string, outputs: readonly Spec[], wanted: CompileOptions = {}): Program => {
    const partitions = wanted.partitions ?? 1;
    if (partitions > devices.length) {
      throw new BackendError(
        `a program for ${partitions} devices cannot run here: there are ${devices.length}`,
      );
    }
    const text = withDonation(module, wanted.donate ?? []);
    const { loaded, seconds, cached } = load(plugin, client, text, compileOptions(partitions, flags), cache);
    const program = new PjrtProgram(plugin, pool, {
      loaded,
      outputs,
      outputShardings: wanted.outputShardings ?? [],
      donate: wanted.donate ?? [],
      partitions,
      compileSeconds: seconds,
      cached,
    });
    programs.add(program);
    return program;
  };

  return {
    name: `XLA through PJRT ${plugin.version}`,
    platform,
    devices: kinds,
    versions,
    compile,
    upload: (data, spec, sharding) => pool.upload(data, spec, sharding),
    download: (buffer) => pool.download(buffer),
    read: (buffer) => pool.read(buffer),
    memory: () => deviceMemory(plugin, devices[0]!),
    close: () => {
      pool.close();
      for (const program of programs) program.free();
      programs.clear();
      plugin.call("Client_Destroy", { client });
    },
  };
}

function createClient(plugin: PjrtPlugin, options: NonNullable<PjrtExecutorOptions["client"]>): Pointer {
  const arena = new Arena();
  const values = arena.namedValues(options);
  const { client } = plugin.call("Client_Create", { create_options: values.at, num_options: values.count });
  arena.release();
  return client;
}

function clientText(
  plugin: PjrtPlugin,
  name: "Client_PlatformName" | "Client_PlatformVersion",
  client: Pointer,
): string {
  if (name === "Client_PlatformName") {
    const found = plugin.call(name, { client });
    return textAt(found.platform_name, found.platform_name_size);
  }
  const found = plugin.call(name, { client });
  return textAt(found.platform_version, found.platform_version_size);
}

function pointersAt(at: Pointer, count: number): Pointer[] {
  if (count === 0) return [];
  return Array.from(new BigUint64Array(viewOf(at, 8 * count).slice().buffer), Number);
}

function deviceKind(plugin: PjrtPlugin, device: Pointer): string {
  const { device_description } = plugin.call("Device_GetDescription", { device });
  const found = plugin.call("DeviceDescription_Kind", { device_description });
  return textAt(found.device_kind, found.device_kind_size);
}

function deviceMemory(plugin: PjrtPlugin, device: Pointer): DeviceMemory | null {
  try {
    const stats = plugin.call("Device_MemoryStats", { device });
    return {
      inUse: stats.bytes_in_use,
      peak: stats.peak_bytes_in_use_is_set ? stats.peak_bytes_in_use : stats.bytes_in_use,
      limit: stats.bytes_limit_is_set ? stats.bytes_limit : null,
    };
  } catch {
    // the CPU plugin does not count
    return null;
  }
}

/** From the cache, else compiled (and then kept); with RLPT_XLA_RECOMPILE=1 compiled in any case, for plans. */
function load(
  plugin: PjrtPlugin,
  client: Pointer,
  text: string,
  options: Uint8Array,
  cache: ProgramCache | null,
): { loaded: Pointer; seconds: number; cached: boolean } {
  const begin = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - begin) / 1e9;
  const key = cache?.key(text, options);
  if (cache !== null && key !== undefined) {
    const loaded = process.env["RLPT_XLA_RECOMPILE"] === "1" ? null : cache.load(plugin, client, key);
    if (loaded !== null) return { loaded, seconds: seconds(), cached: true };
  }
  const arena = new Arena();
  const code = arena.text(text);
  const format = arena.text("mlir");
  const { executable: loaded } = plugin.call("Client_Compile", {
    client,
    program: arena.struct("Program", {
      code: code.at,
      code_size: code.size,
      format: format.at,
      format_size: format.size,
    }),
    compile_options: arena.keep(options),
    compile_options_size: options.length,
  });
  arena.release();
  const spent = seconds();
  if (cache !== null && key !== undefined) cache.keep(plugin, loaded, key);
  // a large program's compiler leaves up to 0.2 GB in malloc's hands, and arrays of a step lie elsewhere (one-heap.ts)
  if (spent > LONG_COMPILATION) trimHeap();
  return { loaded, seconds: spent, cached: false };
}
