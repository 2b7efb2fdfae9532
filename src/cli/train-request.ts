/** Flags of `rlpt train` to a request: what runs, and where it goes on. */
import { join } from "node:path";
import { rowsOf, updatesOf } from "../algorithms/declaration.ts";
import { algorithmOf } from "../algorithms/kinds.ts";
import type { LoadOptions, RecipeStage } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import type { Recipe } from "../config/schema.ts";
import { CheckpointError } from "../lib/errors.ts";
import type { RunEstimate } from "../planning/smoke.ts";
import { isResumable, recipeDifferences } from "../run/resume-check.ts";
import { readRecipe } from "../run/run-directory.ts";
import { readUsage } from "../run/usage.ts";
import { terminalProgress } from "../terminal/progress.ts";
import type { TrainingRequest } from "../training/train.ts";
import type { TrainFlags } from "./commands/train.ts";

export async function prepare(
  config: string | undefined,
  flags: TrainFlags,
): Promise<{ request: TrainingRequest; load: LoadOptions; plan: string; smoked: Smoked | null }> {
  const file = config ?? join(flags.resume!, "recipe.yaml");
  if (flags.resume !== undefined) readRecipe(flags.resume); // says so when it is no run directory
  const load: LoadOptions = {
    set: flags.set,
    ...(flags.steps === undefined ? {} : { steps: flags.steps }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags.backend === undefined ? {} : { backend: flags.backend }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
  };
  // what is wrong with config and files is said together
  const { loadWhole } = await import("./check-files.ts");
  const loaded = await loadWhole(file, load);
  const { givenModel } = loaded;
  const { stages, smoked } = await smoke(loaded.stages, flags.smoke === true);
  if (flags.resume !== undefined && flags.acceptChanges !== true) {
    const changed = recipeDifferences(readRecipe(flags.resume), printResolved({ stages })).filter(
      ({ path }) => !isResumable(path),
    );
    if (changed.length > 0) {
      const list = changed.map(
        ({ path, was, is }) => `  ${path}: ${JSON.stringify(was)} -> ${JSON.stringify(is)}`,
      );
      throw new CheckpointError(
        `a resumed run cannot change what its steps were made with; start a new run, or go on with --accept-changes:\n${list.join("\n")}`,
        { exitCode: 2 },
      );
    }
  }
  const { Preflight } = await import("../training/preflight.ts");
  const progress = terminalProgress({
    mode: flags.json ? "json" : flags.quiet ? "quiet" : "auto",
    title: stages[0]!.recipe.run.name ?? "run",
    stages: stages.map(({ name }) => name),
  });
  const preflight = new Preflight({
    fetch: flags.dryRun !== true,
    weights: true,
    progress: (text) => progress.note(text),
  });
  for (const text of await preflight.check(loaded)) progress.note(text, "warning");
  return {
    request: {
      stages,
      givenModel,
      resume: flags.resume ?? null,
      ...(flags.acceptChanges === true ? { acceptChanges: true } : {}),
      runDir: flags.out ?? flags.runDir ?? null,
      progress,
      fit: async (...stage) => (await import("../planning/memory-limit.ts")).fitToMemory(...stage),
      command: process.argv.slice(1),
      now: new Date(),
    },
    load,
    smoked,
    plan: `${printResolved({ stages })}\n${describePlan(stages, flags)}`,
  };
}

/** What the run in full will take, from the smoke run in this directory. */
export type Smoked = (runDir: string) => Promise<RunEstimate | null>;

async function smoke(
  stages: readonly RecipeStage[],
  wanted: boolean,
): Promise<{ stages: readonly RecipeStage[]; smoked: Smoked | null }> {
  if (!wanted) return { stages, smoked: null };
  const { estimateFromSmoke, smokeStages } = await import("../planning/smoke.ts");
  const short = smokeStages(stages);
  return {
    stages: short,
    smoked: async (runDir) => {
      const usage = readUsage(runDir);
      return usage === null ? null : estimateFromSmoke(stages, short, usage);
    },
  };
}

/** What would be done, in words; as YAML comments, so that the output of --dry-run is a config. */
function describePlan(stages: readonly RecipeStage[], flags: TrainFlags): string {
  const { run, seed, data, eval: evaluation } = stages[0]!.recipe;
  const lines = stages.flatMap(({ name, recipe, until }) => [
    `# plan: ${recipe.steps} steps of ${recipe.algorithm.kind}${stages.length > 1 ? `, stage ${name}` : ""}`,
    ...describeStage(recipe),
    ...(until === undefined
      ? []
      : [
          `#   ends before that when the mean of ${until.metric} over ${until.window} steps ${until.above === undefined ? `falls to ${until.below}` : `reaches ${until.above}`}`,
        ]),
  ]);
  if (data.eval !== undefined && evaluation !== undefined) {
    lines.push(
      `#   evaluation at the start, ${evaluation.every > 0 ? `every ${evaluation.every} steps ` : ""}and at the end`,
    );
  }
  lines.push(
    `#   checkpoint every ${run.checkpoint_every} steps in ${flags.resume ?? flags.out ?? flags.runDir ?? join(run.root, `${run.name}-<time>-s${seed}`)}`,
  );
  return lines.join("\n");
}

function describeStage({ algorithm, rollout, rewards, model, steps }: Recipe): string[] {
  const { samples, learnsFrom, batch, describe } = algorithmOf(algorithm);
  const shape = batch(algorithm, rollout);
  const more = describe(algorithm).map((line) => `#   ${line}`);
  if (!samples) {
    const packed = shape.rowLength === null ? "" : ` of ${shape.rowLength} tokens, packed`;
    return [`#   each: ${shape.units} ${shape.unit}${packed}`, ...more];
  }
  const rows = rowsOf(shape);
  const updates = updatesOf(shape);
  return [
    `#   each: ${shape.units} ${shape.unit} x ${shape.rowsPerUnit} completions = ${rows} rows of up to ${rollout.max_new_tokens} new tokens, ${updates} optimizer update${updates === 1 ? "" : "s"}`,
    `#   in all up to ${(steps * rows).toLocaleString("en")} completions`,
    ...(learnsFrom === "rewards"
      ? [`#   rewards: ${rewards.map((part) => `${part.weight} x ${part.name ?? part.kind}`).join(" + ")}`]
      : []),
    ...more,
    ...(model.lora === undefined ? [] : [`#   LoRA of rank ${model.lora.rank}`]),
  ];
}
