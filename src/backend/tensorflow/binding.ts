/**
 * What the JavaScript of @tensorflow/tfjs-node-gpu asks of its compiled add-on, over TensorFlow's C API instead:
 * tensors by number, and eager operations on them.
 */
import { BackendError } from "../../lib/errors.ts";
import type { Pointer } from "../xla/native.ts";
import { stringList, type TensorFlowLibrary } from "../xla/tensorflow/library.ts";

/** An attribute as the package's kernels give it; `type` is one of the TF_ATTR_ numbers. */
interface OpAttribute {
  name: string;
  type: number;
  value: unknown;
}

interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

export interface NodeBinding {
  createTensor(shape: number[], dtype: number, values: ArrayLike<number>): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(name: string, attributes: OpAttribute[], inputs: number[], outputs: number): TensorMetadata[];
  isUsingGpuDevice(): boolean;
  getNumOfTensors(): number;
}

/** TF_DataType and TF_AttrType numbers under the names that the package reads. */
const constants = {
  TF_FLOAT: 1,
  TF_INT32: 3,
  TF_UINT8: 4,
  TF_STRING: 7,
  TF_COMPLEX64: 8,
  TF_INT64: 9,
  TF_BOOL: 10,
  TF_RESOURCE: 20,
  TF_ATTR_STRING: 0,
  TF_ATTR_INT: 1,
  TF_ATTR_FLOAT: 2,
  TF_ATTR_BOOL: 3,
  TF_ATTR_TYPE: 4,
  TF_ATTR_SHAPE: 5,
  TF_ATTR_RESOURCE: 9,
} as const;

/** Host values as an array of the type's own width; the package keeps booleans and integers in arrays of any kind. */
function hostArray(dtype: number, values: ArrayLike<number>): ArrayBufferView {
  switch (dtype) {
    case constants.TF_FLOAT:
    case constants.TF_COMPLEX64:
      return values instanceof Float32Array ? values : Float32Array.from(values);
    case constants.TF_INT32:
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case constants.TF_BOOL:
    case constants.TF_UINT8:
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
    case constants.TF_INT64:
      // the package passes an int64 scalar as two 32-bit words
      return Int32Array.from(values);
    default:
      throw new BackendError(`TensorFlow: tensors of type ${dtype} are not supported`);
  }
}

/** @param tensorflow an opened library; its eager context is used */
export function tensorflowBinding(tensorflow: TensorFlowLibrary): NodeBinding & typeof constants {
  const { functions: f, context, status } = tensorflow;
  const handles = new Map<number, Pointer>();
  let next = 1;
  const keep = (handle: Pointer): number => {
    handles.set(next, handle);
    return next++;
  };
  const handleOf = (id: number): Pointer => {
    const handle = handles.get(id);
    if (handle === undefined) throw new BackendError(`TensorFlow: tensor ${id} is not there any more`);
    return handle;
  };
  const describe = (handle: Pointer): TensorMetadata => {
    const rank: number = f.TFE_TensorHandleNumDims(handle, status);
    const shape = Array.from({ length: rank }, (_, axis) =>
      Number(f.TFE_TensorHandleDim(handle, axis, status)),
    );
    tensorflow.check("the shape of a result");
    return { id: keep(handle), shape, dtype: f.TFE_TensorHandleDataType(handle) };
  };

  const setAttribute = (operation: Pointer, { name, type, value }: OpAttribute) => {
    const list = Array.isArray(value);
    switch (type) {
      case constants.TF_ATTR_STRING: {
        if (list) {
          const texts = stringList(value as string[]);
          f.TFE_OpSetAttrStringList(operation, name, texts.pointers, texts.lengths, texts.kept.length);
          return;
        }
        const bytes = Buffer.from(String(value));
        f.TFE_OpSetAttrString(operation, name, bytes, bytes.length);
        return;
      }
      case constants.TF_ATTR_INT:
        if (list) {
          const numbers = BigInt64Array.from(value as number[], BigInt);
          f.TFE_OpSetAttrIntList(operation, name, numbers, numbers.length);
        } else f.TFE_OpSetAttrInt(operation, name, Math.trunc(Number(value)));
        return;
      case constants.TF_ATTR_FLOAT:
        f.TFE_OpSetAttrFloat(operation, name, Number(value));
        return;
      case constants.TF_ATTR_BOOL:
        f.TFE_OpSetAttrBool(operation, name, value ? 1 : 0);
        return;
      case constants.TF_ATTR_TYPE:
        if (list) {
          const types = Int32Array.from(value as number[]);
          f.TFE_OpSetAttrTypeList(operation, name, types, types.length);
        } else f.TFE_OpSetAttrType(operation, name, Number(value));
        return;
      case constants.TF_ATTR_SHAPE: {
        const dims = BigInt64Array.from(value as number[], BigInt);
        f.TFE_OpSetAttrShape(operation, name, dims, dims.length, status);
        return;
      }
      default:
        throw new BackendError(`TensorFlow: attribute ${name} has a kind, ${type}, that is not supported`);
    }
  };

  return {
    ...constants,
    createTensor: (shape, dtype, values) => keep(tensorflow.handleOf(hostArray(dtype, values), dtype, shape)),
    deleteTensor: (id) => {
      const handle = handles.get(id);
      if (handle === undefined) return;
      f.TFE_DeleteTensorHandle(handle);
      handles.delete(id);
    },
    tensorDataSync: (id) => {
      const handle = handleOf(id);
      const bytes = tensorflow.bytesOf(handle);
      const dtype: number = f.TFE_TensorHandleDataType(handle);
      if (dtype === constants.TF_FLOAT || dtype === constants.TF_COMPLEX64)
        return new Float32Array(bytes.buffer);
      return dtype === constants.TF_INT32 ? new Int32Array(bytes.buffer) : bytes;
    },
    executeOp: (name, attributes, inputs, outputs) => {
      const operation: Pointer = f.TFE_NewOp(context, name, status);
      tensorflow.check(name);
      try {
        for (const attribute of attributes) if (attribute.value != null) setAttribute(operation, attribute);
        for (const input of inputs) f.TFE_OpAddInput(operation, handleOf(input), status);
        tensorflow.check(name);
      } catch (error) {
        f.TFE_DeleteOp(operation);
        throw error;
      }
      return tensorflow.execute(operation, outputs, name).map(describe);
    },
    isUsingGpuDevice: () => tensorflow.devices.some(({ type }) => type === "GPU"),
    getNumOfTensors: () => handles.size,
  };
}
