/** From values that are wanted to the text of one StableHLO module. */
import type { Spec } from "./executor.ts";
import type { LoopNode, Node, Value } from "./graph.ts";
import { literal } from "./hlo.ts";

export interface ModuleText {
  text: string;
  /** What the module is called with, in order; buffers, or numbers of the host. */
  arguments: Value[];
  outputs: readonly Spec[];
  operations: number;
}

const isValue = (node: Node): node is Value => "definition" in node;

/**
 * @param isArgument of a host's number of one element: is it an argument, or written into the text?
 * @throws Error when a value's buffer was freed, or a loop's argument is used outside of its loop
 */
export function emitModule(outputs: readonly Value[], isArgument: (scalar: Value) => boolean): ModuleText {
  const names = new Map<Value, string>();
  const loopNames = new Map<LoopNode, string>();
  const inputs: Value[] = [];
  const lines: string[] = [];
  let counter = 0;
  let operations = 0;

  const captured = new Map<LoopNode, readonly Value[]>();

  /** Emits what `roots` need and `region` allows, operands first. */
  function emit(roots: readonly Node[], into: string[], region: LoopNode | null): void {
    const stack: Node[] = [...roots].reverse();
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (done(node)) {
        stack.pop();
        continue;
      }
      const waiting = operandsOf(node).filter((operand) => !done(operand));
      if (waiting.length > 0) {
        for (let i = waiting.length - 1; i >= 0; i--) stack.push(waiting[i]!);
        continue;
      }
      stack.pop();
      if (isValue(node)) define(node, into, region);
      else loop(node, into);
    }
  }

  const done = (node: Node) => (isValue(node) ? names.has(node) : loopNames.has(node));

  function operandsOf(node: Node): readonly Node[] {
    if (!isValue(node)) {
      // what regions take from outside is computed before the loop
      return [...node.initial, ...capturesOf(node, captured)];
    }
    const { definition } = node;
    if (definition.kind === "operation") return definition.operands;
    if (definition.kind === "result") return [definition.of];
    return [];
  }

  function define(value: Value, into: string[], region: LoopNode | null): void {
    const { definition } = value;
    switch (definition.kind) {
      case "operation": {
        const name = `%${counter++}`;
        into.push(`${name} = ${definition.emit(definition.operands.map((operand) => names.get(operand)!))}`);
        names.set(value, name);
        operations++;
        return;
      }
      case "result":
        names.set(value, `${loopNames.get(definition.of)!}#${definition.index}`);
        return;
      case "host":
        if (value.size === 1 && !definition.changes && !isArgument(value)) {
          const name = `%${counter++}`;
          // outside of every region, where all can see it
          lines.push(
            `${name} = stablehlo.constant dense<${literal(value.type, Number(definition.data[0]!))}> : ${value.text}`,
          );
          names.set(value, name);
          return;
        }
        names.set(value, `%arg${inputs.length}`);
        inputs.push(value);
        return;
      case "buffer":
        names.set(value, `%arg${inputs.length}`);
        inputs.push(value);
        return;
      case "argument":
        throw new Error(`an argument of a loop is used outside of it${region === null ? "" : "s region"}`);
      case "freed":
        throw new Error(`a tensor ${value.text} was freed before it was computed with`);
    }
  }

  function loop(node: LoopNode, into: string[]): void {
    const name = `%${counter++}`;
    const types = node.initial.map(({ text }) => text).join(", ");
    const initial = node.initial.map((value) => names.get(value)!);
    for (const [i, parameter] of node.parameters.entries())
      names.set(parameter, `%state${name.slice(1)}_${i}`);
    const header = node.parameters
      .map((parameter, i) => `${names.get(parameter)!} = ${initial[i]}`)
      .join(", ");
    const condition: string[] = [];
    const outer = new Map(names);
    const outerLoops = new Map(loopNames);
    emit([node.condition], condition, node);
    const test = names.get(node.condition)!;
    // what the condition computed is not visible in the body
    const body: string[] = [];
    restore(names, outer);
    restore(loopNames, outerLoops);
    emit(node.next, body, node);
    const next = node.next.map((value) => names.get(value)!);
    restore(names, outer);
    restore(loopNames, outerLoops);
    into.push(
      `${name}:${node.initial.length} = stablehlo.while(${header}) : ${types}`,
      " cond {",
      ...condition,
      `stablehlo.return ${test} : tensor<i1>`,
      " } do {",
      ...body,
      `stablehlo.return ${next.join(", ")} : ${types}`,
      " }",
    );
    loopNames.set(node, name);
  }

  emit(outputs, lines, null);
  const signature = inputs.map((value, i) => `%arg${i}: ${value.text}`).join(", ");
  const results = outputs.map(({ text }) => text).join(", ");
  const returned = outputs.map((value) => names.get(value)!).join(", ");
  const text = `module @rlpt {\nfunc.func public @main(${signature}) -> (${results}) {\n${lines.join("\n")}\nreturn ${returned} : ${results}\n}\n}\n`;
  return {
    text,
    arguments: inputs,
    outputs: outputs.map(({ type, shape }) => ({ type, shape })),
    operations,
  };
}

function restore<K>(names: Map<K, string>, to: ReadonlyMap<K, string>): void {
  names.clear();
  for (const [node, name] of to) names.set(node, name);
}

/**
 * Values that a loop's regions use and that do not depend on its arguments: they are computed before it.
 * @param known of loops that have been asked for
 */
function capturesOf(loop: LoopNode, known: Map<LoopNode, readonly Value[]>): readonly Value[] {
  const before = known.get(loop);
  if (before !== undefined) return before;
  const operandsOf = ({ definition }: Value): readonly Value[] => {
    if (definition.kind === "operation") return definition.operands;
    // a loop within
    if (definition.kind === "result") return [...definition.of.initial, ...capturesOf(definition.of, known)];
    return [];
  };
  /** Does it depend on the loop's arguments? Iterative, operands first. */
  const depends = new Map<Value, boolean>(loop.parameters.map((parameter) => [parameter, true]));
  const roots = [loop.condition, ...loop.next];
  const used = new Set<Value>();
  const stack: Value[] = [...roots];
  while (stack.length > 0) {
    const value = stack[stack.length - 1]!;
    if (depends.has(value)) {
      stack.pop();
      continue;
    }
    const operands = operandsOf(value);
    const waiting = operands.filter((operand) => !depends.has(operand));
    if (waiting.length > 0) {
      stack.push(...waiting);
      continue;
    }
    stack.pop();
    const own = operands.some((operand) => depends.get(operand)!);
    depends.set(value, own);
    if (own) for (const operand of operands) if (!depends.get(operand)!) used.add(operand);
  }
  for (const root of roots) if (!depends.get(root)!) used.add(root);
  const result = [...used];
  known.set(loop, result);
  return result;
}
