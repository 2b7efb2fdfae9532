/** Experiments: arms x seeds of training runs over one config, some of which train on data another arm selected. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { loadRecipe } from "../config/load.ts";
import { findPath } from "../config/paths.ts";
import type { DatasetOptions } from "../config/schema.ts";
import { ConfigError, describeSystemError } from "../lib/errors.ts";

const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,39}$/, "use a letter, then letters, digits, dash and underscore");

const settings = z
  .record(z.string(), z.unknown())
  .default({})
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what users write in their file
  .describe("dotted keys of the config, as in --set; ${seed} and ${draw} stand for the run's");

const selectOptions = z
  .strictObject({
    from: name.describe("arm whose recorded rewards are scored; it has one draw"),
    threshold: z.number().max(1).optional().describe("scores of at least this"),
    top: z.number().gt(0).max(1).optional().describe("this share of the pool, the best scores"),
    count: z.int().min(1).optional().describe("this many, the best scores"),
    random: z
      .boolean()
      .default(false)
      .describe("a uniform subset of that size instead, another for each draw and seed"),
    round: z.int().min(0).optional().describe("decimals that scores are rounded to; none when absent"),
    signal: z.enum(["reward", "accuracy"]).default("reward").describe("what curves are made of"),
    epochs: z.int().min(1).optional().describe("the first epochs only; all when absent"),
    max_invalid: z.number().min(0).max(1).default(0.2).describe("largest share of prompts without a score"),
  })
  .refine(
    ({ threshold, top, count }) => [threshold, top, count].filter((rule) => rule !== undefined).length === 1,
    {
      message: "give one of threshold, top, count",
    },
  );

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
export type SelectOptions = z.infer<typeof selectOptions>;

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
export function isExperiment(path: string): boolean {
  try {
    const value: unknown = parse(readFileSync(path, "utf8"));
    return typeof value === "object" && value !== null && "experiment" in value;
  } catch {
    return false;
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
          set: [...flags({ ...options.set, ...set }, seed, draw), ...(overrides.set ?? [])],
          select: select ?? null,
        };
      });
    }),
  );
  for (const run of runs.slice(0, order.length)) loadRecipe(config, { set: run.set, seed: run.seed });
  return { options, config, runs };
}

/** `{...}` written with a dollar in settings stands for the run's seed or draw; by itself it is a number. */
function flags(set: Readonly<Record<string, unknown>>, seed: number, draw: number): string[] {
  const fill = (text: string) =>
    Object.entries({ seed, draw }).reduce((filled, [key, value]) => {
      const mark = `$\{${key}}`;
      return filled.replaceAll(`"${mark}"`, String(value)).replaceAll(mark, String(value));
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
