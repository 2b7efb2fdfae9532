/** tfjs's wasm heap, shared with our own kernels: pointers in, no copies. */
import { setFlagsFromString } from "node:v8";
import type { DataType, TensorInfo } from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import { relaxedSimdKernels, simdKernels } from "./kernels.generated.ts";

interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** What is used of the WebAssembly global, which Node's types leave out without the DOM's. */
const WebAssembly = (
  globalThis as unknown as {
    WebAssembly: {
      Memory: new (...args: never[]) => WasmMemory;
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object, imports: object) => { readonly exports: unknown };
      validate(bytes: Uint8Array): boolean;
    };
  }
).WebAssembly;

/** The parts of tfjs's `BackendWasm` that kernels use. */
export interface WasmBackend {
  readonly dataIdMap: { get(dataId: object): { memoryOffset: number; id: number } };
  readonly wasm: {
    readonly asm: { readonly memory: WasmMemory };
    _malloc(bytes: number): number;
    _free(pointer: number): void;
  };
  makeOutput(shape: readonly number[], dtype: DataType): TensorInfo;
  incRef(dataId: object): void;
  disposeData(dataId: object, force?: boolean): boolean;
}

/** Functions of the compiled module; arguments are bytes, counts and float32 scalars. */
export type KernelExports = Readonly<Record<string, (...args: (number | boolean)[]) => number>>;

/** (v128, v128, v128) => f32x4.relaxed_madd: validates only where relaxed SIMD is on. */
const relaxedProbe = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32,
  1, 32, 2, 253, 0x85, 2, 11,
]);

/** Fused multiply-add in wasm. Node 20 has it behind a flag, which may be set until a module is compiled. */
function relaxedSimd(): boolean {
  if (WebAssembly.validate(relaxedProbe)) return true;
  const major = Number(process.versions.node.split(".")[0]);
  if (major > 21) return false;
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  return WebAssembly.validate(relaxedProbe);
}

const largestHeapGiB = 4;

export class WasmHeap {
  readonly backend: WasmBackend;
  readonly kernels: KernelExports;
  /** Whether products and sums round once (FMA) instead of twice. */
  readonly relaxed: boolean;
  #memory: WasmMemory;
  #floats: Float32Array;
  #ints: Int32Array;
  #scratch = 0;
  #scratchBytes = 0;
  #malloc: (bytes: number) => number;

  /**
   * @param backend tfjs's wasm backend, ready
   * @param options relaxed: false forces plain SIMD
   * @throws BackendError when the backend's memory is not where tfjs 4 keeps it
   */
  constructor(backend: WasmBackend, options: { relaxed?: boolean } = {}) {
    const memory = backend.wasm?.asm?.memory;
    if (!(memory instanceof WebAssembly.Memory)) {
      throw new BackendError(
        "wasm backend: tf.backend().wasm.asm.memory is not a WebAssembly.Memory: this version of @tensorflow/tfjs-backend-wasm is unknown; install 4.22",
      );
    }
    this.backend = backend;
    this.#memory = memory;
    this.relaxed = (options.relaxed ?? true) && relaxedSimd();
    const bytes = Buffer.from(this.relaxed ? relaxedSimdKernels : simdKernels, "base64");
    this.kernels = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory, log: Math.log },
    }).exports as KernelExports;
    this.#floats = new Float32Array(memory.buffer);
    this.#ints = new Int32Array(memory.buffer);
    // tfjs takes a failed allocation (0) for an address and writes over the heap's start
    const malloc = backend.wasm._malloc;
    this.#malloc = malloc;
    backend.wasm._malloc = (size) => {
      const pointer = size < 2 ** 32 ? malloc(size) : 0;
      if (pointer === 0 && size > 0) {
        throw new BackendError(
          `wasm heap: ${(size / 2 ** 20).toFixed(1)} MiB could not be allocated; the heap holds ${(memory.buffer.byteLength / 2 ** 30).toFixed(2)} of at most ${largestHeapGiB} GiB. Use smaller micro-batches or shorter completions, or another backend`,
        );
      }
      return pointer;
    };
  }

  /** Undoes what the constructor changed in the backend. */
  release(): void {
    if (this.#scratch !== 0) this.backend.wasm._free(this.#scratch);
    this.#scratch = 0;
    this.#scratchBytes = 0;
    this.backend.wasm._malloc = this.#malloc;
  }

  /** The whole heap; any allocation can replace it, so do not keep it. */
  floats(): Float32Array {
    if (this.#floats.buffer !== this.#memory.buffer) this.#floats = new Float32Array(this.#memory.buffer);
    return this.#floats;
  }

  ints(): Int32Array {
    if (this.#ints.buffer !== this.#memory.buffer) this.#ints = new Int32Array(this.#memory.buffer);
    return this.#ints;
  }

  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** Byte offset of a tensor. */
  at(tensor: TensorInfo): number {
    return this.backend.dataIdMap.get(tensor.dataId).memoryOffset;
  }

  output(shape: readonly number[], dtype: DataType = "float32"): TensorInfo {
    return this.backend.makeOutput(shape, dtype);
  }

  /** Working memory of one kernel call: contents are lost at the next. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      if (this.#scratch !== 0) this.backend.wasm._free(this.#scratch);
      this.#scratch = 0;
      this.#scratchBytes = 0;
      this.#scratch = this.backend.wasm._malloc(bytes) >>> 0;
      this.#scratchBytes = bytes;
    }
    return this.#scratch;
  }
}
