/** Compiled programs through TensorFlow's library: eager operation XlaCallModule, which takes StableHLO as text. */
import { BackendError } from "../../../lib/errors.ts";
import {
  bytesOf,
  type CompileOptions,
  type DeviceBuffer,
  type Executor,
  elementTypes,
  type HostArray,
  type Program,
  type Spec,
  typeText,
} from "../../stablehlo/executor.ts";
import { addressOf, type Pointer } from "../native.ts";
import { dataTypes, openTensorFlow, stringList, type TensorFlowLibrary } from "./library.ts";

/** XlaCallModule's version 9: the module's arguments are the operation's, `platforms` as named. */
const CALL_MODULE_VERSION = 9;

class TensorFlowBuffer implements DeviceBuffer {
  readonly spec: Spec;
  handle: Pointer;
  private readonly tensorflow: TensorFlowLibrary;
  private readonly owner: Set<TensorFlowBuffer>;

  constructor(tensorflow: TensorFlowLibrary, owner: Set<TensorFlowBuffer>, spec: Spec, handle: Pointer) {
    this.tensorflow = tensorflow;
    this.owner = owner;
    this.spec = spec;
    this.handle = handle;
    owner.add(this);
  }

  get consumed(): boolean {
    return this.handle === 0;
  }

  free(): void {
    if (this.handle === 0) return;
    this.tensorflow.functions.TFE_DeleteTensorHandle(this.handle);
    this.handle = 0;
    this.owner.delete(this);
  }
}

export interface TensorFlowExecutorOptions {
  /** Folder with the two libraries. */
  readonly folder: string;
  /** Threads of one program; every core when absent. The first executor of a process decides. */
  readonly threads?: number;
}

/**
 * Runs on the first GPU that TensorFlow sees, else on the CPU. Donation saves no memory at the peak: TensorFlow
 * hands XLA's inputs over read-only, so a donated buffer is freed after the run.
 * @throws BackendError when the library does not open
 */
export function openTensorFlowExecutor(options: TensorFlowExecutorOptions): Executor {
  const tensorflow = openTensorFlow(
    options.folder,
    options.threads === undefined ? {} : { threads: options.threads },
  );
  const { functions: f, status } = tensorflow;
  const gpu = tensorflow.devices.find(({ type }) => type === "GPU");
  const buffers = new Set<TensorFlowBuffer>();

  const upload = (data: ArrayBufferView, spec: Spec): DeviceBuffer => {
    if (data.byteLength !== bytesOf(spec)) {
      throw new BackendError(`${data.byteLength} bytes are not a ${typeText(spec)} (${bytesOf(spec)} bytes)`);
    }
    let handle = tensorflow.handleOf(data, dataTypes[spec.type], spec.shape);
    if (gpu !== undefined) {
      const onHost = handle;
      handle = f.TFE_TensorHandleCopyToDevice(onHost, tensorflow.context, gpu.name, status);
      f.TFE_DeleteTensorHandle(onHost);
      tensorflow.check(`copying a ${typeText(spec)} to ${gpu.name}`);
    }
    return new TensorFlowBuffer(tensorflow, buffers, spec, handle);
  };

  const handleOf = (buffer: DeviceBuffer, what: string): Pointer => {
    if (!(buffer instanceof TensorFlowBuffer)) throw new BackendError(`${what} is of another executor`);
    if (buffer.handle === 0) {
      throw new BackendError(`${what}, a ${typeText(buffer.spec)}, was freed or donated before`);
    }
    return buffer.handle;
  };

  const download = (buffer: DeviceBuffer): HostArray => {
    const bytes = tensorflow.bytesOf(handleOf(buffer, "the buffer"));
    return new elementTypes[buffer.spec.type].array(bytes.buffer as ArrayBuffer);
  };

  const compile = (
    module: string,
    outputs: readonly Spec[],
    compileOptions: CompileOptions = {},
  ): Program => {
    if ((compileOptions.partitions ?? 1) !== 1) {
      throw new BackendError(
        "the TensorFlow library runs programs on one device; use a PJRT plugin for several",
      );
    }
    const donated = compileOptions.donate ?? [];
    const text = Buffer.from(module);
    const attributes = callAttributes(tensorflow, text, outputs, gpu === undefined ? "CPU" : "CUDA");
    let compileSeconds = 0;
    let ran = false;
    return {
      outputs,
      memory: null,
      cost: null,
      cached: false,
      get compileSeconds() {
        return compileSeconds;
      },
      run(args) {
        const handles = args.map((arg, index) => handleOf(arg, `argument ${index}`));
        const operation: Pointer = f.TFE_NewOp(tensorflow.context, "XlaCallModule", status);
        tensorflow.check("XlaCallModule");
        if (gpu !== undefined) f.TFE_OpSetDevice(operation, gpu.name, status);
        for (const handle of handles) f.TFE_OpAddInput(operation, handle, status);
        attributes.set(
          operation,
          args.map(({ spec }) => dataTypes[spec.type]),
        );
        const begin = process.hrtime.bigint();
        const results = tensorflow.execute(operation, outputs.length, "a program");
        if (!ran) compileSeconds = Number(process.hrtime.bigint() - begin) / 1e9;
        ran = true;
        for (const index of donated) args[index]?.free();
        return results.map((handle, i) => new TensorFlowBuffer(tensorflow, buffers, outputs[i]!, handle));
      },
      free() {},
    };
  };

  return {
    name: `TensorFlow ${tensorflow.version} (XLA)`,
    platform: gpu === undefined ? "cpu" : "cuda",
    devices: [gpu?.name ?? "CPU"],
    versions: { tensorflow: tensorflow.version },
    compile,
    upload,
    download,
    read: async (buffer) => download(buffer),
    memory: () => null,
    close: () => {
      for (const buffer of [...buffers]) buffer.free();
    },
  };
}

/** Everything of an XlaCallModule operation but its inputs; encoded once, set for each run. */
function callAttributes(
  tensorflow: TensorFlowLibrary,
  module: Buffer,
  outputs: readonly Spec[],
  platform: string,
): { set(operation: Pointer, inputTypes: readonly number[]): void } {
  const { functions: f, status } = tensorflow;
  const types = Int32Array.from(outputs, ({ type }) => dataTypes[type]);
  const ranks = Int32Array.from(outputs, ({ shape }) => shape.length);
  // scalars have no dimensions, and an empty array no address
  const dims = outputs.map(({ shape }) => BigInt64Array.from(shape.length > 0 ? shape : [0], BigInt));
  const dimPointers = BigUint64Array.from(dims, (each) => BigInt(addressOf(each)));
  const platforms = stringList([platform]);
  const none = stringList([]);
  const kept = { dims, platforms, none };
  return {
    set(operation, inputTypes) {
      f.TFE_OpSetAttrString(operation, "module", module, module.length);
      f.TFE_OpSetAttrInt(operation, "version", CALL_MODULE_VERSION);
      f.TFE_OpSetAttrTypeList(operation, "Tin", Int32Array.from(inputTypes), inputTypes.length);
      f.TFE_OpSetAttrTypeList(operation, "Tout", types, types.length);
      f.TFE_OpSetAttrShapeList(operation, "Sout", dimPointers, ranks, kept.dims.length, status);
      f.TFE_OpSetAttrStringList(operation, "platforms", platforms.pointers, platforms.lengths, 1);
      f.TFE_OpSetAttrStringList(operation, "dim_args_spec", none.pointers, none.lengths, 0);
      f.TFE_OpSetAttrStringList(operation, "disabled_checks", none.pointers, none.lengths, 0);
      f.TFE_OpSetAttrFunctionList(operation, "function_list", none.pointers, 0);
      f.TFE_OpSetAttrBool(operation, "has_token_input_output", 0);
      tensorflow.check("XlaCallModule's attributes");
    },
  };
}
