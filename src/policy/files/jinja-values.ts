/** Values of @huggingface/jinja as Python compares and prints them. */
import { Environment } from "@huggingface/jinja";

// the package's types do not resolve; these are the parts that are used
export interface Value {
  type: string;
  value: unknown;
  __bool__(): { value: boolean };
  toString(): string;
}
export interface Scope {
  tests: ReadonlyMap<string, (...values: Value[]) => boolean>;
  set(name: string, value: unknown): Value;
}
export const newScope = (parent?: Scope): Scope => new Environment(parent as never) as unknown as Scope;

/** A JavaScript value as the package holds it. */
export function toValue(value: unknown): Value {
  return newScope().set("value", value);
}

export const isNumber = ({ type }: Value): boolean =>
  type === "IntegerValue" || type === "FloatValue" || type === "BooleanValue";
export const isList = ({ type }: Value): boolean => type === "ArrayValue" || type === "TupleValue";
export const items = (value: Value): Value[] => value.value as Value[];
const entries = (value: Value): Map<string, Value> => value.value as Map<string, Value>;

/** Python's ==. */
export function equalValues(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  if (a.type !== b.type) return false;
  if (isList(a)) {
    return (
      items(a).length === items(b).length && items(a).every((item, i) => equalValues(item, items(b)[i]!))
    );
  }
  if (a.type === "ObjectValue") {
    const [own, other] = [entries(a), entries(b)];
    return (
      own.size === other.size &&
      [...own].every(([key, item]) => other.has(key) && equalValues(item, other.get(key)!))
    );
  }
  return a.value === b.value;
}

/** Python's str() of what a template prints. */
export function text(value: Value): string {
  if (value.type === "StringValue") return value.value as string;
  return value.type === "UndefinedValue" ? "" : representation(value);
}

/** What Python's repr writes as an escape; a blank is printable. */
const UNPRINTABLE = /(?! )[\p{C}\p{Z}]/gu;

function escaped(character: string): string {
  const code = character.codePointAt(0)!.toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

function representation(value: Value): string {
  switch (value.type) {
    case "StringValue": {
      const content = value.value as string;
      const quote = content.includes("'") && !content.includes('"') ? '"' : "'";
      const shown = content
        .replaceAll("\\", "\\\\")
        .replaceAll(quote, `\\${quote}`)
        .replaceAll("\n", "\\n")
        .replaceAll("\r", "\\r")
        .replaceAll("\t", "\\t")
        .replace(UNPRINTABLE, escaped);
      return quote + shown + quote;
    }
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "ArrayValue":
      return `[${items(value).map(representation).join(", ")}]`;
    case "TupleValue":
      return items(value).length === 1
        ? `(${representation(items(value)[0]!)},)`
        : `(${items(value).map(representation).join(", ")})`;
    case "ObjectValue": {
      const pairs = [...entries(value)].map(
        ([key, item]) => `${representation(toValue(key))}: ${representation(item)}`,
      );
      return `{${pairs.join(", ")}}`;
    }
    case "IntegerValue":
    case "FloatValue":
      return value.toString();
    default:
      throw new Error(`a ${value.type} cannot be printed`);
  }
}

export const isText = (value: Value): boolean => value.type === "StringValue";

/** Python's `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (isList(container)) return items(container).some((other) => equalValues(item, other));
  if (container.type === "UndefinedValue") return false;
  if (container.type === "ObjectValue" && (isList(item) || item.type === "ObjectValue")) {
    throw new Error("a list or mapping cannot be a key");
  }
  if (container.type === "ObjectValue") return isText(item) && entries(container).has(item.value as string);
  if (isText(container) && isText(item)) {
    return (container.value as string).includes(item.value as string);
  }
  throw new Error(`"in" between ${item.type} and ${container.type}`);
}
