/** TensorFlow's C API (tensorflow/c/c_api.h, eager/c_api.h) from the libraries of its Python wheel. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BackendError } from "../../../lib/errors.ts";
import {
  addressOf,
  bytesIn,
  type NativeFunction,
  openResident,
  type Pointer,
  protoVarint,
  viewOf,
} from "../native.ts";
import { libraryNames } from "./names.ts";

/** TF_DataType of tensorflow/c/tf_datatype.h. */
export const dataTypes = {
  f32: 1,
  i32: 3,
  u8: 4,
  i8: 6,
  i64: 9,
  i1: 10,
  bf16: 14,
  f16: 19,
  u32: 22,
  u64: 23,
} as const;

const signatures = {
  TF_Version: ["str"],
  TF_NewStatus: ["uintptr_t"],
  TF_GetCode: ["int", "uintptr_t"],
  TF_Message: ["str", "uintptr_t"],
  TF_AllocateTensor: ["uintptr_t", "int", "void*", "int", "size_t"],
  TF_TensorData: ["uintptr_t", "uintptr_t"],
  TF_TensorByteSize: ["size_t", "uintptr_t"],
  TF_DeleteTensor: ["void", "uintptr_t"],
  TF_DeviceListCount: ["int", "uintptr_t"],
  TF_DeviceListName: ["str", "uintptr_t", "int", "uintptr_t"],
  TF_DeviceListType: ["str", "uintptr_t", "int", "uintptr_t"],
  TF_DeleteDeviceList: ["void", "uintptr_t"],
  TFE_NewContextOptions: ["uintptr_t"],
  TFE_ContextOptionsSetConfig: ["void", "uintptr_t", "void*", "size_t", "uintptr_t"],
  TFE_DeleteContextOptions: ["void", "uintptr_t"],
  TFE_NewContext: ["uintptr_t", "uintptr_t", "uintptr_t"],
  TFE_DeleteContext: ["void", "uintptr_t"],
  TFE_ContextListDevices: ["uintptr_t", "uintptr_t", "uintptr_t"],
  TFE_NewTensorHandle: ["uintptr_t", "uintptr_t", "uintptr_t"],
  TFE_DeleteTensorHandle: ["void", "uintptr_t"],
  TFE_TensorHandleDataType: ["int", "uintptr_t"],
  TFE_TensorHandleNumDims: ["int", "uintptr_t", "uintptr_t"],
  TFE_TensorHandleDim: ["int64", "uintptr_t", "int", "uintptr_t"],
  TFE_TensorHandleResolve: ["uintptr_t", "uintptr_t", "uintptr_t"],
  TFE_TensorHandleCopyToDevice: ["uintptr_t", "uintptr_t", "uintptr_t", "str", "uintptr_t"],
  TFE_NewOp: ["uintptr_t", "uintptr_t", "str", "uintptr_t"],
  TFE_DeleteOp: ["void", "uintptr_t"],
  TFE_OpSetDevice: ["void", "uintptr_t", "str", "uintptr_t"],
  TFE_OpAddInput: ["void", "uintptr_t", "uintptr_t", "uintptr_t"],
  TFE_OpAddInputList: ["void", "uintptr_t", "void*", "int", "uintptr_t"],
  TFE_OpSetAttrString: ["void", "uintptr_t", "str", "void*", "size_t"],
  TFE_OpSetAttrInt: ["void", "uintptr_t", "str", "int64"],
  TFE_OpSetAttrIntList: ["void", "uintptr_t", "str", "void*", "int"],
  TFE_OpSetAttrFloat: ["void", "uintptr_t", "str", "float"],
  TFE_OpSetAttrBool: ["void", "uintptr_t", "str", "uchar"],
  TFE_OpSetAttrType: ["void", "uintptr_t", "str", "int"],
  TFE_OpSetAttrTypeList: ["void", "uintptr_t", "str", "void*", "int"],
  TFE_OpSetAttrShape: ["void", "uintptr_t", "str", "void*", "int", "uintptr_t"],
  TFE_OpSetAttrShapeList: ["void", "uintptr_t", "str", "void*", "void*", "int", "uintptr_t"],
  TFE_OpSetAttrStringList: ["void", "uintptr_t", "str", "void*", "void*", "int"],
  TFE_OpSetAttrFunctionList: ["void", "uintptr_t", "str", "void*", "int"],
  TFE_Execute: ["void", "uintptr_t", "void*", "void*", "uintptr_t"],
} as const;

export type TensorFlowFunctions = Record<keyof typeof signatures, NativeFunction>;

export interface TensorFlowDevice {
  /** "/job:localhost/replica:0/task:0/device:GPU:0". */
  readonly name: string;
  /** "CPU", "GPU". */
  readonly type: string;
}

/** One opened TensorFlow with one eager context: a process has one, whatever runs on it. */
export interface TensorFlowLibrary {
  readonly folder: string;
  readonly version: string;
  readonly functions: TensorFlowFunctions;
  readonly context: Pointer;
  readonly devices: readonly TensorFlowDevice[];
  /** The status that every call reports to. */
  readonly status: Pointer;
  /** @throws BackendError with TensorFlow's message when the last call failed */
  check(what: string): void;
  /** A tensor handle on the host with a copy of the data. @param type TF_DataType */
  handleOf(data: ArrayBufferView, type: number, shape: readonly number[]): Pointer;
  /** A copy of a handle's bytes on the host. */
  bytesOf(handle: Pointer): Uint8Array;
  /** Runs an operation whose inputs and attributes are set, deletes it, and returns its output handles. */
  execute(operation: Pointer, outputs: number, what: string): Pointer[];
}

const opened = new Map<string, TensorFlowLibrary>();

/**
 * Opens the two libraries of a folder and starts an eager context. Further calls for the folder return the first.
 * @param options threads for one operation; every core when absent. It holds for the first call.
 * @throws BackendError when a library is missing, does not load, or lacks a function
 */
export function openTensorFlow(folder: string, options: { threads?: number } = {}): TensorFlowLibrary {
  const known = opened.get(folder);
  if (known !== undefined) return known;
  const missing = libraryNames.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) throw new BackendError(`${folder}: no ${missing.join(" and no ")} there`);
  // errors reach us with their message, so its log stays quiet; the note on oneDNN is written unless its switch is set (its default is on)
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "3";
  process.env["TF_ENABLE_ONEDNN_OPTS"] ??= "0";
  const libraries = [...libraryNames].reverse().map((name) => openResident(join(folder, name)));
  const functions = {} as TensorFlowFunctions;
  for (const [name, [result, ...parameters]] of Object.entries(signatures)) {
    const found = libraries.map((library) => {
      try {
        return library.func(name, result, parameters) as NativeFunction;
      } catch {
        return null;
      }
    });
    const callable = found.find((each) => each !== null);
    if (callable == null) throw new BackendError(`${folder}: TensorFlow exports no ${name}`);
    functions[name as keyof TensorFlowFunctions] = callable;
  }
  const library = start(folder, functions, options.threads);
  opened.set(folder, library);
  return library;
}

/** ConfigProto: intra_op_parallelism_threads = 2, inter_op_parallelism_threads = 5. */
function sessionConfig(threads: number | undefined): Uint8Array {
  return Uint8Array.from(threads === undefined ? [] : [...protoVarint(2, threads), ...protoVarint(5, 1)]);
}

function start(folder: string, f: TensorFlowFunctions, threads: number | undefined): TensorFlowLibrary {
  const status: Pointer = f.TF_NewStatus();
  const check = (what: string) => {
    if (f.TF_GetCode(status) !== 0) throw new BackendError(`TensorFlow: ${what}: ${f.TF_Message(status)}`);
  };
  const options: Pointer = f.TFE_NewContextOptions();
  const config = sessionConfig(threads);
  f.TFE_ContextOptionsSetConfig(options, config, config.length, status);
  check("its thread options");
  const context: Pointer = f.TFE_NewContext(options, status);
  check("it does not start");
  f.TFE_DeleteContextOptions(options);
  const list: Pointer = f.TFE_ContextListDevices(context, status);
  check("its devices");
  const devices = Array.from({ length: f.TF_DeviceListCount(list) }, (_, index) => ({
    name: f.TF_DeviceListName(list, index, status) as string,
    type: f.TF_DeviceListType(list, index, status) as string,
  }));
  f.TF_DeleteDeviceList(list);

  const handleOf = (data: ArrayBufferView, type: number, shape: readonly number[]): Pointer => {
    const dims = BigInt64Array.from(shape, BigInt);
    const tensor: Pointer = f.TF_AllocateTensor(type, dims, shape.length, data.byteLength);
    if (tensor === 0) throw new BackendError(`TensorFlow has no memory for ${data.byteLength} bytes`);
    if (data.byteLength > 0) viewOf(f.TF_TensorData(tensor), data.byteLength).set(bytesIn(data));
    const handle: Pointer = f.TFE_NewTensorHandle(tensor, status);
    f.TF_DeleteTensor(tensor);
    check("a tensor");
    return handle;
  };
  const bytesOf = (handle: Pointer): Uint8Array => {
    const tensor: Pointer = f.TFE_TensorHandleResolve(handle, status);
    check("reading a tensor");
    const size = Number(f.TF_TensorByteSize(tensor));
    const bytes = new Uint8Array(size);
    if (size > 0) bytes.set(viewOf(f.TF_TensorData(tensor), size));
    f.TF_DeleteTensor(tensor);
    return bytes;
  };
  const count = new Int32Array(1);
  let results = new BigUint64Array(64);
  const execute = (operation: Pointer, outputs: number, what: string): Pointer[] => {
    if (results.length < outputs) results = new BigUint64Array(outputs);
    count[0] = outputs;
    f.TFE_Execute(operation, results, count, status);
    f.TFE_DeleteOp(operation);
    check(what);
    return Array.from(results.subarray(0, outputs), Number);
  };
  const version: string = f.TF_Version();
  return { folder, version, functions: f, context, devices, status, check, handleOf, bytesOf, execute };
}

/** Pointers to byte strings and their lengths, as list attributes take them; keep it alive during the call. */
export function stringList(texts: readonly string[]): {
  pointers: BigUint64Array;
  lengths: BigUint64Array;
  kept: Buffer[];
} {
  const kept = texts.map((text) => Buffer.from(text));
  return {
    kept,
    // at least one element: a null pointer is refused
    pointers: BigUint64Array.from(kept.length > 0 ? kept : [Buffer.alloc(1)], (text) =>
      BigInt(addressOf(text)),
    ),
    lengths: BigUint64Array.from(kept.length > 0 ? kept : [Buffer.alloc(1)], (text) => BigInt(text.length)),
  };
}
