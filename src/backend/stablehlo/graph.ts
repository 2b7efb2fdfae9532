/**
 * A graph of StableHLO operations that have been asked for and not been computed yet. Values are nodes; a value
 * becomes a buffer when a program that contains it has run.
 */
import {
  type DeviceBuffer,
  type ElementType,
  type HostArray,
  type Sharding,
  type Spec,
  sizeOf,
  typeText,
} from "./executor.ts";

/** Writes the right-hand side of one StableHLO line from the names of its operands. */
export type Emit = (names: readonly string[]) => string;

/** What stands behind a value: an operation (`code` is equal for the same line with the same types, whatever its operands), numbers of the host, a buffer of the device, or a loop's argument. */
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
  /** How its numbers lie where there are several devices (data-parallel.ts). */
  sharding: Sharding = "replicated";
  private typeAsText: string | undefined;
  /** Larger shapes that this number has been repeated over, by their text. */
  private repeated: Map<string, Value> | undefined;

  /** @param text its type in StableHLO, where it is known */
  constructor(type: ElementType, shape: readonly number[], definition: Definition, text?: string) {
    super();
    this.type = type;
    this.shape = shape;
    this.definition = definition;
    this.typeAsText = text;
    this.repeated = undefined;
  }

  /** Its type in StableHLO. */
  get text(): string {
    this.typeAsText ??= typeText(this);
    return this.typeAsText;
  }

  /** The same value repeated over a shape: made once. */
  repeatedOver(text: string, make: () => Value): Value {
    this.repeated ??= new Map();
    let value = this.repeated.get(text);
    if (value === undefined) {
      value = make();
      this.repeated.set(text, value);
    }
    return value;
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
      if (value.text !== before.text) {
        throw new TypeError(`loop state ${i} is ${before.text} before and ${value.text} after an iteration`);
      }
    }
    this.results = initial.map(
      ({ type, shape }, index) => new Value(type, shape, { kind: "result", of: this, index }),
    );
  }
}

let codes = 0;
const byWords = new Map<string, Map<string, Map<string, number>>>();

/** A small number for a line of StableHLO that three words tell: its name, and types or attributes. */
export function codeOf(name: string, first: string, second = ""): number {
  const known = byWords.get(name)?.get(first)?.get(second);
  if (known !== undefined) return known;
  const some = byWords.get(name) ?? new Map<string, Map<string, number>>();
  const few = some.get(first) ?? new Map<string, number>();
  byWords.set(name, some.set(first, few.set(second, codes)));
  return codes++;
}

/**
 * @param text the result's type in StableHLO
 * @param code of codeOf; -1: the line itself tells
 * @param emit the line from its operands' names
 */
export function operation(
  type: ElementType,
  shape: readonly number[],
  text: string,
  operands: readonly Value[],
  code: number,
  emit: Emit,
): Value {
  const told = code < 0 ? codeOf("line", emit(operands.map((_, i) => `$${i}`))) : code;
  return new Value(type, shape, { kind: "operation", operands, emit, code: told }, text);
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
