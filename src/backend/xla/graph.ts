/**
 * A graph of StableHLO operations that have been asked for and not been computed yet. Values are nodes; a value
 * becomes a buffer when a program that contains it has run.
 */
import {
  type DeviceBuffer,
  type ElementType,
  type HostArray,
  type Spec,
  sizeOf,
  typeText,
} from "./executor.ts";

/** Writes the right-hand side of one StableHLO line from the names of its operands. */
export type Emit = (names: readonly string[]) => string;

/** What stands behind a value: an operation, numbers of the host, a buffer of the device, or a loop's argument. */
export type Definition =
  | { kind: "operation"; operands: readonly Value[]; emit: Emit; code: number }
  | { kind: "result"; of: LoopNode; index: number }
  | { kind: "host"; data: HostArray; changes?: boolean }
  | { kind: "buffer"; buffer: DeviceBuffer }
  | { kind: "argument" }
  | { kind: "freed" };

/** What a walk over the graph (structure.ts) notes at a node: which walk it was, and the node's place in it. */
abstract class Visited {
  walk = 0;
  place = -1;
}

export type Node = Value | LoopNode;

let created = 0;

/** One tensor of the graph. */
export class Value extends Visited implements Spec {
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Order of creation: the order in which programs name and compute values. */
  readonly serial = created++;
  definition: Definition;
  /** Tensors of tfjs that hold this value; at 0 its buffer may be reused. */
  holders = 0;

  constructor(type: ElementType, shape: readonly number[], definition: Definition) {
    super();
    this.type = type;
    this.shape = shape;
    this.definition = definition;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get pending(): boolean {
    return this.definition.kind === "operation" || this.definition.kind === "result";
  }
}

let depth = 0;

/** Is a loop's condition or body being written, where tensors have no numbers? */
export function insideLoop(): boolean {
  return depth > 0;
}

/** `stablehlo.while`: state in, state out. Regions may use values of the outer graph. */
export class LoopNode extends Visited {
  readonly initial: readonly Value[];
  /** Stand for the state inside both regions. */
  readonly parameters: readonly Value[];
  /** i1 scalar. */
  readonly condition: Value;
  readonly next: readonly Value[];
  readonly results: readonly Value[];

  constructor(
    initial: readonly Value[],
    condition: (state: readonly Value[]) => Value,
    body: (state: readonly Value[]) => readonly Value[],
  ) {
    super();
    this.initial = initial;
    this.parameters = initial.map(({ type, shape }) => new Value(type, shape, { kind: "argument" }));
    depth++;
    try {
      this.condition = condition(this.parameters);
      this.next = body(this.parameters);
    } finally {
      depth--;
    }
    for (const [i, value] of this.next.entries()) {
      const before = initial[i]!;
      if (typeText(value) !== typeText(before)) {
        throw new TypeError(
          `loop state ${i} is ${typeText(before)} before and ${typeText(value)} after an iteration`,
        );
      }
    }
    this.results = initial.map(
      ({ type, shape }, index) => new Value(type, shape, { kind: "result", of: this, index }),
    );
  }
}

const places = Array.from({ length: 8 }, (_, i) => `$${i}`);
const codes = new Map<string, number>();

/** A small number for an operation: the same for the same line with the same types, whatever its operands. */
function codeOf(emit: Emit, operands: readonly Value[]): number {
  const names = operands.length <= places.length ? places : operands.map((_, i) => `$${i}`);
  const line = emit(names.length === operands.length ? names : names.slice(0, operands.length));
  let code = codes.get(line);
  if (code === undefined) {
    code = codes.size;
    codes.set(line, code);
  }
  return code;
}

export function operation(
  type: ElementType,
  shape: readonly number[],
  operands: readonly Value[],
  emit: Emit,
): Value {
  return new Value(type, shape, { kind: "operation", operands, emit, code: codeOf(emit, operands) });
}

/** @param changes the numbers differ from run to run: never written into a program's text */
export function hostValue(
  type: ElementType,
  shape: readonly number[],
  data: HostArray,
  changes = false,
): Value {
  return new Value(type, shape, { kind: "host", data, changes });
}
