/** Is a run taken up with what its steps were made with? Settings, data, weights, tokenizer and reward files. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { CheckpointError } from "../lib/errors.ts";
import { digestFits, textHash } from "./manifest.ts";
import { type Provenance, readProvenance } from "./provenance.ts";

export interface ChangedInput {
  /** A file, or a key of the recipe. */
  what: string;
  was: unknown;
  is: unknown;
}

/** Keys that a resumed run may change by flags: they move no number of the steps already done. */
const RESUMABLE =
  /^(stages\[\d+\]\.)?((steps|run|eval|backend)(\.|$)|rewards\[\d+\]\.(limits(\.|$)|judge\.(endpoint|key_variable)$))/;

export function isResumable(keyPath: string): boolean {
  return RESUMABLE.test(keyPath);
}

/** Key paths at which two recipes differ, with both values. */
export function recipeDifferences(was: string, is: string): { path: string; was: unknown; is: unknown }[] {
  const differences: { path: string; was: unknown; is: unknown }[] = [];
  const compare = (a: unknown, b: unknown, path: string): void => {
    if (isContainer(a) && isContainer(b) && Array.isArray(a) === Array.isArray(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
        const inner = Array.isArray(a) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
        compare((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], inner);
      }
    } else if (!Object.is(a, b)) differences.push({ path, was: a, is: b });
  };
  compare(parse(was), parse(is), "");
  return differences;
}

const isContainer = (value: unknown): value is object => typeof value === "object" && value !== null;

/**
 * Compares a run directory with the files and settings of now. Nothing is changed.
 * @param now with `recipe`: the text that recipe.yaml is to have
 * @returns what differs; empty for a run whose provenance names nothing
 */
export function changedInputs(runDir: string, now: Provenance): ChangedInput[] {
  const changes: ChangedInput[] = [];
  const path = join(runDir, "provenance.json");
  const text = existsSync(path) ? readFileSync(path, "utf8") : null;
  if (text !== null && /"digest"|"recipes"/.test(text) && !digestFits(text))
    changes.push({ what: path, was: "as rlpt wrote it", is: "changed" });
  const before = readProvenance(runDir, { damaged: "null" });
  if (before === null) return changes;
  const recipePath = join(runDir, "recipe.yaml");
  const recipe = existsSync(recipePath) ? readFileSync(recipePath, "utf8") : null;
  if (recipe !== null && before.recipe !== undefined && !before.recipes?.includes(textHash(recipe))) {
    for (const { path: key, was, is } of recipeDifferences(before.recipe, recipe))
      changes.push({ what: `${recipePath}: ${key}`, was, is });
  }
  if (recipe !== null && now.recipe !== undefined) {
    for (const { path: key, was, is } of recipeDifferences(recipe, now.recipe))
      if (!isResumable(key)) changes.push({ what: key, was, is });
  }
  const compare = (what: string, was: string | undefined, is: string | undefined): void => {
    if (was !== is) changes.push({ what, was: was ?? "absent", is: is ?? "absent" });
  };
  const paths = (a: object = {}, b: object = {}) => new Set([...Object.keys(a), ...Object.keys(b)]);
  // a pattern or a folder may name other files than it did, with the same recipe
  for (const file of paths(before.data, now.data))
    compare(`data file ${file}`, before.data[file]?.sha256, now.data[file]?.sha256);
  if (before.inputs !== undefined && now.inputs !== undefined) {
    for (const file of paths(before.inputs, now.inputs)) {
      const { what } = (before.inputs[file] ?? now.inputs[file])!;
      compare(`${what} ${file}`, before.inputs[file]?.sha256, now.inputs[file]?.sha256);
    }
  }
  return changes;
}

/** @throws CheckpointError, exit status 2, that names every change and the ways on */
export function refuseChanges(runDir: string, changes: readonly ChangedInput[]): void {
  if (changes.length === 0) return;
  const list = changes.map(({ what, was, is }) => `  ${what}: ${shown(was)} -> ${shown(is)}`);
  throw new CheckpointError(
    `${runDir}: its steps were made with something else; nothing was changed or removed:\n${list.join("\n")}\n` +
      "Put it back as it was, start a new run, or go on with --accept-changes (provenance.json records it). " +
      "Steps, evaluations and what is kept may change by flags: --steps, --set eval..., --set run...",
    { exitCode: 2 },
  );
}

/** Hashes cut to what tells them apart. */
function shown(value: unknown): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return value.slice(0, 12);
  return value === undefined ? "absent" : JSON.stringify(value);
}
