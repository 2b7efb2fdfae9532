/** YAML text to a tree in which every value knows where it was written. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit as visitYaml,
  type Node as YamlNode,
} from "yaml";
import type { Fault, KeyPath, Origin } from "./faults.ts";

interface Placed {
  origin: Origin;
  /** Folder that relative paths in it start from; null for a flag: the working directory. */
  base: string | null;
}
export interface ScalarNode extends Placed {
  type: "scalar";
  value: string | number | boolean | null;
  /** `null` or `~` spelled out, rather than nothing after the colon. */
  explicitNull?: boolean;
  /** It takes away what a lower layer says. */
  unsets?: boolean;
}
export interface ListNode extends Placed {
  type: "list";
  items: Node[];
}
export interface MapNode extends Placed {
  type: "map";
  entries: Map<string, Node>;
}
export type Node = ScalarNode | ListNode | MapNode;

/** An alias that holds itself would never end; no config is this deep. */
const MAX_DEPTH = 32;
/** Aliases of aliases multiply; no config is this large. */
const MAX_NODES = 50_000;

/** Tags that say what a plain value is anyway. */
const PLAIN_TAGS: ReadonlySet<string> = new Set(
  ["str", "int", "float", "bool", "null", "map", "seq"].map((name) => `tag:yaml.org,2002:${name}`),
);

interface Placing {
  /** Line of an offset in the text, or the flag. */
  at(offset: number): Origin;
  base: string | null;
}

/** Plain value of a tree, as zod reads it. */
export function toValue(node: Node): unknown {
  if (node.type === "scalar") return node.value;
  if (node.type === "list") return node.items.map(toValue);
  return Object.fromEntries([...node.entries].map(([key, child]) => [key, toValue(child)]));
}

/** A tree of plain values, all placed alike. @throws RangeError for what YAML does not have */
export function fromValue(value: unknown, placed: Placed): Node {
  if (Array.isArray(value)) {
    return { type: "list", items: value.map((item) => fromValue(item, placed)), ...placed };
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value)
      .filter(([, child]) => child !== undefined)
      .map(([key, child]): [string, Node] => [key, fromValue(child, placed)]);
    return { type: "map", entries: new Map(entries), ...placed };
  }
  if (value === null || ["string", "number", "boolean"].includes(typeof value)) {
    return { type: "scalar", value: value as ScalarNode["value"], ...placed };
  }
  throw new RangeError(`a config cannot hold a ${typeof value}`);
}

export function childAt(node: Node, key: string | number): Node | undefined {
  if (node.type === "map") return node.entries.get(String(key));
  if (node.type === "list") return node.items[Number(key)];
  return undefined;
}

export function nodeAt(root: Node, path: KeyPath): Node | undefined {
  let node: Node | undefined = root;
  for (const key of path) {
    if (!node) return undefined;
    node = childAt(node, key);
  }
  return node;
}

/** Where a path was written; for one that was not, its nearest ancestor that was. */
export function originAt(root: Node, path: KeyPath): Origin {
  let node = root;
  for (const key of path) {
    const next = childAt(node, key);
    if (!next) break;
    node = next;
  }
  return node.origin;
}

/** What each alias stands for: the nearest node above of that name. The package looks through the whole file for each. */
function aliasTargets(document: Document): Map<unknown, YamlNode | undefined> {
  const named = new Map<string, YamlNode>();
  const targets = new Map<unknown, YamlNode | undefined>();
  visitYaml(document, {
    Node: (_key, node) => {
      if (isAlias(node)) targets.set(node, named.get(node.source));
      else if (node.anchor !== undefined) named.set(node.anchor, node);
    },
  });
  return targets;
}

function convert(document: Document, raw: unknown, placing: Placing, faults: Fault[]): Node | null {
  let nodes = 0;
  const anchored = aliasTargets(document);
  const refuse = (origin: Origin, path: KeyPath, reason: string, fix: string): null => {
    faults.push({ code: "syntax", origin, path, reason, fix });
    return null;
  };
  const visit = (yaml: unknown, path: KeyPath, keyOffset: number | null): Node | null => {
    const node = isAlias(yaml) ? anchored.get(yaml) : yaml;
    const offset = keyOffset ?? (yaml as { range?: readonly number[] | null } | null)?.range?.[0] ?? 0;
    const placed: Placed = { origin: placing.at(offset), base: placing.base };
    if (isAlias(yaml) && node === undefined) {
      const reason = `no value above is named &${yaml.source}`;
      return refuse(placed.origin, path, reason, `quote it if it is a text: "*${yaml.source}"`);
    }
    const tag = (node as { tag?: string } | null)?.tag;
    if (tag !== undefined && !PLAIN_TAGS.has(tag)) {
      const reason = `the YAML tag ${tag.replace("tag:yaml.org,2002:", "!!")} means nothing here`;
      return refuse(placed.origin, path, reason, "remove the tag, or quote the text");
    }
    if (path.length > MAX_DEPTH || ++nodes > MAX_NODES) {
      const reason =
        path.length > MAX_DEPTH ? `it is nested more than ${MAX_DEPTH} deep` : "it is far too large";
      return refuse(placed.origin, path.slice(0, 4), reason, "look for an alias (*name) that repeats itself");
    }
    if (isMap(node)) {
      const entries = new Map<string, Node>();
      for (const pair of node.items) {
        const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
        const keyAt = (pair.key as { range?: number[] }).range?.[0] ?? offset;
        if (entries.has(key)) {
          return refuse(placing.at(keyAt), [key], "this key is here twice in one map", "keep one of the two");
        }
        const child = visit(pair.value, [...path, key], keyAt);
        if (child === null) return null;
        entries.set(key, child);
      }
      return { type: "map", entries, ...placed };
    }
    if (isSeq(node)) {
      const items: Node[] = [];
      for (const [index, item] of node.items.entries()) {
        const child = visit(item, [...path, index], null);
        if (child === null) return null;
        items.push(child);
      }
      return { type: "list", items, ...placed };
    }
    const value: unknown = isScalar(node) ? node.value : null;
    // what is not text, number or truth (dates, binary) keeps its spelling and fails by type
    const plain = value === null || ["string", "number", "boolean"].includes(typeof value);
    if (typeof value === "string" && value.includes("\0")) {
      return refuse(
        placed.origin,
        path,
        "it holds a NUL character, which no text, path or token has",
        "remove it",
      );
    }
    const explicitNull = isScalar(node) && value === null && (node.source ?? "") !== "";
    return {
      type: "scalar",
      explicitNull,
      value: plain ? (value as ScalarNode["value"]) : String(value),
      ...placed,
    };
  };
  return visit(raw, [], null);
}

function syntaxWords(code: string, message: string): { reason: string; fix: string } {
  switch (code) {
    case "TAB_AS_INDENT":
      return {
        reason: "a tab indents this line; YAML takes only spaces",
        fix: "replace the tab by two spaces",
      };
    case "MULTIPLE_DOCS":
      return { reason: "a second document starts here", fix: "remove the line ---, one file is one config" };
    case "BAD_INDENT":
      if (/flow/i.test(message)) return { reason: "a { or [ above is not closed", fix: "close it" };
      return { reason: "the indentation fits no line above", fix: "indent as its neighbours" };
    case "TAG_RESOLVE_FAILED":
      return { reason: "a YAML tag (!...) means nothing here", fix: "remove the tag, or quote the text" };
    case "BLOCK_AS_IMPLICIT_KEY":
    case "MULTILINE_IMPLICIT_KEY":
      return {
        reason: "a nested key starts on the line of another, or a value runs over the line",
        fix: "one key: value a line; quote a text that holds ': '",
      };
    default:
      if (/^Flow|must end with/i.test(message)) return { reason: "a { or [ is not closed", fix: "close it" };
      return {
        reason: `it is not YAML: ${message.replace(/\.$/, "").toLowerCase()}`,
        fix: "correct the line",
      };
  }
}

/**
 * @param file how the file is named in messages
 * @param base folder that relative paths in it start from
 * @returns the tree, or null when faults stand in the way (they are added to `faults`)
 */
export function parseSource(text: string, file: string, base: string, faults: Fault[]): MapNode | null {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "error",
    // the package compares each key with all before it; ours are found in convert
    uniqueKeys: false,
  });
  const at = (offset: number): Origin => ({ file, line: lines.linePos(offset).line || 1 });
  for (const problem of [...document.errors, ...document.warnings]) {
    const origin = at(problem.pos[0]);
    faults.push({ code: "syntax", origin, path: [], ...syntaxWords(problem.code, problem.message) });
  }
  if (document.errors.length > 0 || document.warnings.length > 0) return null;
  const start: Origin = { file, line: 1 };
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    const fix = "`rlpt recipes ls` lists configs to start from";
    faults.push({ code: "file", origin: start, path: [], reason: "the file is empty", fix });
    return null;
  }
  const tree = convert(document, document.contents, { at, base }, faults);
  if (tree === null) return null;
  if (tree.type !== "map") {
    const what = tree.type === "list" ? "a list" : "a single value";
    const fix = "write keys and values, such as `seed: 1`";
    faults.push({ code: "file", origin: tree.origin, path: [], reason: `it holds ${what}, not a map`, fix });
    return null;
  }
  return tree;
}

/**
 * The value of a flag, read as YAML. Nobody writes a comment on a command line: a text with ` #` in it is taken whole.
 * @throws Error with what is wrong with it
 */
export function parseFlagValue(text: string, flag: string): Node {
  const document = parseDocument(text, { prettyErrors: false, logLevel: "silent", uniqueKeys: false });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new Error(`it is not YAML: ${problem.message.replace(/\.$/, "")}`);
  const placed: Placed = { origin: { flag }, base: null };
  const { contents } = document;
  if (hasComment(document)) {
    if (contents === null || (isScalar(contents) && contents.type === "PLAIN")) return flagText(text, flag);
    throw new Error("what follows # would be cut off as a comment");
  }
  const faults: Fault[] = [];
  const node = convert(document, contents, { at: () => placed.origin, base: null }, faults);
  if (node === null)
    throw new Error(faults[0] && "reason" in faults[0] ? faults[0].reason : "it cannot be read");
  return node;
}

/** A flag's value as text, whatever YAML would make of it. */
export function flagText(text: string, flag: string): ScalarNode {
  return { type: "scalar", value: text.trim(), origin: { flag }, base: null };
}

function hasComment(document: Document): boolean {
  let found = Boolean(document.comment ?? document.commentBefore);
  visitYaml(document, {
    Node: (_key, node) => {
      found ||= Boolean(node.comment ?? node.commentBefore);
    },
  });
  return found;
}
