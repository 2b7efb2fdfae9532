/** Files with arms, experiments and claims alike: read, checked against their schema, every fault with its line. */
import { dirname, resolve } from "node:path";
import type { z } from "zod";
import { readConfigText } from "../config/extends.ts";
import { ConfigFaultsError, type Fault, type KeyPath } from "../config/faults.ts";
import { issuesToFaults } from "../config/issues.ts";
import { type LoadOptions, loadRecipe } from "../config/load.ts";
import { displayPath, findPath, nearestFile } from "../config/paths.ts";
import type { Recipe } from "../config/schema.ts";
import { toJsonSchema } from "../config/schema-tree.ts";
import { type MapNode, nodeAt, originAt, parseSource, toValue } from "../config/source.ts";
import { nearest } from "../config/suggest.ts";
import { faultWords, sortFaults } from "../config/words.ts";
import { ConfigError } from "../lib/errors.ts";
import { FileReadError, irregularity } from "../lib/regular-file.ts";

export interface ArmsFile<Options> {
  /** As messages name it. */
  name: string;
  options: Options;
  tree: MapNode;
  /** Found so far. */
  faults: Fault[];
  /** The absolute path of a config that the file names; a fault and null where there is none. */
  findConfig(config: string, at: KeyPath): string | null;
  /** Is there such an arm? A fault where there is none. */
  knownArm(arms: Readonly<Record<string, unknown>>, arm: string, at: KeyPath): boolean;
  /** The recipe that an arm stands for; a fault at the arm and null where it is wrong. */
  loadArm(arm: string, config: string, options: LoadOptions): Recipe | null;
  /** @throws ConfigFaultsError when there are any */
  stopOnFaults(): void;
}

export function armsFault(tree: MapNode, path: KeyPath, reason: string, fix: string): Fault {
  const node = nodeAt(tree, path);
  const value = node?.type === "scalar" ? node.value : undefined;
  return { code: "rule", rule: "arms", path, value, origin: originAt(tree, path), reason, fix };
}

/** @throws ConfigFaultsError where it cannot be read, is no YAML, or does not fit the schema */
export function readArmsFile<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): ArmsFile<z.output<Schema>> {
  const name = displayPath(path);
  const base = dirname(resolve(path));
  const faults: Fault[] = [];
  const stopOnFaults = (): void => {
    if (faults.length === 0) return;
    const sorted = sortFaults(faults, [name]);
    throw new ConfigFaultsError(sorted.map(faultWords).join("\n"), sorted);
  };
  let tree: MapNode | null = null;
  try {
    tree = parseSource(readConfigText(path), name, base, faults);
  } catch (error) {
    if (!(error instanceof FileReadError)) throw error;
    const fix = "name a YAML file with arms, such as configs/experiments/limr.yaml";
    faults.push({ code: "file", origin: { file: name, line: 1 }, path: [], reason: error.message, fix });
  }
  stopOnFaults();
  const value = toValue(tree!);
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    faults.push(...issuesToFaults(parsed.error.issues, tree!, value, toJsonSchema(schema)));
  stopOnFaults();
  const fault = (at: KeyPath, reason: string, fix: string): void => {
    faults.push(armsFault(tree!, at, reason, fix));
  };
  return {
    name,
    options: parsed.data as z.output<Schema>,
    tree: tree!,
    faults,
    stopOnFaults,
    findConfig(config, at) {
      const found = findPath(config, base);
      if (found !== null) return found;
      const near = nearestFile(config, base);
      const fix =
        near === null ? "give the path of a config, relative to this file" : `did you mean ${near}?`;
      fault(at, "this file does not exist", fix);
      return null;
    },
    knownArm(arms, arm, at) {
      if (Object.hasOwn(arms, arm)) return true;
      const known = Object.keys(arms);
      const near = nearest(arm, known);
      fault(
        at,
        "there is no such arm",
        near === null ? `there are ${known.join(", ")}` : `did you mean ${near}?`,
      );
      return false;
    },
    loadArm(arm, config, options) {
      try {
        return loadRecipe(config, options).recipe;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        const fix = `correct its set, or the config:\n${error.message.replaceAll(/^/gm, "  ")}`;
        fault(["arms", arm], "its recipe is wrong", fix);
        return null;
      }
    },
  };
}

/** Has a YAML file this key at its top? False where it cannot be read. */
export function holdsKey(path: string, key: string): boolean {
  if (irregularity(path) !== null) return false;
  try {
    return parseSource(readConfigText(path), path, dirname(resolve(path)), [])?.entries.has(key) === true;
  } catch (error) {
    if (error instanceof FileReadError) return false;
    throw error;
  }
}
