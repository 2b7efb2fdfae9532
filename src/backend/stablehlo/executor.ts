/**
 * What runs compiled programs: StableHLO text in, device buffers in and out. Behind it are the TensorFlow library
 * (`tensorflow/`) and PJRT plugins (`pjrt/`); the tracer above it knows neither.
 */

/** Element types; in StableHLO's text unsigned ones are `ui32` and so on. `i1` takes a byte an element. */
export type ElementType = "f32" | "bf16" | "f16" | "i32" | "u32" | "i64" | "u64" | "i8" | "u8" | "i1";

export type HostArray =
  | Float32Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Int8Array
  | Uint8Array
  | Uint16Array;

/** Bytes of an element, and the typed array that `download` answers with; halves come as raw 16-bit words. */
export const elementTypes = {
  f32: { bytes: 4, array: Float32Array },
  bf16: { bytes: 2, array: Uint16Array },
  f16: { bytes: 2, array: Uint16Array },
  i32: { bytes: 4, array: Int32Array },
  u32: { bytes: 4, array: Uint32Array },
  i64: { bytes: 8, array: BigInt64Array },
  u64: { bytes: 8, array: BigUint64Array },
  i8: { bytes: 1, array: Int8Array },
  u8: { bytes: 1, array: Uint8Array },
  i1: { bytes: 1, array: Uint8Array },
} as const satisfies Record<ElementType, { bytes: number; array: unknown }>;

export interface Spec {
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** How an array lies on the devices of a partitioned program: whole on each, or its first axis cut into equal parts. */
export type Sharding = "replicated" | "rows";

/** An array on the executor's device, or spread over its devices. It may still be being computed. */
export interface DeviceBuffer {
  readonly spec: Spec;
  /** True after `free` and after a run that it was donated to. */
  readonly consumed: boolean;
  /** Gives the memory back; twice does no harm. */
  free(): void;
}

export interface CompileOptions {
  /**
   * Arguments whose memory the program may take for its outputs (weights, moments, caches). Their buffers are
   * consumed by each run. The executor writes this into the signature of @main.
   */
  readonly donate?: readonly number[];
  /** Devices the program is partitioned for (`mhlo.num_partitions` of the module); default 1. */
  readonly partitions?: number;
  /** How each output lies when there are several partitions; default replicated. */
  readonly outputShardings?: readonly Sharding[];
}

/** Bytes on a device, as the compiler planned them. `aliased` counts outputs that take a donated argument's memory. */
export interface ProgramMemory {
  readonly arguments: number;
  readonly outputs: number;
  readonly aliased: number;
  readonly temporary: number;
  /** Machine code and constants. */
  readonly generated: number;
}

export interface ProgramCost {
  readonly flops: number;
  /** Bytes read and written. */
  readonly bytes: number;
}

export interface Program {
  readonly outputs: readonly Spec[];
  /** What the compiler reports; null where the executor cannot ask it. */
  readonly memory: ProgramMemory | null;
  readonly cost: ProgramCost | null;
  /** Seconds; an executor that compiles at the first run adds them then. */
  readonly compileSeconds: number;
  /** Whether the program came from the cache of compiled programs. */
  readonly cached: boolean;
  /**
   * Starts the program; outputs may be used as arguments of the next run at once. Donated arguments are consumed.
   * @throws BackendError with the library's message
   */
  run(args: readonly DeviceBuffer[]): DeviceBuffer[];
  free(): void;
}

export interface DeviceMemory {
  readonly inUse: number;
  readonly peak: number;
  /** Null where the library does not say. */
  readonly limit: number | null;
}

export type Platform = "cpu" | "cuda" | "rocm" | "oneapi" | "metal" | "other";

export interface Executor {
  /** One line: library and version. */
  readonly name: string;
  readonly platform: Platform;
  /** Description of each device: "NVIDIA H100 80GB HBM3". */
  readonly devices: readonly string[];
  /** Library versions, for provenance. */
  readonly versions: Readonly<Record<string, string>>;
  /**
   * @param module StableHLO text with a public function @main
   * @param outputs type and shape of each of @main's results
   * @throws BackendError with the compiler's message
   */
  compile(module: string, outputs: readonly Spec[], options?: CompileOptions): Program;
  /**
   * Copies host memory to the device; the data may change afterwards.
   * @param data exactly the bytes of `spec`, row-major; `i1` as bytes 0 and 1
   * @param sharding over all devices of a partitioned program; default: whole, on the first device
   */
  upload(data: ArrayBufferView, spec: Spec, sharding?: Sharding): DeviceBuffer;
  /** Waits for the buffer and copies it to the host. */
  download(buffer: DeviceBuffer): HostArray;
  /** The same without blocking the event loop while it is computed. */
  read(buffer: DeviceBuffer): Promise<HostArray>;
  /** Of the first device; null where the library does not count. */
  memory(): DeviceMemory | null;
  /** Frees everything of it that is left. */
  close(): void;
}

/** Elements of an array of this shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of an array. */
export function bytesOf(spec: Spec): number {
  return sizeOf(spec.shape) * elementTypes[spec.type].bytes;
}

/** `tensor<2x3xf32>`; MLIR writes unsigned integers as `ui32`. */
export function typeText({ type, shape }: Spec): string {
  let text = "tensor<";
  for (const size of shape) text += `${size}x`;
  return `${text}${type.startsWith("u") ? "ui" : type[0]}${type.slice(1)}>`;
}
