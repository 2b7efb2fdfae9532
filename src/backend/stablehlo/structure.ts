/** What tells graphs apart, without writing their text: a step's program is looked up by it. */
import { type LoopNode, type Node, Value } from "./graph.ts";

/** Words of the list of numbers that stands for a graph. */
const word = { operation: 1, result: 2, scalar: 3, input: 4, loop: 5, outputs: 6, lost: 7 } as const;

export interface GraphStructure {
  /** Equal for graphs that differ in the numbers of the host alone. */
  readonly words: Int32Array;
  /** Numbers of the host of one element, in order of appearance. */
  readonly scalars: readonly Value[];
  /** Other values that a program would take: buffers, and numbers of the host. */
  readonly inputs: readonly Value[];
}

const typeCodes = new Map<string, number>();

/** A small number for a tensor's type and how it lies on the devices. */
function typeCode(value: Value): number {
  const text = value.sharding === "rows" ? `rows ${value.text}` : value.text;
  let code = typeCodes.get(text);
  if (code === undefined) {
    code = typeCodes.size;
    typeCodes.set(text, code);
  }
  return code;
}

/** Whose numbers stand in Node.place; one per walk. */
let walks = 0;

/** Walks a graph, operands before what they are used in. */
export function structureOf(outputs: readonly Value[]): GraphStructure {
  const walk = ++walks;
  const words: number[] = [];
  const scalars: Value[] = [];
  const inputs: Value[] = [];
  let places = 0;
  const done = (node: Node) => node.walk === walk;
  const place = (node: Node) => {
    node.walk = walk;
    node.place = places++;
  };

  const stack: Node[] = [];
  const waitsFor = (nodes: readonly Node[]): boolean => {
    let waits = false;
    for (let i = nodes.length - 1; i >= 0; i--) {
      const node = nodes[i]!;
      if (node.walk === walk) continue;
      stack.push(node);
      waits = true;
    }
    return waits;
  };

  function value(node: Value): void {
    const { definition } = node;
    switch (definition.kind) {
      case "operation":
        if (waitsFor(definition.operands)) return;
        words.push(word.operation, definition.code);
        for (const operand of definition.operands) words.push(operand.place);
        break;
      case "result":
        if (!done(definition.of)) {
          stack.push(definition.of);
          return;
        }
        words.push(word.result, definition.of.place, definition.index);
        break;
      case "host":
        if (node.size === 1 && !definition.changes) {
          words.push(word.scalar, typeCode(node));
          scalars.push(node);
          break;
        }
        words.push(word.input, typeCode(node));
        inputs.push(node);
        break;
      case "buffer":
        words.push(word.input, typeCode(node));
        inputs.push(node);
        break;
      default:
        // emitting says what is wrong with it
        words.push(word.lost, walk);
    }
    place(node);
    stack.pop();
  }

  function loop(node: LoopNode): void {
    if (waitsFor(node.initial)) return;
    if (node.parameters.some((parameter) => !done(parameter))) node.parameters.forEach(place);
    if (waitsFor(node.next) || waitsFor([node.condition])) return;
    words.push(word.loop, node.initial.length, node.parameters[0]?.place ?? -1, node.condition.place);
    for (const { place: at } of node.initial) words.push(at);
    for (const { place: at } of node.next) words.push(at);
    place(node);
    stack.pop();
  }

  for (const output of outputs) {
    stack.push(output);
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      if (done(node)) stack.pop();
      else if (node instanceof Value) value(node);
      else loop(node);
    }
  }
  words.push(word.outputs);
  for (const output of outputs) words.push(output.place);
  return { words: Int32Array.from(words), scalars, inputs };
}

/** Things by graph structure. */
export class StructureMap<T> {
  private readonly buckets = new Map<number, { words: Int32Array; thing: T }[]>();

  get({ words }: GraphStructure): T | undefined {
    return this.buckets.get(hash(words))?.find((entry) => same(entry.words, words))?.thing;
  }

  set({ words }: GraphStructure, thing: T): void {
    const key = hash(words);
    const bucket = this.buckets.get(key);
    if (bucket === undefined) this.buckets.set(key, [{ words, thing }]);
    else bucket.push({ words, thing });
  }

  *values(): Iterable<T> {
    for (const bucket of this.buckets.values()) for (const { thing } of bucket) yield thing;
  }

  clear(): void {
    this.buckets.clear();
  }
}

/** FNV-1a over whole words. */
function hash(words: Int32Array): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) value = Math.imul(value ^ words[i]!, 0x01000193);
  return value;
}

function same(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
