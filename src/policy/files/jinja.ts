/**
 * Jinja as Python runs it, on @huggingface/jinja: its parser is used as it is, and its interpreter where it does what
 * jinja2 does. What differs is here: equality, printing, white space, strings by code point, scopes of loops, and the
 * limits of jinja2's sandbox.
 */
import { Interpreter, Template } from "@huggingface/jinja";
import {
  contains,
  equalValues,
  isList,
  isNumber,
  isText,
  items,
  newScope,
  type Scope,
  text,
  toValue,
  type Value,
} from "./jinja-values.ts";
import { isObject } from "./json.ts";
import { capitalized, pythonSplit, pythonStrip, titled } from "./python-text.ts";

// the package's types do not resolve; these are the parts that are used
interface Node {
  type: string;
  [key: string]: unknown;
}
const PackageInterpreter = Interpreter as unknown as new (
  scope: Scope,
) => { evaluate(node: Node | undefined, scope: Scope): Value; run(program: Node): Value };

/** Length of the longest range; jinja2's sandbox has the same. */
const LONGEST_RANGE = 100_000;
/** Nodes that one rendering may evaluate: a second or two of work, thousands of messages. */
const MOST_WORK = 2_000_000;
/** What an iteration of a loop weighs beside a node: the package makes scopes for it. */
const ITERATION_WORK = 20;
/** Characters that one rendering may hold in one string. */
const LONGEST_TEXT = 50_000_000;

/** Methods of strings for which the package has another idea than Python. */
const STRING_METHODS: Readonly<Record<string, (content: string, ...args: never[]) => unknown>> = {
  strip: (content, characters?: string) => pythonStrip(content, characters ?? null, "both"),
  lstrip: (content, characters?: string) => pythonStrip(content, characters ?? null, "left"),
  rstrip: (content, characters?: string) => pythonStrip(content, characters ?? null, "right"),
  capitalize: capitalized,
  title: (content) => titled(content, /\p{L}+/gu),
};

/** The same as filters. */
const STRING_FILTERS: Readonly<Record<string, (content: string) => unknown>> = {
  trim: (content) => pythonStrip(content, null, "both"),
  length: (content) => [...content].length,
  count: (content) => [...content].length,
  capitalize: capitalized,
  title: (content) => titled(content, /[^-\s({[<]+/gu),
};

const TESTS: ReadonlyMap<string, (...values: Value[]) => boolean> = new Map([
  ...newScope().tests,
  ...["eq", "equalto", "=="].map((name) => [name, (a: Value, b: Value) => equalValues(a, b)] as const),
  ...["ne", "!="].map((name) => [name, (a: Value, b: Value) => !equalValues(a, b)] as const),
  ["in", (a: Value, b: Value) => contains(b, a)],
  ["number", isNumber],
  ["iterable", (a: Value) => isList(a) || ["StringValue", "ObjectValue", "UndefinedValue"].includes(a.type)],
  ["sequence", (a: Value) => isList(a) || ["StringValue", "ObjectValue", "UndefinedValue"].includes(a.type)],
]) as never;

/** break and continue, with what the iteration had printed before. */
class LoopControl extends Error {
  readonly ends: boolean;
  printed = "";

  constructor(ends: boolean) {
    super(ends ? "break outside of a loop" : "continue outside of a loop");
    this.ends = ends;
  }
}

/** Nodes of ours: an expression whose value is printed, one iteration of a loop, and a value that is known. */
type OwnNode =
  | { type: "Print"; expression: Node }
  | { type: "Iteration"; body: Node[] }
  | { type: "Known"; value: Value };

const own = (node: OwnNode): Node => node as unknown as Node;

const STATEMENTS = new Set(
  "Program Set If For Macro CallStatement FilterStatement Break Continue Comment".split(" "),
);

/** Makes the expressions of every block print what Python would, and gives each iteration of a loop its own scope. */
function adapt(node: unknown): void {
  if (Array.isArray(node) || node instanceof Map) {
    for (const child of node) adapt(child);
    return;
  }
  if (!isObject(node)) return;
  for (const child of Object.values(node)) adapt(child);
  const { type } = node;
  for (const key of ["body", "alternate", "defaultBlock"]) {
    const block = node[key];
    if (!Array.isArray(block)) continue;
    node[key] = block.map((child: Node) =>
      STATEMENTS.has(child.type) || child.type === "Iteration"
        ? child
        : own({ type: "Print", expression: child }),
    );
  }
  if (type === "For") node["body"] = [own({ type: "Iteration", body: node["body"] as Node[] })];
}

class PythonInterpreter extends PackageInterpreter {
  private work = 0;
  /** Scopes of loops that were left by break. */
  private readonly left = new WeakSet<Scope>();

  private count(work: number): void {
    this.work += work;
    if (this.work > MOST_WORK) {
      throw new Error(`it takes more than ${MOST_WORK.toLocaleString("en")} operations`);
    }
  }

  override evaluate(statement: Node | undefined, environment: Scope): Value {
    if (statement === undefined) return super.evaluate(statement, environment);
    this.count(1);
    const value = this.meaning(statement, environment);
    if (isText(value) && (value.value as string).length > LONGEST_TEXT) {
      throw new Error(`it makes a text of more than ${LONGEST_TEXT.toLocaleString("en")} characters`);
    }
    return value;
  }

  private meaning(node: Node, environment: Scope): Value {
    switch (node.type) {
      case "Print":
        return toValue(text(this.evaluate(node["expression"] as Node, environment)));
      case "Known":
        return node["value"] as Value;
      case "Iteration":
        return this.iteration(node["body"] as Node[], environment);
      case "Program":
        return toValue(this.block(node["body"] as Node[], environment));
      case "If": {
        const holds = this.evaluate(node["test"] as Node, environment).__bool__().value;
        return toValue(this.block(node[holds ? "body" : "alternate"] as Node[], environment));
      }
      case "Break":
      case "Continue":
        throw new LoopControl(node.type === "Break");
      case "BinaryExpression":
        return this.binary(node, environment) ?? super.evaluate(node, environment);
      case "MemberExpression":
        return this.member(node, environment);
      case "FilterExpression":
        return this.filter(node, environment);
      case "TestExpression":
        environment.tests = TESTS;
        return super.evaluate(node, environment);
      default:
        return super.evaluate(node, environment);
    }
  }

  /** What the statements print. */
  private block(body: readonly Node[], environment: Scope): string {
    let printed = "";
    for (const statement of body) {
      try {
        const value = this.evaluate(statement, environment);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") printed += value.toString();
      } catch (error) {
        if (error instanceof LoopControl) error.printed = printed + error.printed;
        throw error;
      }
    }
    return printed;
  }

  private iteration(body: readonly Node[], loop: Scope): Value {
    this.count(ITERATION_WORK);
    if (this.left.has(loop)) return toValue("");
    try {
      return toValue(this.block(body, newScope(loop)));
    } catch (error) {
      if (!(error instanceof LoopControl)) throw error;
      if (error.ends) this.left.add(loop);
      return toValue(error.printed);
    }
  }

  private binary(node: Node, environment: Scope): Value | null {
    const operator = (node["operator"] as { value: string }).value;
    if (operator === "and" || operator === "or") return null;
    const left = this.evaluate(node["left"] as Node, environment);
    const right = this.evaluate(node["right"] as Node, environment);
    switch (operator) {
      case "==":
        return toValue(equalValues(left, right));
      case "!=":
        return toValue(!equalValues(left, right));
      case "in":
        return toValue(contains(right, left));
      case "not in":
        return toValue(!contains(right, left));
      case "~":
        return toValue(text(left) + text(right));
      case "+":
        if (isText(left) !== isText(right)) throw new Error(`"+" between ${left.type} and ${right.type}`);
        break;
      case "%":
        if (left.type === "IntegerValue" && right.type === "IntegerValue" && right.value !== 0) {
          const [a, b] = [Number(left.value), Number(right.value)];
          return toValue(((a % b) + b) % b);
        }
        if (isNumber(left)) throw new Error('"%" is supported for whole numbers only');
    }
    const known = {
      ...node,
      left: own({ type: "Known", value: left }),
      right: own({ type: "Known", value: right }),
    };
    return super.evaluate(known as Node, environment);
  }

  private member(node: Node, environment: Scope): Value {
    const object = this.evaluate(node["object"] as Node, environment);
    const property = node["property"] as Node;
    if (object.type === "UndefinedValue") {
      throw new Error(
        `${String((node["object"] as Node)["value"] ?? "a value")} is undefined, and its ${String(property["value"] ?? "item")} is read`,
      );
    }
    if (isText(object)) {
      const content = object.value as string;
      const method = node["computed"] ? undefined : STRING_METHODS[String(property["value"])];
      if (method) return toValue((...args: never[]) => method(content, ...args));
      if (!node["computed"] && property["value"] === "split") {
        // without a separator Python cuts at its own white space
        const split = super.evaluate(this.withObject(node, object), environment) as Value & {
          value: (args: Value[], scope: Scope) => Value;
        };
        const call = (args: Value[], scope: Scope): Value =>
          args.length === 0 || args[0]!.type === "NullValue"
            ? toValue(pythonSplit(content, args[1] === undefined ? -1 : Number(args[1].value)))
            : split.value(args, scope);
        return Object.assign(
          toValue(() => null),
          { value: call },
        ) as Value;
      }
      if (node["computed"] && property.type !== "SliceExpression") {
        const index = this.evaluate(property, environment);
        if (index.type !== "IntegerValue") throw new Error(`a text has no item ${index.type}`);
        return toValue([...content].at(Number(index.value)));
      }
    }
    return super.evaluate(this.withObject(node, object), environment);
  }

  private withObject(node: Node, object: Value): Node {
    return { ...node, object: own({ type: "Known", value: object }) } as unknown as Node;
  }

  private filter(node: Node, environment: Scope): Value {
    environment.tests = TESTS;
    const operand = this.evaluate(node["operand"] as Node, environment);
    const filter = node["filter"] as Node;
    const name = filter.type === "Identifier" ? String(filter["value"]) : null;
    const ours = name !== null && isText(operand) ? STRING_FILTERS[name] : undefined;
    if (ours) return toValue(ours(operand.value as string));
    if (name === "join" && isList(operand)) return toValue(items(operand).map(text).join(""));
    if (filter.type === "CallExpression" && isList(operand)) {
      const [callee, args] = [filter["callee"] as Node, filter["args"] as Node[]];
      if (callee["value"] === "join" && args.length === 1 && args[0]!.type !== "KeywordArgumentExpression") {
        const separator = text(this.evaluate(args[0], environment));
        return toValue(items(operand).map(text).join(separator));
      }
    }
    if (name === "string") return toValue(text(operand));
    return super.evaluate(
      { ...node, operand: own({ type: "Known", value: operand }) } as unknown as Node,
      environment,
    );
  }
}

/** Python's range, as a list. */
function range(first: number, stop?: number, step = 1): number[] {
  if (step === 0) throw new Error("range() step is 0");
  const [start, end] = stop === undefined ? [0, first] : [first, stop];
  if (Math.ceil((end - start) / step) > LONGEST_RANGE) {
    throw new Error(`range() has more than ${LONGEST_RANGE.toLocaleString("en")} numbers`);
  }
  const values: number[] = [];
  for (let i = start; step > 0 ? i < end : i > end; i += step) values.push(i);
  return values;
}

export interface JinjaTemplate {
  /** @param globals functions and variables that the template may read; undefined ones are left out */
  render(globals: Readonly<Record<string, unknown>>): string;
}

/** Parses a template. @throws Error of the parser; render throws those of the interpreter */
export function compileJinja(source: string): JinjaTemplate {
  // Python's lexer takes \r\n and \r for \n before anything else
  const template = new Template(source.replace(/\r\n?/g, "\n"));
  const program = template.parsed as unknown as Node;
  adapt(program);
  return {
    render: (globals) => {
      const environment = newScope();
      for (const name of ["true", "True"]) environment.set(name, true);
      for (const name of ["false", "False"]) environment.set(name, false);
      for (const name of ["none", "None"]) environment.set(name, null);
      environment.set("range", range);
      for (const [name, value] of Object.entries(globals)) {
        if (value !== undefined) environment.set(name, value);
      }
      return new PythonInterpreter(environment).run(program).value as string;
    },
  };
}
