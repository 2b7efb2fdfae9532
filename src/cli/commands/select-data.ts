import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import type { ScoredPool } from "../../selection/pool.ts";
import type { Selection } from "../../selection/select.ts";
import { colours, print, printJson, printWarning, table } from "../../terminal/terminal.ts";
import { wholeNumber } from "../flags.ts";

interface SelectFlags {
  threshold?: string;
  top?: string;
  count?: string;
  random?: string;
  round?: string;
  signal: string;
  epochs?: string;
  stage?: string;
  scores?: string;
  dumps?: string;
  prompts?: string;
  column: string;
  stepsPerEpoch?: string;
  maxInvalid: string;
  out?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("select-data")
    .description(
      "LIM scores (LIMR): how closely each prompt's reward follows the pool's; writes the best ones",
    )
    .argument("[target]", "run directory, or a config whose newest run is taken")
    .option("--threshold <t>", "scores of at least t; 0.6 when no rule is given")
    .option("--top <share>", "this share of the pool, the best scores")
    .option("--count <n>", "this many, the best scores")
    .option("--random <draw>", "instead, a uniform subset of that size: number 1, 2, ... of several draws")
    .option("--round <digits>", "round scores before selecting; 2 as in LIMR's release")
    .option(
      "--signal <what>",
      "reward: the mean reward of an epoch; accuracy: the share of right answers",
      "reward",
    )
    .option("--epochs <k>", "the first k epochs; all that were recorded by default")
    .option("--stage <name>", "of a run with several stages")
    .option("--scores <file>", "published scores {prompt, score} instead of a run; needs --prompts")
    .option(
      "--dumps <dir>",
      "another tool's step_<n>.json instead of a run; needs --prompts, --steps-per-epoch",
    )
    .option("--prompts <file>", "the pool: JSON, JSON lines or CSV")
    .option("--column <name>", "column of the pool that holds the prompt", "prompt")
    .option("--steps-per-epoch <n>", "rollout steps of one pass over the pool in the dumps")
    .option("--max-invalid <share>", "refuse when more prompts than this have no score", "0.2")
    .option("--out <dir>", "where to write; selection in the run directory, or here")
    .option("--json", "machine-readable output")
    .action(async (target: string | undefined, flags: SelectFlags) => {
      await selectData(target, flags);
    });
}

async function selectData(target: string | undefined, flags: SelectFlags): Promise<void> {
  const sources = [target, flags.scores, flags.dumps].filter((source) => source !== undefined);
  if (sources.length !== 1) {
    throw new ConfigError(
      "rlpt select-data needs one source: a run or config, --scores with --prompts, or --dumps with --prompts",
    );
  }
  const settings = readSettings(flags);
  const { signal, epochs } = settings.source;
  const pools = await import("../../selection/pool.ts");
  let pool: ScoredPool;
  let out = flags.out ?? "selection";
  if (target !== undefined) {
    refuse(flags.prompts, "--prompts", "the pool is the run's training data");
    refuse(flags.stepsPerEpoch, "--steps-per-epoch", "the run recorded its epochs");
    const { join } = await import("node:path");
    const runDir = pools.findMeasuredRun(target);
    const { checkRuns } = await import("../check-files.ts");
    const config = join(runDir, "recipe.yaml");
    const look = { fetch: false, weights: false, parts: ["train"], model: false } as const;
    for (const text of await checkRuns([{ config, options: {} }], look)) if (!flags.json) printWarning(text);
    pool = await pools.poolFromRun(runDir, { signal, epochs, stage: flags.stage ?? null });
    out = flags.out ?? join(runDir, "selection");
  } else {
    if (flags.prompts === undefined)
      throw new ConfigError("--prompts is missing: the file that is selected from");
    refuse(flags.stage, "--stage", "only runs of ours have stages");
    if (flags.scores !== undefined) {
      refuse(flags.epochs, "--epochs", "the scores are made already");
      refuse(flags.stepsPerEpoch, "--steps-per-epoch", "the scores are made already");
      pool = pools.poolFromScores(flags.scores, flags.prompts, flags.column);
    } else {
      const stepsPerEpoch = optional(flags.stepsPerEpoch, "--steps-per-epoch", 1);
      if (stepsPerEpoch === null) throw new ConfigError("--dumps needs --steps-per-epoch (LIMR: 8)");
      pool = pools.poolFromDumps(flags.dumps!, flags.prompts, {
        signal,
        epochs,
        stepsPerEpoch,
        column: flags.column,
      });
    }
  }
  const { selectFromPool, writeSelection } = await import("../../selection/select.ts");
  const selection = selectFromPool(pool, settings);
  const path = await writeSelection(out, pool, selection, settings);
  if (flags.json) {
    printJson({
      path,
      selected: selection.size,
      pool: pool.rows.length,
      without_score: pool.invalid,
      threshold: selection.threshold,
      size_around: selection.around,
      slices: selection.slices,
    });
    return;
  }
  for (const note of pool.notes) printWarning(note);
  print(describe(pool, selection, flags.random !== undefined));
  print(`${colours.bold("written")} ${path}, with scores.csv, histogram.csv, selection.json`);
}

function readSettings(flags: SelectFlags) {
  const given = (["threshold", "top", "count"] as const).filter((name) => flags[name] !== undefined);
  if (given.length > 1) {
    throw new ConfigError(`--${given.join(" and --")}: each is a rule by itself; give one`);
  }
  const { signal } = flags;
  if (signal !== "reward" && signal !== "accuracy") {
    throw new ConfigError(`--signal ${signal}: use reward or accuracy`);
  }
  const rule =
    flags.top !== undefined
      ? {
          kind: "top" as const,
          share: decimal(flags.top, "--top", (x) => x > 0 && x <= 1, "above 0, at most 1"),
        }
      : flags.count !== undefined
        ? { kind: "count" as const, count: wholeNumber(flags.count, "--count", 1) }
        : {
            kind: "threshold" as const,
            threshold: decimal(
              flags.threshold ?? "0.6",
              "--threshold",
              (x) => x <= 1,
              "at most 1, the best score",
            ),
          };
  return {
    rule,
    round: optional(flags.round, "--round", 0),
    random: optional(flags.random, "--random", 0),
    maxInvalid: decimal(flags.maxInvalid, "--max-invalid", (x) => x >= 0 && x <= 1, "between 0 and 1"),
    source: {
      signal: signal as "reward" | "accuracy",
      epochs: optional(flags.epochs, "--epochs", 1),
      stage: flags.stage ?? null,
      steps_per_epoch: flags.stepsPerEpoch === undefined ? null : Number(flags.stepsPerEpoch),
    },
  };
}

function refuse(value: string | undefined, flag: string, why: string): void {
  if (value !== undefined)
    throw new ConfigError(`${flag} ${value}: has no meaning here, ${why}; leave it out`);
}

function decimal(text: string, flag: string, allows: (x: number) => boolean, range: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || !allows(value)) {
    throw new ConfigError(`${flag} ${text}: give a number ${range}`);
  }
  return value;
}

function optional(text: string | undefined, flag: string, least: number): number | null {
  return text === undefined ? null : wholeNumber(text, flag, least);
}

function describe(pool: ScoredPool, selection: Selection, random: boolean): string {
  const lines: string[] = [];
  const most = Math.max(1, ...selection.histogram.map(({ count }) => count));
  const bars = selection.histogram.map(({ low, high, count }) => [
    low.toFixed(1),
    high.toFixed(1),
    String(count),
    "#".repeat(Math.ceil((40 * count) / most)),
  ]);
  lines.push(
    table(bars, { header: ["score from", "below", "rows", ""], align: ["right", "right", "right"] }),
  );
  if (pool.seen !== null) {
    lines.push(
      `prompts by epochs seen  ${pool.seen.map((count, k) => `${k}: ${count}`).join("  ")}`,
      `mean curve              ${pool.average.map((value) => value.toFixed(3)).join(" ")}`,
    );
  }
  lines.push(`without a score         ${pool.invalid} of ${pool.distinct} distinct prompts`);
  if (pool.completions !== null) {
    lines.push(`measuring took          ${pool.completions.toLocaleString("en")} completions`);
  }
  const sizes = selection.around.map(({ threshold, size }) => `>= ${Number(threshold.toFixed(4))}: ${size}`);
  if (sizes.length > 0) lines.push(`size by threshold       ${sizes.join("  ")}`);
  const slices = Object.entries(selection.slices).map(([name, { pool: all, selected }]) => [
    name,
    String(all),
    String(selected),
  ]);
  if (slices.length > 0) {
    lines.push(table(slices, { header: ["slice", "pool", "selected"], align: ["left", "right", "right"] }));
  }
  const what = random ? "drawn at random" : "selected";
  lines.push(
    `${colours.bold(what)} ${selection.size.toLocaleString("en")} of ${pool.rows.length.toLocaleString("en")} problems`,
  );
  return lines.join("\n");
}
