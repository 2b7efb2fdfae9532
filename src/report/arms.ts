/** Runs that differ in nothing but seed and dataset are one arm of a comparison. */
import { configDifferences, showValue } from "./config-difference.ts";
import { mappingAt, type RunFiles } from "./read-run.ts";

/** A name per run: that of its config, with the keys at which arms of one name differ; not seed and dataset. */
export function armNames(runs: readonly RunFiles[]): string[] {
  const kept = runs.map(({ recipe }) => {
    const { seed: _seed, run: _run, data, ...rest } = recipe;
    return { ...rest, data: withoutDataset(data) };
  });
  const base = runs.map(({ recipe, label }) => {
    const { name } = mappingAt(recipe, "run");
    return typeof name === "string" ? name : label;
  });
  return base.map((name, i) => {
    const same = kept.filter((_, j) => base[j] === name);
    const differences = configDifferences([kept[i], ...same]).map(
      ({ path, values }) => `${path.split(".").at(-1)} ${showValue(values[0])}`,
    );
    return [name, ...differences].join(", ");
  });
}

/** Data settings less what names the dataset: arms are the same on each. */
function withoutDataset(data: unknown): unknown {
  return Object.fromEntries(
    Object.keys(mappingAt({ data }, "data")).map((part) => {
      const { dataset: _dataset, path: _path, ...rest } = mappingAt(data, part);
      return [part, rest];
    }),
  );
}

/** More runs than this have no colour of their own in a plot. */
const COLOURS = 8;

/** What plots call each run, and the number of its colour: its label, or with many runs its arm. */
export function plotNames(runs: readonly RunFiles[]): { name: string; colour: number }[] {
  if (runs.length <= COLOURS) return runs.map(({ label }, i) => ({ name: label, colour: i }));
  const names = armNames(runs);
  const arms = [...new Set(names)];
  return names.map((name) => ({ name, colour: arms.indexOf(name) }));
}

/** What a table of configs has a column for: every run, or with many runs the first of each arm. */
export function firstOfArms(runs: readonly RunFiles[]): { name: string; run: RunFiles }[] {
  const named = plotNames(runs).map(({ name }, i) => ({ name, run: runs[i]! }));
  return runs.length <= COLOURS
    ? named
    : named.filter(({ name }, i) => named.findIndex((other) => other.name === name) === i);
}
