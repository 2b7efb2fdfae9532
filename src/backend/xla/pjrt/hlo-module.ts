/** Reads compiled programs: the parts of HloModuleProto (xla/service/hlo.proto) that say what is computed on how many bytes. */

/** An array, or a tuple of shapes. */
export interface HloShape {
  /** PrimitiveType of xla_data.proto. */
  readonly type: number;
  readonly dimensions: readonly number[];
  readonly parts: readonly HloShape[];
}

export interface HloInstruction {
  readonly id: number;
  readonly name: string;
  readonly opcode: string;
  readonly shape: HloShape;
  readonly operands: readonly number[];
  /** Ids of computations: a fusion's, a loop's body and condition. */
  readonly calls: readonly number[];
  /** Number of a parameter. */
  readonly parameter: number;
  /** Index of get-tuple-element. */
  readonly tupleIndex: number;
  readonly target: string;
  /** JSON, or "". */
  readonly config: string;
  /** Dimensions that a dot sums over, of its left side; null where it is none. */
  readonly contracting: readonly number[] | null;
  /** The number of a constant with one element; null elsewhere. */
  readonly number: number | null;
  /** "LT" of a comparison. */
  readonly direction: string;
}

export interface HloComputation {
  readonly id: number;
  readonly instructions: ReadonlyMap<number, HloInstruction>;
  readonly root: number;
}

export interface HloModule {
  readonly entry: number;
  readonly computations: ReadonlyMap<number, HloComputation>;
}

/** A field of a message: a number, or the bytes of a string, a message or packed numbers. */
interface Field {
  readonly tag: number;
  readonly number: number;
  readonly bytes: Buffer;
}

const none = Buffer.alloc(0);

function varint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  let factor = 1;
  for (let i = at; ; i++) {
    const byte = bytes[i]!;
    value += (byte & 127) * factor;
    if (byte < 128) return [value, i + 1];
    factor *= 128;
  }
}

function* fields(bytes: Buffer): Generator<Field> {
  let at = 0;
  while (at < bytes.length) {
    const [key, next] = varint(bytes, at);
    const tag = Math.floor(key / 8);
    switch (key % 8) {
      case 0: {
        const [number, end] = varint(bytes, next);
        yield { tag, number, bytes: none };
        at = end;
        break;
      }
      case 1:
        yield { tag, number: 0, bytes: bytes.subarray(next, next + 8) };
        at = next + 8;
        break;
      case 2: {
        const [length, start] = varint(bytes, next);
        yield { tag, number: 0, bytes: bytes.subarray(start, start + length) };
        at = start + length;
        break;
      }
      case 5:
        yield { tag, number: 0, bytes: bytes.subarray(next, next + 4) };
        at = next + 4;
        break;
      default:
        throw new RangeError(`a compiled program has a field of wire type ${key % 8}`);
    }
  }
}

/** Repeated integers come one by one or packed. */
function integers({ number, bytes }: Field): number[] {
  if (bytes.length === 0) return [number];
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [value, next] = varint(bytes, at);
    values.push(value);
    at = next;
  }
  return values;
}

function readShape(bytes: Buffer): HloShape {
  let type = 0;
  const dimensions: number[] = [];
  const parts: HloShape[] = [];
  for (const field of fields(bytes)) {
    if (field.tag === 2) type = field.number;
    else if (field.tag === 3) dimensions.push(...integers(field));
    else if (field.tag === 4) parts.push(readShape(field.bytes));
  }
  return { type, dimensions, parts };
}

/** LiteralProto of one element: s32s 4, s64s 5, f32s 8; null for what else there is. */
function readNumber(bytes: Buffer): number | null {
  for (const field of fields(bytes)) {
    if (field.tag === 4 || field.tag === 5) {
      const values = integers(field);
      return values.length === 1 ? values[0]! : null;
    }
    if (field.tag === 8) return field.bytes.length === 4 ? field.bytes.readFloatLE(0) : null;
  }
  return null;
}

function readInstruction(bytes: Buffer): HloInstruction {
  const read = {
    id: 0,
    name: "",
    opcode: "",
    shape: { type: 0, dimensions: [], parts: [] } as HloShape,
    operands: [] as number[],
    calls: [] as number[],
    parameter: 0,
    tupleIndex: 0,
    target: "",
    config: "",
    contracting: null as number[] | null,
    number: null as number | null,
    direction: "",
  };
  for (const field of fields(bytes)) {
    switch (field.tag) {
      case 1:
        read.name = field.bytes.toString();
        break;
      case 2:
        read.opcode = field.bytes.toString();
        break;
      case 3:
        read.shape = readShape(field.bytes);
        break;
      case 8:
        read.number = readNumber(field.bytes);
        break;
      case 9:
        read.parameter = field.number;
        break;
      case 13:
        read.tupleIndex = field.number;
        break;
      case 28:
        read.target = field.bytes.toString();
        break;
      case 30:
        read.contracting = [...fields(field.bytes)].flatMap((one) => (one.tag === 1 ? integers(one) : []));
        break;
      case 35:
        read.id = field.number;
        break;
      case 36:
        read.operands.push(...integers(field));
        break;
      case 38:
        read.calls.push(...integers(field));
        break;
      case 43:
        read.config = field.bytes.toString();
        break;
      case 63:
        read.direction = field.bytes.toString();
        break;
    }
  }
  return read;
}

function readComputation(bytes: Buffer): HloComputation {
  let id = 0;
  let root = 0;
  const instructions = new Map<number, HloInstruction>();
  for (const field of fields(bytes)) {
    if (field.tag === 2) {
      const instruction = readInstruction(field.bytes);
      instructions.set(instruction.id, instruction);
    } else if (field.tag === 5) id = field.number;
    else if (field.tag === 6) root = field.number;
  }
  return { id, instructions, root };
}

/** @param proto a serialised HloModuleProtoWithConfig: the module is its first field */
export function readHloModule(proto: Uint8Array): HloModule {
  const computations = new Map<number, HloComputation>();
  let entry = 0;
  const whole = Buffer.from(proto.buffer, proto.byteOffset, proto.byteLength);
  for (const { tag, bytes } of fields(whole)) {
    if (tag !== 1) continue;
    for (const field of fields(bytes)) {
      if (field.tag === 3) {
        const computation = readComputation(field.bytes);
        computations.set(computation.id, computation);
      } else if (field.tag === 6) entry = field.number;
    }
  }
  return { entry, computations };
}

/** Bytes of an element by PrimitiveType (xla_data.proto). */
const BYTES: Readonly<Record<number, number>> = {
  1: 1, // pred
  2: 1, // s8
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 2,
  8: 4,
  9: 8,
  10: 2, // f16
  11: 4, // f32
  12: 8,
  15: 8, // c64
  16: 2, // bf16
};

export function elementsOf({ dimensions }: HloShape): number {
  return dimensions.reduce((product, size) => product * size, 1);
}

/** Bytes of an array, or of all parts of a tuple. */
export function bytesOfShape(shape: HloShape): number {
  if (shape.parts.length > 0) return shape.parts.reduce((sum, part) => sum + bytesOfShape(part), 0);
  return (BYTES[shape.type] ?? 0) * elementsOf(shape);
}
