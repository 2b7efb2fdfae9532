/** `extends: other.yaml`: a chain of files, each laid over the one that it names. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { FileReadError, readRegularFile } from "../lib/regular-file.ts";
import type { Fault, Origin } from "./faults.ts";
import { displayPath } from "./paths.ts";
import { expandShorthand } from "./shorthand.ts";
import { type MapNode, type Node, parseSource } from "./source.ts";

/** More is a mistake; a cycle is found before. */
const MAX_CHAIN = 16;

/** Maps are merged key by key; lists and values are replaced, and so is a map of another `kind`; null unsets. */
export function mergeTrees(lower: Node, upper: Node): Node {
  if (upper.type === "scalar" && upper.explicitNull === true) return { ...upper, unsets: true };
  if (lower.type !== "map" || upper.type !== "map") return upper;
  const kind = upper.entries.get("kind");
  const before = lower.entries.get("kind");
  if (kind?.type === "scalar" && before?.type === "scalar" && kind.value !== before.value) return upper;
  const entries = new Map(lower.entries);
  for (const [key, child] of upper.entries) {
    const below = entries.get(key);
    entries.set(key, below ? mergeTrees(below, child) : child);
  }
  return { ...upper, entries };
}

export interface SourceFile {
  /** Absolute. */
  path: string;
  /** How messages name it. */
  name: string;
  text: string;
}

export interface Chain {
  /** Null when a file could not be used. */
  tree: MapNode | null;
  /** The named file first, then what it extends. */
  files: SourceFile[];
}

/** A config is read by people. The YAML package takes the square of a map's keys in time: at this size, seconds. */
const LARGEST_CONFIG = 128 * 1024;

/** Text of a config. @throws FileReadError saying why there is none */
export function readConfigText(path: string): string {
  const bytes = readRegularFile(path, LARGEST_CONFIG);
  try {
    // it drops a byte order mark too
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FileReadError("it is not UTF-8 text", { cause });
  }
}

function readSource(path: string, name: string, from: Origin | null, faults: Fault[]): string | null {
  try {
    return readConfigText(path);
  } catch (error) {
    if (!(error instanceof FileReadError)) throw error;
    const reason = error.message;
    const fix = from
      ? "name a file relative to the one that extends it"
      : "name a YAML file; `rlpt recipes ls` lists those that come with rlpt";
    faults.push(
      from
        ? { code: "extends", origin: from, path: ["extends"], value: name, reason, fix }
        : { code: "file", origin: { file: name, line: 1 }, path: [], reason, fix },
    );
    return null;
  }
}

/**
 * Reads a config and all that it extends. Faults are added to `faults`.
 * @param folders where an `extends` that is not beside its file is looked for (the shipped configs)
 */
export function readChain(path: string, folders: readonly string[], faults: Fault[]): Chain {
  const files: SourceFile[] = [];
  const layers: MapNode[] = [];
  let next: { path: string; from: Origin | null } | null = { path: resolve(path), from: null };
  while (next) {
    const current: { path: string; from: Origin | null } = next;
    next = null;
    const name = files.length === 0 ? path : displayPath(current.path);
    if (current.from && files.some((file) => file.path === current.path)) {
      const chain = [...files.map((file) => file.name), name].join(" -> ");
      const fix = "remove one of these extends";
      const reason = `the files extend each other: ${chain}`;
      faults.push({ code: "extends", origin: current.from, path: ["extends"], value: name, reason, fix });
      return { tree: null, files };
    }
    if (files.length >= MAX_CHAIN) {
      const reason = `the chain is longer than ${MAX_CHAIN} files`;
      const fix = "merge some of them";
      faults.push({ code: "extends", origin: current.from!, path: ["extends"], value: name, reason, fix });
      return { tree: null, files };
    }
    const text = readSource(current.path, name, current.from, faults);
    if (text === null) return { tree: null, files };
    files.push({ path: current.path, name, text });
    const tree = parseSource(text, name, dirname(current.path), faults);
    if (tree === null) return { tree: null, files };
    const parent = tree.entries.get("extends");
    tree.entries.delete("extends");
    layers.push(expandShorthand(tree));
    if (!parent) continue;
    if (parent.type !== "scalar" || typeof parent.value !== "string" || parent.value === "") {
      const reason = "it names no file";
      const fix = "write one path, such as `extends: base.yaml`";
      faults.push({ code: "extends", origin: parent.origin, path: ["extends"], reason, fix });
      return { tree: null, files };
    }
    next = { path: locate(parent.value, dirname(current.path), folders), from: parent.origin };
  }
  const tree = layers.reduceRight<Node>((lower, upper) => mergeTrees(lower, upper), layers.at(-1)!);
  return { tree: tree as MapNode, files };
}

function locate(name: string, beside: string, folders: readonly string[]): string {
  if (isAbsolute(name)) return name;
  const candidates = [beside, ...folders].map((folder) => join(folder, name));
  return candidates.find((candidate) => existsSync(candidate)) ?? candidates[0]!;
}
