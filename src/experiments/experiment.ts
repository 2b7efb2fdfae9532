/** Experiments: arms x seeds of training runs over one config, some of which train on data another arm selected. */
import { dirname } from "node:path";
import { z } from "zod";
import { folderName as name, type SelectOptions, selectOptions } from "../config/select-options.ts";
import { differentSeeds } from "../config/sweep-options.ts";
import { type DatasetOptions, datasetKindOf } from "../data/dataset-options.ts";
import { dataPaths, isHubPath } from "../data/file-options.ts";
import { isFolder } from "../lib/regular-file.ts";
import { evaluationMetrics } from "../run/logs-options.ts";
import { type ArmsFile, armsFault, holdsKey, readArmsFile } from "./arms-file.ts";

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
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .superRefine(differentSeeds)
    .default([1, 2, 3])
    .describe("every arm runs with each"),
  set: settings.describe("for all arms, beneath their own"),
  arms: z
    .record(name, armOptions)
    .refine((arms) => Object.keys(arms).length > 0, { message: "name an arm" })
    .describe("what runs side by side, by name"),
  metric: z
    .enum(evaluationMetrics)
    .default("accuracy")
    .describe("column of eval.csv, of the last evaluation"),
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

/** @throws ConfigFaultsError with every fault of the file, and of each arm's recipe */
export function loadExperiment(
  path: string,
  overrides: { seeds?: number[]; set?: string[] } = {},
): Experiment {
  const file = readArmsFile(path, experimentOptions);
  const { tree, faults } = file;
  const options = { ...file.options, seeds: overrides.seeds ?? file.options.seeds };
  const config = file.findConfig(options.config, ["config"]);
  const order = orderArms(options, file);
  file.stopOnFaults();
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
  // each arm with its first seed and draw: others differ in these numbers only
  for (const arm of order) {
    const { set, seed } = runs.find((run) => run.arm === arm)!;
    const recipe = file.loadArm(arm, config!, { set, seed });
    if (recipe !== null && (recipe.data.eval === undefined || recipe.eval === undefined))
      faults.push(armsFault(tree, ["arms", arm], "its recipe evaluates nothing", "add data.eval to its set"));
  }
  file.stopOnFaults();
  return { options, config: config!, runs };
}

/**
 * Settings as --set takes them. `{name}` after a dollar stands for the value of that name, such as the run's seed;
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

/** Arms in an order in which every arm comes after the one it selects from. Faults are added to the file's. */
function orderArms({ arms, compare }: ExperimentOptions, file: ArmsFile<ExperimentOptions>): string[] {
  const { tree, faults } = file;
  compare.forEach((pair, i) => {
    for (const [k, arm] of pair.entries()) file.knownArm(arms, arm, ["compare", i, k]);
  });
  const done: string[] = [];
  const visit = (arm: string, above: readonly string[]): void => {
    if (done.includes(arm)) return;
    const from = arms[arm]!.select?.from;
    const at = ["arms", arm, "select", "from"];
    if (from !== undefined && file.knownArm(arms, from, at)) {
      const chain = [...above, arm, from];
      if ([...above, arm].includes(from)) {
        faults.push(
          armsFault(
            tree,
            at,
            `arms wait for each other: ${chain.join(" -> ")}`,
            "select from an arm that trains on its own data",
          ),
        );
      } else {
        if (arms[from]!.draws !== 1)
          faults.push(
            armsFault(tree, at, `${from} has ${arms[from]!.draws} draws`, "select from an arm with one"),
          );
        visit(from, [...above, arm]);
      }
    }
    if (!done.includes(arm)) done.push(arm);
  };
  for (const arm of Object.keys(arms)) visit(arm, []);
  return done;
}

/** Dataset options that read a selected subset as the pool was read. */
export function selectedDataset(pool: DatasetOptions, path: string): Record<string, unknown> {
  if (pool.kind !== "file") {
    const slices = datasetKindOf(pool).slices(pool);
    return { kind: "file", path, chat: false, prompt: "{prompt}", answer: "{answer}", id: "id", slices };
  }
  // the rows were split and limited before they were scored
  const { split: _split, limit: _limit, ...rest } = pool;
  const [first] = dataPaths(pool);
  // paths of pictures begin where the pool's file lies
  const root =
    pool.pictures === undefined || isHubPath(first!)
      ? {}
      : { pictures_root: isFolder(first!) ? first : dirname(first!) };
  return { ...root, ...rest, path, format: path.endsWith(".json") ? "json" : "jsonl" };
}
