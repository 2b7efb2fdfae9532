/** The recipe's schema as JSON Schema: what messages and docs/config.md read ranges, defaults and texts from. */
import { z } from "zod";
import type { KeyPath } from "./faults.ts";

/** The part of JSON Schema that zod writes for option schemas. */
export interface JsonSchema {
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: readonly string[];
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  prefixItems?: readonly JsonSchema[];
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  minItems?: number;
  maxItems?: number;
}

export function toJsonSchema(schema: z.ZodType): JsonSchema {
  const read = (io: "input" | "output") =>
    splitTypes(z.toJSONSchema(schema, { io, unrepresentable: "any" })) as JsonSchema;
  return withDefaults(read("input"), read("output"));
}

/** The default of a key that is transformed stands only in the schema of what comes out. */
function withDefaults(input: JsonSchema, output: JsonSchema | undefined): JsonSchema {
  if (output === undefined) return input;
  const each = (ours: readonly JsonSchema[], theirs: readonly JsonSchema[] | undefined) =>
    ours.map((schema, index) => withDefaults(schema, theirs?.[index]));
  const { properties, oneOf } = input;
  const optional = Object.entries(properties ?? {}).map(([key, child]): [string, JsonSchema] => {
    const there = output.properties?.[key];
    const preset =
      child.default === undefined && there?.default !== undefined ? { default: there.default } : {};
    return [key, { ...withDefaults(child, there), ...preset }];
  });
  return {
    ...input,
    ...(properties ? { properties: Object.fromEntries(optional) } : {}),
    ...(oneOf ? { oneOf: each(oneOf, output.oneOf) } : {}),
    ...(input.items ? { items: withDefaults(input.items, output.items) } : {}),
  };
}

/** `type: [string, null]` as a union, so that there is one way to say it. */
function splitTypes(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(splitTypes);
  if (schema === null || typeof schema !== "object") return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, splitTypes(value)]));
  const { type, ...rest } = copy;
  if (!Array.isArray(type)) return copy;
  const { description, default: preset, ...constraints } = rest;
  const anyOf = type.map((each: unknown) =>
    each === "null" ? { type: each } : { type: each, ...constraints },
  );
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    anyOf,
  };
}

export function variants(schema: JsonSchema): readonly JsonSchema[] {
  return schema.oneOf ?? schema.anyOf ?? [];
}

/** The `kind` that a variant of a union is for. */
export function kindOf(schema: JsonSchema): string | null {
  const kind = schema.properties?.["kind"]?.const;
  return typeof kind === "string" ? kind : null;
}

/** Of a union, the variant for this value: the one of its kind, else the only one with its shape. */
export function chosenVariant(schema: JsonSchema, value: unknown): JsonSchema {
  const all = variants(schema);
  if (all.length === 0) return schema;
  const kind = (value as { kind?: unknown } | null | undefined)?.kind;
  const byKind = all.find((variant) => kindOf(variant) !== null && kindOf(variant) === kind);
  if (byKind) return byKind;
  const shape = Array.isArray(value)
    ? "array"
    : value !== null && typeof value === "object"
      ? "object"
      : null;
  const fitting = all.filter((variant) => variant.type === shape);
  return fitting.length === 1 ? fitting[0]! : schema;
}

/** Schema of a path inside `value`, or null where there is none. The union of the last step is left whole. */
export function schemaAt(root: JsonSchema, value: unknown, path: KeyPath): JsonSchema | null {
  let schema: JsonSchema | null = root;
  let current = value;
  for (const key of path) {
    const chosen: JsonSchema = chosenVariant(schema, current);
    current = (current as Record<string | number, unknown> | null | undefined)?.[key];
    const next: JsonSchema | boolean | undefined =
      typeof key === "number"
        ? (chosen.prefixItems?.[key] ?? chosen.items)
        : Object.hasOwn(chosen.properties ?? {}, key)
          ? chosen.properties?.[key]
          : chosen.additionalProperties;
    if (next === undefined || typeof next === "boolean") return null;
    schema = next;
  }
  return schema;
}

/** Does a value have to be text, or null where that is allowed? */
export function isTextOnly(schema: JsonSchema): boolean {
  const all = variants(schema);
  if (all.length > 0) return all.every((each) => each.type === "null" || isTextOnly(each));
  return schema.type === "string";
}

export function acceptsNull(schema: JsonSchema): boolean {
  return schema.type === "null" || variants(schema).some(acceptsNull);
}

/** Texts that a schema lists, those inside a union with other types included; null when it takes any text. */
export function listedTexts(schema: JsonSchema): readonly string[] | null {
  if (typeof schema.const === "string") return [schema.const];
  if (schema.enum) return schema.enum.map(String);
  const all = variants(schema).filter((variant) => variant.type !== "array" && variant.type !== "object");
  const lists = all.map(listedTexts).filter((list) => list !== null);
  const anyText = all.some((variant) => variant.type === "string" && listedTexts(variant) === null);
  return lists.length === 0 || anyText ? null : lists.flat();
}

const SAFE = Number.MAX_SAFE_INTEGER;

/** "a whole number >= 1", "a number > 0 and <= 10", "fixed or adaptive": what belongs there. */
export function expectedWords(schema: JsonSchema): string {
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return orList(schema.enum.map(String));
  const all = variants(schema);
  if (all.length > 0) {
    const kinds = all.map(kindOf).filter((kind) => kind !== null);
    if (kinds.length === all.length) return `a map with kind: ${orList(kinds)}`;
    const single = all.map((variant) => (variant.type === "array" ? "" : expectedWords(variant)));
    const words = all.map((variant, index) => {
      const entries = variant.type === "array" && variant.items ? expectedWords(variant.items) : null;
      return entries !== null && single.includes(entries)
        ? "a list of these"
        : single[index] || expectedWords(variant);
    });
    return orList([...new Set(words)]);
  }
  switch (schema.type) {
    case "integer":
    case "number": {
      const bounds: string[] = [];
      if (schema.minimum !== undefined && schema.minimum > -SAFE) bounds.push(`>= ${schema.minimum}`);
      if (schema.exclusiveMinimum !== undefined) bounds.push(`> ${schema.exclusiveMinimum}`);
      if (schema.maximum !== undefined && schema.maximum < SAFE) bounds.push(`<= ${schema.maximum}`);
      if (schema.exclusiveMaximum !== undefined) bounds.push(`< ${schema.exclusiveMaximum}`);
      const noun = schema.type === "integer" ? "a whole number" : "a number";
      return bounds.length === 0 ? noun : `${noun} ${bounds.join(" and ")}`;
    }
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "array":
      if (schema.prefixItems)
        return `a list of ${schema.prefixItems.length} (each: ${expectedWords(schema.prefixItems[0] ?? {})})`;
      return schema.items ? `a list (each entry: ${expectedWords(schema.items)})` : "a list";
    case "object":
      return "a map of keys and values";
    default:
      return "a value";
  }
}

export function orList(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** Every key of the schema as a dotted path, those of all kinds of a union included; lists as `rewards.N`. */
export function allKeyPaths(schema: JsonSchema, prefix: readonly string[] = []): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, child]) => [
    [...prefix, key].join("."),
    ...allKeyPaths(child, [...prefix, key]),
  ]);
  const fromVariants = variants(schema).flatMap((variant) => allKeyPaths(variant, prefix));
  const fromItems = schema.items ? allKeyPaths(schema.items, [...prefix, "N"]) : [];
  return [...new Set([...own, ...fromVariants, ...fromItems])];
}

/** Every key path that leads to a value, dotted; those of any variant of a union, list items left out. */
export function keyPaths(schema: JsonSchema, prefix = ""): string[] {
  const inner = [schema, ...variants(schema)].flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([key, child]) =>
      keyPaths(child, prefix === "" ? key : `${prefix}.${key}`),
    ),
  );
  if (inner.length > 0) return [...new Set(inner)];
  return prefix === "" ? [] : [prefix];
}
