/** Compiled programs of a PJRT plugin: what the compiler says of them, and running them. */
import { BackendError } from "../../../lib/errors.ts";
import { partSpec } from "../../stablehlo/data-parallel.ts";
import {
  type DeviceBuffer,
  type Program,
  type ProgramCost,
  type ProgramMemory,
  type Sharding,
  type Spec,
  typeText,
} from "../../stablehlo/executor.ts";
import { addressOf, type Pointer, viewOf } from "../native.ts";
import { Arena, type PjrtPlugin, readNamedValues } from "./api.ts";
import { type BufferPool, PjrtBuffer } from "./buffers.ts";

/** Bytes that the compiler planned, of one device. Null where the plugin does not tell. */
export function memoryOf(plugin: PjrtPlugin, executable: Pointer): ProgramMemory | null {
  try {
    const stats = plugin.call("Executable_GetCompiledMemoryStats", { executable });
    return {
      arguments: stats.argument_size_in_bytes,
      outputs: stats.output_size_in_bytes,
      aliased: stats.alias_size_in_bytes,
      temporary: stats.temp_size_in_bytes,
      generated: stats.generated_code_size_in_bytes,
    };
  } catch {
    return null;
  }
}

/** The compiler's own count; null where the plugin does not tell. */
export function costOf(plugin: PjrtPlugin, executable: Pointer): ProgramCost | null {
  try {
    const { properties, num_properties } = plugin.call("Executable_GetCostAnalysis", { executable });
    const values = readNamedValues(properties, num_properties);
    const flops = Number(values["flops"]);
    const bytes = Number(values["bytes accessed"]);
    return Number.isFinite(flops) && Number.isFinite(bytes) ? { flops, bytes } : null;
  } catch {
    return null;
  }
}

/** The program as compiled (HLO after all passes): its collectives and fusions can be read from it. */
export function optimizedProgram(plugin: PjrtPlugin, executable: Pointer): Uint8Array {
  const arena = new Arena();
  const program = new BigUint64Array(6);
  program[0] = 48n;
  const at = arena.keep(program);
  // asked twice: with no code it tells the size
  plugin.call("Executable_OptimizedProgram", { executable, program: at });
  const code = new Uint8Array(Number(program[3]));
  program[2] = BigInt(arena.keep(code));
  plugin.call("Executable_OptimizedProgram", { executable, program: at });
  arena.release();
  return code;
}

export interface LoadedProgram {
  readonly loaded: Pointer;
  readonly outputs: readonly Spec[];
  readonly outputShardings: readonly Sharding[];
  readonly donate: readonly number[];
  readonly partitions: number;
  readonly compileSeconds: number;
  readonly cached: boolean;
}

export class PjrtProgram implements Program {
  readonly outputs: readonly Spec[];
  readonly compileSeconds: number;
  readonly cached: boolean;
  readonly memory: ProgramMemory | null;
  readonly cost: ProgramCost | null;
  private readonly plugin: PjrtPlugin;
  private readonly pool: BufferPool;
  private readonly program: LoadedProgram;
  private executable: Pointer;
  private readonly donated: ReadonlySet<number>;

  constructor(plugin: PjrtPlugin, pool: BufferPool, program: LoadedProgram) {
    this.plugin = plugin;
    this.pool = pool;
    this.program = program;
    this.outputs = program.outputs;
    this.compileSeconds = program.compileSeconds;
    this.cached = program.cached;
    this.donated = new Set(program.donate);
    const { loaded } = program;
    this.executable = plugin.call("LoadedExecutable_GetExecutable", { loaded_executable: loaded }).executable;
    const { num_outputs } = plugin.call("Executable_NumOutputs", { executable: this.executable });
    if (num_outputs !== program.outputs.length) {
      throw new BackendError(
        `the program has ${num_outputs} results, and ${program.outputs.length} were declared`,
      );
    }
    this.memory = memoryOf(plugin, this.executable);
    this.cost = costOf(plugin, this.executable);
  }

  run(args: readonly DeviceBuffer[]): DeviceBuffer[] {
    if (this.executable === 0) throw new BackendError("the program was freed before");
    const { partitions, outputs, loaded, outputShardings } = this.program;
    const buffers = args.map((arg, index) => {
      const buffer = this.pool.check(arg, `argument ${index}`);
      if (buffer.parts.length !== partitions) {
        throw new BackendError(
          `argument ${index}, a ${typeText(arg.spec)}, lies on ${buffer.parts.length} devices; the program runs on ${partitions}`,
        );
      }
      return buffer;
    });
    const arena = new Arena();
    const inputs = perDevice(partitions, (device) =>
      arena.keep(BigUint64Array.from(buffers, ({ parts }) => BigInt(parts[device]!))),
    );
    const results = Array.from({ length: partitions }, () => new BigUint64Array(Math.max(1, outputs.length)));
    const lists = BigUint64Array.from(results, (list) => BigInt(addressOf(list)));
    // the compiler was told of every donation, so nothing is held back
    this.plugin.call("LoadedExecutable_Execute", {
      executable: loaded,
      options: arena.struct("ExecuteOptions", {}),
      argument_lists: arena.keep(inputs),
      num_devices: partitions,
      num_args: args.length,
      output_lists: arena.keep(lists),
    });
    arena.release();
    for (const index of this.donated) buffers[index]?.free();
    return outputs.map((spec, index) => {
      const sharding = outputShardings[index] ?? "replicated";
      // says so when rows do not divide
      partSpec(spec, sharding, partitions);
      const parts = results.map((list) => Number(list[index]));
      return new PjrtBuffer(this.pool, spec, sharding, parts);
    });
  }

  /** HLO after all passes, a serialised HloModuleProto. */
  optimized(): Uint8Array {
    return optimizedProgram(this.plugin, this.executable);
  }

  free(): void {
    if (this.executable === 0) return;
    this.plugin.call("Executable_Destroy", { executable: this.executable });
    this.plugin.call("LoadedExecutable_Destroy", { executable: this.program.loaded });
    this.executable = 0;
  }
}

function perDevice(devices: number, make: (device: number) => Pointer): BigUint64Array {
  return BigUint64Array.from({ length: devices }, (_, device) => BigInt(make(device)));
}

/** The serialised form of a compiled program. @throws BackendError when the plugin cannot */
export function serialize(
  plugin: PjrtPlugin,
  loaded: Pointer,
  free: (deleter: Pointer, of: Pointer) => void,
): Uint8Array {
  const { executable } = plugin.call("LoadedExecutable_GetExecutable", { loaded_executable: loaded });
  try {
    const serialized = plugin.call("Executable_Serialize", { executable });
    const bytes = viewOf(serialized.serialized_bytes, serialized.serialized_bytes_size).slice();
    free(serialized.serialized_executable_deleter, serialized.serialized_executable);
    return bytes;
  } finally {
    plugin.call("Executable_Destroy", { executable });
  }
}
