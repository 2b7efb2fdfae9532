/** Experiments: arms x seeds of training runs over one config, some of which train on data another arm selected. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { readConfigText } from "../config/extends.ts";
import { loadRecipe } from "../config/load.ts";
import { findPath } from "../config/paths.ts";
import { folderName as name, type SelectOptions, selectOptions } from "../config/select-options.ts";
import { parseSource } from "../config/source.ts";
import type { DatasetOptions } from "../data/dataset-options.ts";
import { ConfigError, describeSystemError } from "../lib/errors.ts";
import { FileReadError, irregularity } from "../lib/regular-file.ts";

const settings = z
  .record(z.string(), z.unknown())
  .default({})
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what users write in their file
  .describe("dotted keys of the config, as in --set; ${seed} and ${draw} stand for the run's");

const armOptions = z.strictObject({
  set: settings,
  select: selectOptions.optional().describe("train on what LIM scores select (rlpt select-data)"),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what users write in their file
  draws: z.int().min(1).default(1).describe("runs per seed, with ${draw} 1, 2, ...; their mean is compared"),
});

export const experimentOptions = z.strictObject({
  experiment: name.describe("name of the results' folder"),
  config: z.string().min(1).describe("what every arm builds on, relative to this file"),
  seeds: z.array(z.int().min(0)).min(1).default([1, 2, 3]).describe("every arm runs with each"),
  set: settings.describe("for all arms, beneath their own"),
  arms: z.record(name, armOptions).refine((arms) => Object.keys(arms).length > 0, { message: "name an arm" }),
  metric: z.string().min(1).default("accuracy").describe("column of eval.csv, of the last evaluation"),
  slice: z.string().min(1).default("all").describe("row of eval.csv"),
  compare: z
    .array(z.tuple([name, name]))
    .default([])
    .describe("pairs of arms: the first minus the second, paired by seed"),
});
export type ExperimentOptions = z.infer<typeof experimentOptions>;

/** One training run of an experiment. */
export interface ArmRun {
  arm: string;
  draw: number;
  seed: number;
  /** `<arm>-s<seed>`, or `<arm>-<draw>-s<seed>`. */
  id: string;
  set: string[];
  select: SelectOptions | null;
}

export interface Experiment {
  options: ExperimentOptions;
  /** Absolute. */
  config: string;
  /** Arms in an order in which every arm comes after the one it depends on. */
  runs: ArmRun[];
}

/** Is this YAML file an experiment, rather than a recipe? */
export const isExperiment = (path: string): boolean => holdsKey(path, "experiment");

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

/** @throws ConfigError with every fault of the file, and of each arm's recipe */
export function loadExperiment(
  path: string,
  overrides: { seeds?: number[]; set?: string[] } = {},
): Experiment {
  let value: unknown;
  try {
    value = parse(readFileSync(path, "utf8"));
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === undefined
        ? (error as Error).message
        : describeSystemError(error);
    throw new ConfigError(`${path}: cannot be read: ${reason}.`, { cause: error });
  }
  const parsed = experimentOptions.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      ({ path: at, message }) => `${path}: ${at.join(".") || "file"}: ${message}`,
    );
    throw new ConfigError(faults.join("\n"));
  }
  const options = { ...parsed.data, seeds: overrides.seeds ?? parsed.data.seeds };
  const config = findPath(options.config, dirname(resolve(path)));
  if (config === null) throw new ConfigError(`${path}: config: ${options.config} does not exist beside it.`);
  const order = orderArms(path, options);
  const runs = options.seeds.flatMap((seed) =>
    order.flatMap((arm) => {
      const { draws, select, set } = options.arms[arm]!;
      return Array.from({ length: draws }, (_, i): ArmRun => {
        const draw = i + 1;
        return {
          arm,
          draw,
          seed,
          id: draws === 1 ? `${arm}-s${seed}` : `${arm}-${draw}-s${seed}`,
          set: [...filledSettings({ ...options.set, ...set }, { seed, draw }), ...(overrides.set ?? [])],
          select: select ?? null,
        };
      });
    }),
  );
  for (const run of runs.slice(0, order.length)) loadRecipe(config, { set: run.set, seed: run.seed });
  return { options, config, runs };
}

/**
 * Settings as --set takes them. `{name}` behind a dollar stands for the value of that name, such as the run's seed;
 * a number by itself is a number.
 */
export function filledSettings(
  set: Readonly<Record<string, unknown>>,
  values: Readonly<Record<string, string | number>>,
): string[] {
  const fill = (text: string) =>
    Object.entries(values).reduce((filled, [key, value]) => {
      const mark = `$\{${key}}`;
      return filled.replaceAll(`"${mark}"`, JSON.stringify(value)).replaceAll(mark, String(value));
    }, text);
  return Object.entries(set).map(([key, value]) => `${key}=${fill(JSON.stringify(value))}`);
}

function orderArms(path: string, { arms, compare }: ExperimentOptions): string[] {
  const known = Object.keys(arms);
  const check = (arm: string, at: string): void => {
    if (!known.includes(arm))
      throw new ConfigError(`${path}: ${at}: there is no arm ${arm}; there are ${known.join(", ")}.`);
  };
  compare.forEach(([first, second], i) => {
    check(first, `compare.${i}`);
    check(second, `compare.${i}`);
  });
  const done: string[] = [];
  const visit = (arm: string, above: readonly string[]): void => {
    if (done.includes(arm)) return;
    if (above.includes(arm)) {
      throw new ConfigError(`${path}: arms wait for each other: ${[...above, arm].join(" -> ")}.`);
    }
    const from = arms[arm]!.select?.from;
    if (from !== undefined) {
      check(from, `arms.${arm}.select.from`);
      if (arms[from]!.draws !== 1) {
        throw new ConfigError(
          `${path}: arms.${arm}.select.from: ${from} has ${arms[from]!.draws} draws; select from an arm with one.`,
        );
      }
      visit(from, [...above, arm]);
    }
    done.push(arm);
  };
  for (const arm of known) visit(arm, []);
  return done;
}

/** Dataset options that read a selected subset as the pool was read. */
export function selectedDataset(pool: DatasetOptions, path: string): Record<string, unknown> {
  if (pool.kind !== "file") {
    const slices = pool.kind === "chain" ? ["level", ...(pool.pool === undefined ? [] : ["kind"])] : [];
    return { kind: "file", path, chat: false, prompt: "{prompt}", answer: "{answer}", id: "id", slices };
  }
  // the rows were split and limited before they were scored
  const { split: _split, limit: _limit, ...rest } = pool;
  return { ...rest, path, format: path.endsWith(".json") ? "json" : "jsonl" };
}
