/** Zod's issues to faults that know where the value was written. */
import type { core } from "zod";
import type { Fault, FaultDetail, KeyPath } from "./faults.ts";
import {
  allKeyPaths,
  chosenVariant,
  expectedWords,
  type JsonSchema,
  kindOf,
  listedTexts,
  orList,
  schemaAt,
  variants,
} from "./schema-tree.ts";
import { type MapNode, nodeAt, originAt } from "./source.ts";
import { nearest, suggestKey } from "./suggest.ts";

type Issue = core.$ZodIssue;

interface Context {
  tree: MapNode;
  value: unknown;
  schema: JsonSchema;
}

function valueAt(value: unknown, path: KeyPath): unknown {
  let current = value;
  for (const key of path) current = (current as Record<string | number, unknown> | null | undefined)?.[key];
  return current;
}

function typeWords(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "object":
      return "a map";
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    case "number":
      return Number.isFinite(value)
        ? Number.isInteger(value)
          ? "a number"
          : "a number with decimals"
        : "not finite";
    default:
      return `a ${typeof value}`;
  }
}

/** Spellings that YAML 1.2 reads as text where people mean a number or a truth value. */
function spellingHint(value: unknown, schema: JsonSchema | null): string | null {
  if (typeof value !== "string" || schema === null) return null;
  const types = [schema, ...variants(schema)].map((each) => each.type);
  if (types.includes("boolean")) {
    if (/^(yes|on|true)$/i.test(value)) return "write true, without quotes";
    if (/^(no|off|false)$/i.test(value)) return "write false, without quotes";
  }
  if (types.includes("number") || types.includes("integer")) {
    const digits = value.replaceAll(/[_,](?=\d{3})/g, "");
    if (digits.trim() !== "" && Number.isFinite(Number(digits)))
      return `write ${Number(digits)}, without quotes`;
  }
  return null;
}

/** Zod's own sentences start so; a schema that gives its own message is quoted. */
function customMessage(issue: Issue): string | null {
  return /^(Invalid|Too (small|big)|Unrecognized|Expected)/.test(issue.message) ? null : issue.message;
}

/** Unknown keys of one map that are named; a file of another kind has thousands, and each asks what was meant. */
const LISTED_KEYS = 20;

function unknownKeys(issue: Issue & { code: "unrecognized_keys" }, path: KeyPath, context: Context): Fault[] {
  const union = schemaAt(context.schema, context.value, path);
  const here = valueAt(context.value, path);
  const map = union && chosenVariant(union, here);
  const siblings = Object.keys(map?.properties ?? {});
  const everyPath = allKeyPaths(context.schema);
  const listed = issue.keys.slice(0, LISTED_KEYS);
  const rest = issue.keys.length - listed.length;
  const more: Fault[] =
    rest === 0
      ? []
      : [
          {
            code: "check",
            path,
            origin: originAt(context.tree, [...path, issue.keys[LISTED_KEYS]!]),
            reason: `${rest.toLocaleString("en")} further keys of it do not exist either`,
          },
        ];
  const faults = listed.map((key): Fault => {
    const other =
      union &&
      variants(union).find((variant) => kindOf(variant) && Object.hasOwn(variant.properties ?? {}, key));
    const hereKind = map && kindOf(map);
    return {
      code: "unknown_key",
      path: [...path, key],
      origin: originAt(context.tree, [...path, key]),
      suggestion: suggestKey(key, siblings, everyPath),
      elsewhere: other && hereKind ? { here: hereKind, there: kindOf(other)! } : null,
      known: siblings,
    };
  });
  return [...faults, ...more];
}

function sizeWords(issue: Issue & { code: "too_small" | "too_big" }): string {
  const bound = issue.code === "too_small" ? issue.minimum : issue.maximum;
  const least = issue.code === "too_small";
  if (issue.origin === "string") {
    if (least && Number(bound) === 1) return "it is empty";
    return `its length must be ${least ? "at least" : "at most"} ${bound}`;
  }
  if (issue.origin === "array") {
    return `it must have ${least ? "at least" : "at most"} ${bound} ${Number(bound) === 1 ? "entry" : "entries"}`;
  }
  if (issue.inclusive === false) return `it must be ${least ? "above" : "below"} ${bound}`;
  return `it must be ${least ? "at least" : "at most"} ${bound}`;
}

/** Of the branches of a plain union, the one that the value was meant for, or null. */
function intendedBranch(branches: readonly Issue[][]): readonly Issue[] | null {
  const inside = branches.filter((issues) =>
    issues.every((issue) => issue.path.length > 0 || !["invalid_type", "invalid_value"].includes(issue.code)),
  );
  return inside.length === 1 ? inside[0]! : null;
}

function detailOf(issue: Issue, path: KeyPath, context: Context): FaultDetail {
  const value = valueAt(context.value, path);
  const schema = schemaAt(context.schema, context.value, path);
  const expected = schema ? expectedWords(schema) : "another value";
  const written = nodeAt(context.tree, path) !== undefined;
  const own = customMessage(issue);
  if (issue.code === "invalid_union" && "options" in issue && Array.isArray(issue.options)) {
    const options = issue.options.map(String);
    if (!written) {
      return {
        code: "missing",
        expected: orList(options),
        description: "it says which of several this is",
      };
    }
    return { code: "choice", options, suggestion: nearest(String(value), options) };
  }
  if (!written && own === null) {
    return { code: "missing", expected, description: schema?.description ?? null };
  }
  if (own !== null) return { code: "check", reason: own };
  switch (issue.code) {
    case "invalid_value": {
      const options = issue.values.map(String);
      return { code: "choice", options, suggestion: nearest(String(value), options) };
    }
    case "too_small":
    case "too_big":
      return { code: "range", expected, reason: sizeWords(issue) };
    default: {
      const hint = spellingHint(value, schema);
      const options = typeof value === "string" && hint === null && schema ? listedTexts(schema) : null;
      if (options !== null) return { code: "choice", options, suggestion: nearest(String(value), options) };
      return { code: "type", expected, actual: typeWords(value), hint };
    }
  }
}

function convert(issue: Issue, base: KeyPath, context: Context): Fault[] {
  const path = [...base, ...(issue.path as KeyPath)];
  if (issue.code === "unrecognized_keys") return unknownKeys(issue, path, context);
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branch = intendedBranch(issue.errors);
    if (branch) return branch.flatMap((inner) => convert(inner, path, context));
  }
  const detail = detailOf(issue, path, context);
  const value = detail.code === "missing" ? undefined : valueAt(context.value, path);
  const origin = originAt(context.tree, path);
  const fault: Fault = { ...detail, path, origin, ...(value === undefined ? {} : { value }) };
  const kindless = detail.code === "missing" && path.at(-1) === "kind";
  return kindless ? [fault, ...strangersIn(path.slice(0, -1), context)] : [fault];
}

/** Of a map without its kind: keys that no kind has. One of them may be the kind, misspelt. */
function strangersIn(path: KeyPath, context: Context): Fault[] {
  const union = schemaAt(context.schema, context.value, path);
  const map = nodeAt(context.tree, path);
  if (union === null || map?.type !== "map") return [];
  const known = [...new Set(variants(union).flatMap((variant) => Object.keys(variant.properties ?? {})))];
  const keys = [...map.entries.keys()].filter((key) => !known.includes(key));
  return keys.map((key) => ({
    code: "unknown_key",
    path: [...path, key],
    origin: originAt(context.tree, [...path, key]),
    suggestion: suggestKey(key, known, allKeyPaths(context.schema)),
    elsewhere: null,
    known,
  }));
}

/**
 * @param tree the config with the places of its values
 * @param value the same, plain
 * @param schema the recipe's schema
 * A key that is missing because it was misspelt is reported once, as the misspelt one.
 */
export function issuesToFaults(
  issues: readonly Issue[],
  tree: MapNode,
  value: unknown,
  schema: JsonSchema,
): Fault[] {
  const faults = issues.flatMap((issue) => convert(issue, [], { tree, value, schema }));
  const meant = new Set(
    faults.flatMap((fault) =>
      fault.code === "unknown_key" && fault.suggestion !== null ? [suggestedPath(fault).join(".")] : [],
    ),
  );
  return faults.filter((fault) => fault.code !== "missing" || !meant.has(fault.path.join(".")));
}

/** The full path of the key that an unknown one was probably meant to be. */
export function suggestedPath(fault: Fault & { code: "unknown_key" }): KeyPath {
  const suggestion = fault.suggestion ?? "";
  return suggestion.includes(".") ? suggestion.split(".") : [...fault.path.slice(0, -1), suggestion];
}
