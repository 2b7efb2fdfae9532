import { z } from "zod";

/** Runs of one seed are the same run, and would share a folder. */
export function differentSeeds(seeds: readonly number[], context: z.RefinementCtx): void {
  for (const [index, seed] of seeds.entries()) {
    if (seeds.indexOf(seed) === index) continue;
    const message = "it stands there already, and the same seed gives the same run; remove it";
    context.addIssue({ code: "custom", path: [index], message });
  }
}

/** More are a mistake in the grid: each is a process, a folder and a row. */
const MOST_TRIALS = 1000;

const settings = z.record(z.string(), z.unknown());

/** What `rlpt sweep` runs. Training and evaluation of the file itself pay it no attention. */
export const sweepOptions = z
  .strictObject({
    points: z
      .array(
        z.strictObject({
          name: z
            .string()
            .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/, "use letters, digits, dot, dash and underscore")
            .describe("names the trial's folder and its row"),
          set: settings.default({}).describe("keys of this config with their values, as --set takes them"),
          start: z
            .boolean()
            .default(false)
            .describe("report the policy before training too, as a baseline without reinforcement learning"),
        }),
      )
      .default([])
      .describe("trials one by one, where a grid would hold too many"),
    grid: z
      .record(z.string(), z.array(z.unknown()).min(1))
      .default({})
      .describe("keys with a list of values each; every combination is a trial"),
    seeds: z
      .array(z.int().min(0))
      .min(1)
      .superRefine(differentSeeds)
      .optional()
      .describe("every trial runs with each; the config's seed when absent"),
    concurrency: z
      .int()
      .min(1)
      .optional()
      .describe("trials at a time; one for each processor core when absent"),
    score: z
      .enum(["accuracy", "reward_mean", "pass_at_k", "maj_at_k"])
      .default("accuracy")
      .describe("column of eval.csv that the trials are compared by, against the share that thinks"),
  })
  .superRefine(({ points, grid, seeds }, context) => {
    const inGrid = Object.values(grid).reduce((product, values) => product * values.length, 1);
    const trials = (points.length + (Object.keys(grid).length === 0 ? 0 : inGrid)) * (seeds?.length ?? 1);
    if (trials > MOST_TRIALS)
      context.addIssue({
        code: "custom",
        path: ["grid"],
        message: `it makes ${trials.toLocaleString("en")} trials, and at most ${MOST_TRIALS.toLocaleString("en")} run; give fewer values, or points`,
      });
    if (points.length === 0 && Object.keys(grid).length === 0)
      context.addIssue({ code: "custom", message: "nothing to run; give points or grid" });
    const names = points.map(({ name }) => name);
    for (const [index, name] of names.entries())
      if (names.indexOf(name) < index)
        context.addIssue({
          code: "custom",
          path: ["points", index, "name"],
          message: "another point has that name; their runs would share a folder",
        });
  });
export type SweepOptions = z.infer<typeof sweepOptions>;

/** A run of the sweep: the config with these keys set. */
export interface Trial {
  /** Of the point; the seed is not in it. */
  point: string;
  seed: number;
  set: Readonly<Record<string, unknown>>;
  start: boolean;
}

/** Points first, then every combination of the grid, each with every seed. */
export function layTrials(options: SweepOptions, defaultSeed: number): Trial[] {
  const combinations = Object.entries(options.grid).reduce<Record<string, unknown>[]>(
    (all, [key, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
    [{}],
  );
  const fromGrid = Object.keys(options.grid).length === 0 ? [] : combinations;
  const points = [
    ...options.points,
    ...fromGrid.map((set) => ({ name: combinationName(set), set, start: false })),
  ];
  return points.flatMap(({ name, set, start }) =>
    (options.seeds ?? [defaultSeed]).map((seed) => ({ point: name, seed, set, start })),
  );
}

/** `rewards.2.weight=-0.3,rewards.3.weight=-1` with what no file name should hold replaced. */
function combinationName(set: Readonly<Record<string, unknown>>): string {
  return Object.entries(set)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(",")
    .replaceAll(/[^A-Za-z0-9._=,+-]/g, "_");
}
