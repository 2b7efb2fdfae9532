/** CompileOptionsProto (xla/pjrt/proto/compile_options.proto), as far as we set it. */
import { protoBytes, protoVarint } from "../native.ts";

/** XLA's own flags (xla.proto, DebugOptions) by name, for one program. */
export type XlaFlags = Readonly<Record<string, string | number | boolean>>;

/**
 * XLA on processors orders operations so that many could run side by side, and keeps what they make in memory; here the
 * order that needs the least memory, which takes as long (decision 0012). LLVM's first level of optimization gives code
 * that is as fast as that of its third, a fifth sooner (decision 0014).
 * @param version of the plugin's interface; the option's name changed between those that were tried
 */
export function processorFlags(version: string): XlaFlags {
  const minor = Number(version.split(".")[1]);
  return {
    xla_backend_optimization_level: 1,
    ...(minor >= 106 && { xla_cpu_scheduler_type: "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED" }),
    ...(minor <= 81 && { xla_cpu_enable_concurrency_optimized_scheduler: false }),
  };
}

/** Flags without those that $XLA_FLAGS sets: they are left to it. */
export function unlessGiven(flags: XlaFlags, environment: NodeJS.ProcessEnv = process.env): XlaFlags {
  const given = environment["XLA_FLAGS"] ?? "";
  const isGiven = (name: string) => new RegExp(`--${name}(=|\\s|$)`).test(given);
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !isGiven(name)));
}

/** Field numbers of the messages. */
const EXECUTABLE_BUILD_OPTIONS = 3;
const ENV_OPTION_OVERRIDES = 7;
const NUM_REPLICAS = 4;
const NUM_PARTITIONS = 5;
const USE_SPMD_PARTITIONING = 6;

/** OptionOverrideProto: one of string 1, bool 2, int 3, double 4. */
function overrideValue(value: string | number | boolean): number[] {
  if (typeof value === "string") return protoBytes(1, Buffer.from(value));
  if (typeof value === "boolean") return protoVarint(2, value ? 1 : 0);
  if (Number.isInteger(value) && value >= 0) return protoVarint(3, value);
  return [4 * 8 + 1, ...new Uint8Array(Float64Array.of(value).buffer)];
}

/** @param partitions devices that the program is cut for; above 1 by the shardings in its text (SPMD) */
export function compileOptions(partitions: number, flags: XlaFlags = {}): Uint8Array {
  const build = [
    ...protoVarint(NUM_REPLICAS, 1),
    ...protoVarint(NUM_PARTITIONS, partitions),
    ...(partitions > 1 ? protoVarint(USE_SPMD_PARTITIONING, 1) : []),
  ];
  const overrides = Object.entries(flags).flatMap(([name, value]) =>
    protoBytes(ENV_OPTION_OVERRIDES, [
      ...protoBytes(1, Buffer.from(name)),
      ...protoBytes(2, overrideValue(value)),
    ]),
  );
  return Uint8Array.from([...protoBytes(EXECUTABLE_BUILD_OPTIONS, build), ...overrides]);
}
