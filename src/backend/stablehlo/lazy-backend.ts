/**
 * A tfjs backend that computes nothing until a number is asked for: kernels add StableHLO operations to a graph, and a read
 * compiles and runs all that has been asked for since the last one as a single program. Tensors that are not needed any more
 * by then never exist, and buffers without a holder lend their memory to the program's results.
 */
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import type { ProductPrecision, ProgramStatistics, ProgramTimes } from "../engine.ts";
import type { QuantisedMatrix } from "../quantised.ts";
import { calledFrom } from "./caller.ts";
import { cutByRows } from "./data-parallel.ts";
import {
  bytesOf,
  type DeviceBuffer,
  type ElementType,
  type Executor,
  type HostArray,
  type Sharding,
} from "./executor.ts";
import { hostValue, insideLoop, Value } from "./graph.ts";
import { convert, forgetConstants, narrowOf, reshape } from "./hlo.ts";
import { asTfjs, dataType, elementType, hostArray, numbersOf } from "./host-arrays.ts";
import { type CompiledCall, ProgramCache } from "./programs.ts";
import { dense, partsOf, quantisedOf, standFor } from "./quantised.ts";

export const xlaBackendName = "xla";

/** Numbers of this size go to the device at once, so that weights do not stand in the host's memory too. */
const UPLOAD_AT_ONCE = 2 ** 20;

interface Entry {
  value: Value;
  dtype: tf.DataType;
  references: number;
}

export class LazyBackend extends tf.KernelBackend {
  readonly executor: Executor;
  precision: ProductPrecision = "f32";
  private readonly programs: ProgramCache;
  private readonly entries = new WeakMap<object, Entry>();
  private entryCount = 0;
  /** Asked for, held by a tensor, and not computed yet. */
  private readonly wanted = new Set<Value>();
  /** Buffers without a holder that the graph may still refer to. */
  private orphans: Value[] = [];
  /** Scalars that are arguments of the next program. */
  private readonly scalars = new Map<string, Value>();
  private readonly marks = new Set<string>();
  /** Numbers of any size stay on the host until a program takes them. */
  private waits = false;
  private released = false;

  constructor(executor: Executor) {
    super();
    this.executor = executor;
    this.programs = new ProgramCache(executor);
  }

  /** How operands of matrix products are written; sums are f32 in any case. */
  get products(): { type: "f32" | "bf16"; exact: boolean } {
    // CPUs multiply f32 as f32; GPUs round it to TF32 unless told
    const exact = this.precision === "f32" && this.executor.platform !== "cpu";
    return { type: this.precision === "bf16" ? "bf16" : "f32", exact };
  }

  /** `fn` with other rounding of products. */
  withPrecision<T>(precision: ProductPrecision, fn: () => T): T {
    const before = this.precision;
    this.precision = precision;
    try {
      return fn();
    } finally {
      this.precision = before;
    }
  }

  get statistics(): Readonly<ProgramStatistics> {
    return this.programs.statistics;
  }

  /** The value behind a tensor; bf16 is widened, since tfjs does not know it. */
  take(info: tf.TensorInfo): Value {
    const { value } = this.entry(info.dataId);
    return reshape(value.type === "bf16" ? convert(value, "f32") : value, info.shape);
  }

  /** How a tensor's numbers lie on the device. */
  typeOf({ dataId }: tf.TensorInfo): ElementType {
    return this.entry(dataId).value.type;
  }

  /** A tensor of float32 whose numbers lie on the device as bf16. @param bits of bf16 */
  halves(bits: Uint16Array, shape: readonly number[]): tf.Tensor {
    const value = hostValue("bf16", shape, bits);
    this.upload(value);
    return this.tensor(value);
  }

  /** A tensor of float32 whose numbers lie on the device as codes and scales. @param transposed it is [C, R] */
  quantised(matrix: QuantisedMatrix, transposed: boolean): tf.Tensor {
    const { form, rows, columns, block } = matrix;
    const lies = (type: ElementType, width: number, data: HostArray) => {
      const value = hostValue(type, [data.length / width, width], data);
      this.upload(value);
      return value;
    };
    const codes = lies(matrix.codes instanceof Int8Array ? "i8" : "u8", columns, matrix.codes);
    const type = matrix.scales instanceof Uint16Array ? "f16" : "f32";
    const scales = lies(type, columns / block, matrix.scales);
    return this.tensor(standFor({ form, rows, columns, block, transposed, codes, scales }));
  }

  /** Bytes of a tensor's codes and scales; null where it has none. */
  quantisedBytes({ dataId }: tf.TensorInfo): number | null {
    const parts = partsOf(this.entry(dataId).value);
    return parts.length === 1 ? null : parts.reduce((sum, part) => sum + bytesOf(part), 0);
  }

  /** A tensor for a value. */
  give(value: Value, dtype: tf.DataType = dataType(value.type)): tf.TensorInfo {
    const dataId = {};
    // a copy of a bf16 tensor stays one
    this.hold(dataId, narrowOf(value) ?? value, dtype);
    return { dataId, shape: value.shape.slice(), dtype };
  }

  /** Names what the next program computes, for profiles. */
  mark(name: string): void {
    this.marks.add(name);
  }

  /** Waits for every program from now on and times it. */
  timePrograms(): void {
    this.programs.startTiming();
  }

  get programTimes(): ProgramTimes[] {
    return this.programs.times;
  }

  /** A tensor of tfjs for a value. */
  tensor(value: Value): tf.Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.give(value));
  }

  /**
   * A number that changes from step to step: an argument of the program, so that it costs no new one.
   * @param purpose equal numbers of one purpose are one argument; of several they are not, since they may differ next time
   */
  changing(number: number, purpose: string): Value {
    const key = `${purpose} ${number}`;
    const known = this.scalars.get(key);
    if (known !== undefined) return known;
    const value = hostValue("f32", [], Float32Array.of(number), true);
    this.scalars.set(key, value);
    return value;
  }

  /** The same for an integer. */
  changingInteger(number: number): Value {
    return hostValue("i32", [], Int32Array.of(number), true);
  }

  /** Devices that each program is cut for. */
  get devices(): number {
    return this.executor.devices.length;
  }

  /** The rows of a batch, cut between the devices by their first axis; as it is where that does not divide (data-parallel.ts). */
  byRows(value: Value): Value {
    const [rows = 0] = value.shape;
    if (this.devices === 1 || rows === 0 || rows % this.devices !== 0) return value;
    if (value.definition.kind === "host") {
      value.sharding = "rows";
      return value;
    }
    if (value.sharding === "rows") return value;
    const parts = cutByRows(value, this.devices);
    parts.sharding = "rows";
    return parts;
  }

  /** `make` with large arrays left on the host until it is known how they are to lie. */
  beforeUpload<T>(make: () => T): T {
    this.waits = true;
    try {
      return make();
    } finally {
      this.waits = false;
    }
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: object,
    values: tf.backend_util.BackendValues | null,
    shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    const type = elementType(dtype);
    const value = hostValue(type, shape, hostArray(values, type, shape));
    if (bytesOf(value) >= UPLOAD_AT_ONCE && !this.waits) this.upload(value);
    this.hold(dataId, value, dtype);
    this.entry(dataId).references = refCount;
  }

  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    const { value } = this.entry(dataId);
    const matrix = quantisedOf(value);
    if (matrix !== null) return this.once(dense(matrix), (own) => this.read(own));
    const buffer = this.computed(value);
    return buffer instanceof Value ? numbersOf(buffer) : asTfjs(await this.executor.read(buffer));
  }

  override readSync(dataId: object): tf.backend_util.BackendValues {
    const { value } = this.entry(dataId);
    const matrix = quantisedOf(value);
    if (matrix !== null) return this.once(dense(matrix), (own) => this.readSync(own));
    const buffer = this.computed(value);
    return buffer instanceof Value ? numbersOf(buffer) : asTfjs(this.executor.download(buffer));
  }

  /** `read` of a value that is held no longer than that. */
  private once<T>(value: Value, read: (dataId: object) => T): T {
    const { dataId } = this.give(value);
    const done = () => this.disposeData(dataId);
    const result = read(dataId);
    if (result instanceof Promise) void result.then(done, done);
    else done();
    return result;
  }

  /** The buffer of a value, computed now if need be; the value itself where its numbers lie on the host. */
  private computed(value: Value) {
    if (value.pending) this.flush();
    const { definition } = value;
    if (definition.kind === "host") return value;
    if (definition.kind === "buffer") return definition.buffer;
    throw new BackendError(`a tensor was read that has no value${calledFrom()}`);
  }

  /** Computes everything that tensors wait for, as one program. */
  flush(): void {
    if (insideLoop()) {
      throw new BackendError(
        `a tensor was read inside a traced loop, where it has no value yet${calledFrom()}`,
      );
    }
    if (this.wanted.size === 0) {
      this.freeOrphans();
      return;
    }
    forgetConstants();
    const outputs = [...this.wanted].sort((a, b) => a.serial - b.serial);
    const call = this.programs.prepare(outputs, mayBeReused, [...this.marks].join(", ") || "other");
    this.marks.clear();
    const results = this.runWith(call);
    for (const [i, value] of outputs.entries()) {
      value.definition = { kind: "buffer", buffer: results[i]! };
    }
    this.wanted.clear();
    this.scalars.clear();
    this.freeOrphans();
  }

  private runWith(call: CompiledCall): DeviceBuffer[] {
    const temporary: DeviceBuffer[] = [];
    try {
      const buffers = call.arguments.map((value) => {
        const { definition } = value;
        if (definition.kind === "buffer") return definition.buffer;
        if (definition.kind !== "host") throw new BackendError("a program's argument has no numbers");
        // scalars may stand in the next program's text: their numbers stay on the host
        if (value.size > 1 && value.holders > 0) return this.upload(value);
        const buffer = this.executor.upload(definition.data, value, this.lies(value));
        temporary.push(buffer);
        return buffer;
      });
      return this.programs.run(call, buffers);
    } finally {
      for (const buffer of temporary) buffer.free();
    }
  }

  private upload(value: Value) {
    if (value.definition.kind !== "host") throw new BackendError("only numbers of the host can be uploaded");
    const buffer = this.executor.upload(value.definition.data, value, this.lies(value));
    value.definition = { kind: "buffer", buffer };
    return buffer;
  }

  private lies({ sharding }: Value): Sharding | undefined {
    return this.devices === 1 ? undefined : sharding;
  }

  private freeOrphans(): void {
    for (const value of this.orphans) {
      if (value.holders > 0 || value.definition.kind !== "buffer") continue;
      value.definition.buffer.free();
      value.definition = { kind: "freed" };
    }
    this.orphans = [];
  }

  private hold(dataId: object, value: Value, dtype: tf.DataType): void {
    this.entries.set(dataId, { value, dtype, references: 1 });
    this.entryCount++;
    const parts = partsOf(value);
    for (const part of parts) {
      part.holders++;
      if (part.pending) this.wanted.add(part);
    }
  }

  private entry(dataId: object): Entry {
    const entry = this.entries.get(dataId);
    if (entry === undefined) throw new BackendError("a tensor of another backend was used with xla");
    return entry;
  }

  override disposeData(dataId: object, force = false): boolean {
    const entry = this.entries.get(dataId);
    if (entry === undefined) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.entries.delete(dataId);
    this.entryCount--;
    for (const part of partsOf(entry.value)) this.letGo(part);
    return true;
  }

  private letGo(value: Value): void {
    if (--value.holders > 0) return;
    this.wanted.delete(value);
    if (value.definition.kind !== "buffer") return;
    this.orphans.push(value);
    if (this.wanted.size === 0) this.freeOrphans();
  }

  override refCount(dataId: object): number {
    return this.entries.get(dataId)?.references ?? 0;
  }

  override incRef(dataId: object): void {
    this.entry(dataId).references++;
  }

  override numDataIds(): number {
    return this.entryCount;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return false;
  }

  /** Gives the executor back: it stays open when this backend is disposed of. */
  release(): Executor {
    this.programs.dispose();
    this.released = true;
    return this.executor;
  }

  override dispose(): void {
    if (this.released) return;
    this.programs.dispose();
    this.executor.close();
  }
}

/** Nobody holds it any more. Scalars stay: the next program may want them too. */
function mayBeReused({ holders, size }: Value): boolean {
  return holders === 0 && size > 1;
}

/** The xla backend where it is the current one. */
export function currentLazyBackend(): LazyBackend | null {
  const backend = tf.getBackend() === xlaBackendName ? tf.backend() : null;
  return backend instanceof LazyBackend ? backend : null;
}
