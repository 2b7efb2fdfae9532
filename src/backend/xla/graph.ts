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
  | { kind: "operation"; operands: readonly Value[]; emit: Emit }
  | { kind: "result"; of: LoopNode; index: number }
  | { kind: "host"; data: HostArray; changes?: boolean }
  | { kind: "buffer"; buffer: DeviceBuffer }
  | { kind: "argument" }
  | { kind: "freed" };

let created = 0;

/** One tensor of the graph. */
export class Value implements Spec {
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Order of creation: the order in which programs name and compute values. */
  readonly serial = created++;
  definition: Definition;
  /** Tensors of tfjs that hold this value; at 0 its buffer may be reused. */
  holders = 0;

  constructor(type: ElementType, shape: readonly number[], definition: Definition) {
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
export class LoopNode {
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

export function operation(
  type: ElementType,
  shape: readonly number[],
  operands: readonly Value[],
  emit: Emit,
): Value {
  return new Value(type, shape, { kind: "operation", operands, emit });
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
