/** `--set a.b=value` and the flags that are short for it. */
import type { Fault } from "./faults.ts";
import { recipeJsonSchema } from "./schema.ts";
import { isTextOnly, schemaAt } from "./schema-tree.ts";
import { flagText, fromValue, type MapNode, type Node, parseFlagValue, toValue } from "./source.ts";

export interface Override {
  /** As the user wrote it, for messages: `--set rewards.0.weight=2`, `--steps 3`. */
  flag: string;
  path: string;
  value: Node;
  /** What stands after the =, where the value is no plain text: a key that takes only text takes it as it is. */
  text?: string;
}

/** Reads `a.b=value`, the value as YAML. @returns null after adding to `faults` */
export function parseSet(text: string, faults: Fault[]): Override | null {
  const flag = `--set ${text}`;
  const equals = text.indexOf("=");
  const path = text.slice(0, equals === -1 ? undefined : equals).trim();
  const refuse = (reason: string, fix: string): null => {
    faults.push({ code: "flag", origin: { flag }, path: [], reason, fix });
    return null;
  };
  if (equals === -1) return refuse("there is no = in it", `write --set ${path || "key"}=value`);
  if (path === "" || path.split(".").some((part) => part === "")) {
    return refuse("the key is empty", "write --set rollout.group_size=8");
  }
  if (path === "extends") {
    return refuse("extends belongs into the file", "name the other file on the command line");
  }
  const given = text.slice(equals + 1);
  try {
    const value = parseFlagValue(given, flag);
    return { flag, path, value, ...(isPlainText(value, given) ? { text: given } : {}) };
  } catch (error) {
    // a text such as `a: b: c` is no YAML; for a key that takes text it need not be
    if (!/^\s*["'[{]/.test(given)) {
      const value = flagText(given, flag);
      if (takesText(null, path)) return { flag, path, value, text: given };
    }
    return refuse(
      `the value cannot be used: ${(error as Error).message}`,
      "quote it, as in --set 'name=\"a: b\"'",
    );
  }
}

/** Not text by YAML's rules, but what a person may mean as text: a number, true, `{column}`, `a: b`. */
function isPlainText(value: Node, given: string): boolean {
  if (value.type === "scalar") return typeof value.value === "number" || typeof value.value === "boolean";
  return value.type === "map" && !/^\s*\{\s*["'}]/.test(given);
}

/** Does the key at this dotted path take text and nothing else? */
function takesText(root: MapNode | null, path: string): boolean {
  const keys = path.split(".").map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  const schema = schemaAt(recipeJsonSchema(), root === null ? {} : toValue(root), keys);
  return schema !== null && isTextOnly(schema);
}

/** A flag with a meaning of its own, such as `--steps 3` for `steps`. */
export function flagOverride(flag: string, path: string, value: string | number): Override {
  return {
    flag: `${flag} ${value}`,
    path,
    value: fromValue(value, { origin: { flag: `${flag} ${value}` }, base: null }),
  };
}

/** Sets one value in place; lists take an index that they have, or the next one. */
export function applyOverride(root: MapNode, given: Override, faults: Fault[]): void {
  const asText = given.text !== undefined && takesText(root, given.path);
  const override = asText ? { ...given, value: flagText(given.text!, given.flag) } : given;
  const origin = { flag: override.flag };
  const path = override.path.split(".");
  const refuse = (at: number, reason: string, fix: string): void => {
    faults.push({ code: "flag", origin, path: path.slice(0, at), reason, fix });
  };
  let node: Node = root;
  for (const [depth, key] of path.entries()) {
    const last = depth === path.length - 1;
    if (node.type === "scalar" && node.value === null) {
      refuse(
        depth,
        "it is empty, so it has no keys",
        `set all of it: --set '${path.slice(0, depth).join(".")}={...}'`,
      );
      return;
    }
    if (node.type === "scalar") {
      refuse(
        depth,
        "it is a single value and has no keys",
        `use --set ${path.slice(0, depth).join(".")}=value`,
      );
      return;
    }
    if (node.type === "list") {
      const index = /^\d+$/.test(key) ? Number(key) : -1;
      if (index < 0 || index > node.items.length) {
        const count = node.items.length;
        const has =
          count === 0 ? "is empty" : count === 1 ? "has only entry 0" : `has entries 0 to ${count - 1}`;
        refuse(depth + 1, `the list ${has}`, `use ${count} to add one`);
        return;
      }
      if (last) node.items[index] = override.value;
      else node.items[index] ??= { type: "map", entries: new Map(), origin, base: null };
      node = node.items[index]!;
    } else {
      if (last) {
        const below: Node | undefined = node.entries.get(key);
        node.entries.set(key, below ? overlay(override.value) : override.value);
      } else if (!node.entries.has(key)) {
        node.entries.set(key, { type: "map", entries: new Map(), origin, base: null });
      }
      node = node.entries.get(key)!;
    }
  }
}

/** A value that lies over another: a null takes that one away. */
function overlay(value: Node): Node {
  return value.type === "scalar" && value.explicitNull === true ? { ...value, unsets: true } : value;
}
