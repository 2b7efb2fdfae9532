import type { Command } from "commander";
import type { LoadOptions } from "../../config/load.ts";
import { AlarmError, ConfigError, InterruptedError } from "../../lib/errors.ts";
import type { RunEstimate } from "../../planning/smoke.ts";
import type { Progress } from "../../run/progress.ts";
import {
  colours,
  formatSeconds,
  print,
  printDocument,
  printJsonLine,
  printNote,
  table,
} from "../../terminal/terminal.ts";
import type { TrainingRequest, TrainingResult } from "../../training/train.ts";
import { collect, formerName } from "../flags.ts";
import type { Smoked } from "../train-request.ts";

export interface TrainFlags {
  set: string[];
  steps?: string;
  seed?: string;
  backend?: string;
  name?: string;
  out?: string;
  /** As `out`. */
  runDir?: string;
  resume?: string;
  acceptChanges?: boolean;
  dryRun?: boolean;
  plan?: boolean;
  smoke?: boolean;
  profile?: boolean;
  quiet?: boolean;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("train")
    .description("run a recipe: sample, score, update, write checkpoints and metrics")
    .argument("[config]", "YAML file; not needed with --resume")
    .option("--set <key=value>", "override a key, such as optimizer.lr=1e-5; again for more", collect, [])
    .option("--steps <n>", "short for --set steps=n")
    .option("--seed <n>", "short for --set seed=n")
    .option("--backend <kind>", "short for --set backend.kind=...")
    .option("--name <name>", "first part of the run directory's name")
    .option("--out <dir>", "use this run directory; it must be new or empty")
    .addOption(formerName("--run-dir"))
    .option("--resume <dir>", "go on from the newest checkpoint of a run directory")
    .option(
      "--accept-changes",
      "with --resume: go on though settings, data, weights or reward files are others; recorded in provenance.json",
    )
    .option("--dry-run", "print the resolved recipe and what would be done, then stop")
    .option(
      "--smoke",
      "a step or two of each stage and a small evaluation: does everything work? how long will it take?",
    )
    .option("--plan", "first a short probe: what the run will take; at its end, how far off that was")
    .option(
      "--profile",
      "what takes the time, by compiled program or kernel: a table, and profile.csv in the run",
    )
    .option("--quiet", "warnings and the result only")
    .option("--json", "everything as JSON lines on stdout; the last one has run, checkpoint and result")
    .action(async (config: string | undefined, flags: TrainFlags) => {
      if ((config === undefined) === (flags.resume === undefined)) {
        throw new ConfigError(
          config === undefined
            ? "rlpt train needs a config: rlpt train configs/quickstart.yaml (rlpt recipes ls lists what there is)"
            : "--resume takes the recipe from the run directory: leave the config out",
        );
      }
      for (const [flag, given] of [
        ["--resume", flags.resume !== undefined],
        ["--plan", flags.plan === true],
      ]) {
        if (flags.smoke && given)
          throw new ConfigError(`--smoke makes a short run of its own: leave ${flag} out`);
      }
      const { prepare } = await import("../train-request.ts");
      const prepared = await prepare(config, flags);
      if (flags.dryRun) {
        printDocument(prepared.plan);
        return;
      }
      if (flags.resume !== undefined) {
        const { stages } = prepared.request;
        const { finishedRun } = await import("../finished-run.ts");
        const finished = await finishedRun(flags.resume, stages);
        if (finished !== null) {
          if (flags.json) printJsonLine(resultEvent("finished", finished));
          else print(`${summary(finished)}\nIt has done its steps; --steps with a larger number goes on.`);
          return;
        }
      }
      const { train } = await import("../../training/train.ts");
      const plan = flags.plan && flags.resume === undefined ? await planned(config!, prepared.load) : null;
      if (plan !== null && !flags.quiet && !flags.json) printNote(plan.text);
      const request = {
        ...prepared.request,
        ...(plan === null ? {} : { plan: plan.json }),
        ...(flags.profile ? { profile: true } : {}),
      };
      const { smoked } = prepared;
      const result = await (flags.json ? trainAsJson(train, request, smoked) : train(request));
      if (flags.json) return;
      print(summary(result));
      if (smoked !== null) print(smokeSummary(config!, prepared.request, await smoked(result.runDir)));
      if (result.profile !== null) print(`\n${renderProfile(result.profile)}\n`);
      const accuracy = await planLine(result.runDir);
      if (accuracy !== "") print(`${colours.bold("plan")}       ${accuracy}`);
      if (!flags.quiet) printNote("");
    });
}

/** The last line of --json. Metrics are those of the first and the last evaluation; null without one. */
function resultEvent(
  status: "finished" | "interrupted" | "stopped-by-alarm" | "failed",
  result: Pick<TrainingResult, "checkpoint" | "first" | "last"> & { runDir: string | null },
  { error, inFull }: { error?: string; inFull?: RunEstimate | null } = {},
): object {
  const { runDir: run, checkpoint, first, last } = result;
  return {
    ...{ event: "result", status, run, checkpoint, first, last },
    ...(inFull === undefined ? {} : { in_full: inFull }),
    ...(error === undefined ? {} : { error }),
  };
}

/** Trains, and ends the JSON lines with a result whatever becomes of the run. */
async function trainAsJson(
  train: (request: TrainingRequest) => Promise<TrainingResult>,
  request: TrainingRequest,
  smoked: Smoked | null,
): Promise<TrainingResult> {
  let run: string | null = null;
  const progress: Progress = {
    ...request.progress,
    run(directory) {
      run = directory;
      request.progress.run?.(directory);
    },
  };
  try {
    const result = await train({ ...request, progress });
    const inFull = smoked === null ? undefined : await smoked(result.runDir);
    printJsonLine(resultEvent("finished", result, inFull === undefined ? {} : { inFull }));
    return result;
  } catch (error) {
    const { latestCheckpoint } = await import("../../run/checkpoint.ts");
    const newest = run === null ? null : await latestCheckpoint(run).catch(() => null);
    const status =
      error instanceof InterruptedError
        ? "interrupted"
        : error instanceof AlarmError
          ? "stopped-by-alarm"
          : "failed";
    const place = { runDir: run, checkpoint: newest?.directory ?? null, first: null, last: null };
    const reason = error instanceof Error ? error.message : String(error);
    printJsonLine(resultEvent(status, place, { error: reason }));
    throw error;
  }
}

async function planned(config: string, load: LoadOptions): Promise<{ text: string; json: string }> {
  const { planRun } = await import("../../planning/plan.ts");
  const { renderPlan } = await import("../../planning/render.ts");
  const plan = await planRun(config, load);
  return { text: `${renderPlan(plan)}\n`, json: `${JSON.stringify(plan, null, 2)}\n` };
}

/** How far off the run's plan was; "" where none was made. */
async function planLine(runDir: string): Promise<string> {
  const { planAccuracy } = await import("../../report/plan-accuracy.ts");
  const { renderAccuracy } = await import("../../planning/render.ts");
  return renderAccuracy(planAccuracy(runDir) ?? []);
}

/** The rows that take the most, and their share of all. */
function renderProfile(rows: NonNullable<TrainingResult["profile"]>): string {
  const total = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const shown = rows.slice(0, 20);
  const compiles = rows.some(({ compileMilliseconds }) => compileMilliseconds !== null);
  return table([
    ["share", "ms", "calls", "ms/call", ...(compiles ? ["compile ms", "own MB"] : []), "what", "shapes"].map(
      colours.bold,
    ),
    ...shown.map(({ name, shapes, calls, milliseconds, compileMilliseconds, ownBytes }) => [
      `${((100 * milliseconds) / Math.max(1e-9, total)).toFixed(1)}%`,
      milliseconds.toFixed(0),
      String(calls),
      (milliseconds / Math.max(1, calls)).toFixed(2),
      ...(compiles
        ? [(compileMilliseconds ?? 0).toFixed(0), ownBytes === null ? "" : (ownBytes / 1e6).toFixed(0)]
        : []),
      name,
      shapes,
    ]),
  ]);
}

/** What a smoke run has shown. */
function smokeSummary(config: string, { stages }: TrainingRequest, inFull: RunEstimate | null): string {
  const { eval: evaluation } = stages[0]!.recipe;
  const steps = stages.map(({ name, recipe }) => `${recipe.steps} of ${name}`).join(", ");
  const evaluated = evaluation === undefined ? "" : `evaluated on up to ${evaluation.limit} prompts, `;
  const lines = [
    `${colours.bold("smoke")}      everything works: trained ${steps === "" ? "" : `steps (${steps})`}, ${evaluated}wrote checkpoints`,
  ];
  if (inFull !== null) {
    const { low_s, high_s, steps, evaluations, atMost } = inFull;
    const time =
      high_s < 1.2 * low_s ? formatSeconds(high_s) : `${formatSeconds(low_s)} to ${formatSeconds(high_s)}`;
    const count = (n: number, what: string) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
    lines.push(
      `${colours.bold("in full")}    ${atMost ? "at most about" : "about"} ${time} at this pace: ${count(steps, "step")}, ${count(evaluations, "evaluation")}; rlpt plan ${config} says memory and disk too`,
    );
  }
  return lines.join("\n");
}

function summary(result: TrainingResult): string {
  const { first, last } = result;
  const percent = (value: number | undefined) => (value === undefined ? "?" : `${(100 * value).toFixed(1)}%`);
  const lines = [];
  if (first !== null && last !== null) {
    lines.push(
      `${colours.bold("held-out accuracy")} ${percent(first["accuracy"])} -> ${colours.green(percent(last["accuracy"]))}` +
        ` [${percent(last["accuracy_low"])}, ${percent(last["accuracy_high"])}],` +
        ` tokens ${first["tokens_mean"]?.toFixed(1)} -> ${last["tokens_mean"]?.toFixed(1)}`,
    );
  }
  lines.push(`${colours.bold("run")}        ${result.runDir}`);
  if (result.checkpoint !== null) lines.push(`${colours.bold("checkpoint")} ${result.checkpoint}`);
  return lines.join("\n");
}
