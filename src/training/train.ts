/** `rlpt train`: a resolved recipe to a run directory, from the start or from its newest checkpoint. */

import { isAbsolute, join, relative } from "node:path";
import { stringify } from "csv-stringify/sync";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { weightsSlot } from "../algorithms/learner-state.ts";
import type { Slots } from "../algorithms/slots.ts";
import type { StageOutcome } from "../algorithms/stage.ts";
import { type ProfileRow, startProfile } from "../backend/profile.ts";
import type { RecipeStage } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import { openSource } from "../data/source.ts";
import { AlarmError, InterruptedError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { VERSION } from "../lib/version.ts";
import type { ModelFiles, TrainablePolicy } from "../policy/interfaces.ts";
import { checkpointSteps } from "../run/checkpoint.ts";
import { createInterrupt, type Interrupt } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import { collectProvenance, recordResume, writeProvenance } from "../run/provenance.ts";
import { changedInputs, refuseChanges } from "../run/resume-check.ts";
import { createRunDirectory, openRun, writeRecipe } from "../run/run-directory.ts";
import { createUsageMeter } from "../run/usage.ts";
import { verdictsName } from "../run/verdict-log.ts";
import type { RunEnd } from "../trackers/service.ts";
import { trackLogs } from "../trackers/track-logs.ts";
import * as parts from "./assemble.ts";
import { fitting, openSlots, trainingState, WEIGHTS } from "./checkpoint-contents.ts";
import { checkAgreement, judgeParts, openJudges } from "./judges.ts";
import { dataFiles, runInputs } from "./run-inputs.ts";
import { firstEvaluation, runStage, type Session, type Steering } from "./run-stage.ts";

/** @returns the stages with every size filled in; the backend is a fresh one afterwards */
export type FitStages = (
  stages: readonly RecipeStage[],
  files: ModelFiles,
  backend: string,
  note: parts.Note,
) => Promise<readonly RecipeStage[]>;

export interface TrainingRequest {
  /** Of the recipe, in order; what is said once is said in the first. */
  stages: readonly RecipeStage[];
  /** model.path as it was given; for provenance. */
  givenModel?: string | null;
  /** Take up this run directory. */
  resume: string | null;
  /** Take it up though files or settings are not those that its steps were made with. */
  acceptChanges?: boolean;
  /** Taken as the run directory when new. */
  runDir: string | null;
  progress: Progress;
  command: readonly string[];
  /** For provenance and directory names, never for results. */
  now: Date;
  /** Fills in the sizes that the stages leave open, from what the machine's memory holds; nothing is loaded yet. */
  fit?: FitStages;
  /** Text of plan.json, which the run's end is compared with. */
  plan?: string;
  /** Times what computes. */
  profile?: boolean;
  /** A judge.jsonl whose verdicts are taken before anybody is asked; that of `resume` when absent. */
  verdicts?: string;
  /** For plans and replays; nothing in an ordinary run. */
  steering?: Steering;
  /** Says when to stop after a checkpoint; the signals of the process when absent. */
  interrupt?: Interrupt;
}

export interface TrainingResult {
  runDir: string;
  outcome: StageOutcome;
  /** Newest checkpoint. */
  checkpoint: string | null;
  first: Evaluation["metrics"] | null;
  last: Evaluation["metrics"] | null;
  /** Where the time went, the most expensive first; null where nobody asked. */
  profile: ProfileRow[] | null;
}

export async function train(request: TrainingRequest): Promise<TrainingResult> {
  const { progress } = request;
  const { recipe } = request.stages[0]!;
  const note = progress.note;
  const clock = () => performance.now() / 1000;
  const began = clock();

  // 1. everything that can be wrong with files is found before a run directory exists
  progress.phase?.(
    `loading ${recipe.model.path === undefined ? "the model" : displayPath(recipe.model.path)}`,
  );
  const files = await parts.openRecipeModel(recipe, note);
  const backend = await parts.assembleBackend(recipe, files);
  note(`backend ${backend.kind}: ${backend.description}`);
  const stages =
    request.resume === null && request.steering === undefined
      ? await (request.fit?.(request.stages, files, backend.kind, note) ?? request.stages)
      : request.stages;
  const profile = request.profile ? startProfile() : null;
  const policy = parts.assemblePolicy(recipe, files, { trainable: true, reference: false });
  files.weights.close();
  for (const text of policy.notes) note(text);
  for (const stage of stages) {
    await openSource(stage.recipe.data.train, stage.recipe.seed, "train", () => {});
  }
  note(
    `policy ${displayPath(files.source)}: ${policy.parameterCount.toLocaleString("en")} parameters, ${trainableCount(policy).toLocaleString("en")} trainable`,
  );

  const judging = judgeParts(stages);
  const stored = request.verdicts ?? (request.resume === null ? null : join(request.resume, verdictsName));
  const judges = judging.length === 0 ? null : openJudges(stored, (text) => note(text, "warning"));
  if (judges !== null && request.steering === undefined) await checkAgreement(judging, judges, note);

  // 2. the run directory: new, or taken up
  const provenance = await collectProvenance({
    rlptVersion: VERSION,
    seed: recipe.seed,
    time: request.now,
    command: request.command,
    model: request.givenModel ?? null,
    backend: {
      kind: backend.kind,
      device: backend.device,
      description: backend.description,
      ...backend.versions,
    },
    dataFiles: await dataFiles(stages),
    ...(request.steering === undefined ? { inputFiles: await runInputs(stages, files) } : {}),
    recipe: printResolved({ stages }),
    workingDirectory: process.cwd(),
  });
  // a run without a checkpoint begins anew; plans and replays change settings on purpose
  const begun = request.resume !== null && checkpointSteps(request.resume).length > 0;
  const changed = begun ? changedInputs(request.resume!, provenance) : [];
  const acceptChanges = request.acceptChanges === true || request.steering !== undefined;
  if (!acceptChanges) refuseChanges(request.resume ?? "", changed);
  const runDir =
    request.resume ??
    createRunDirectory({
      root: recipe.run.root,
      name: recipe.run.name ?? "run",
      seed: recipe.seed,
      time: request.now,
      ...(request.runDir === null ? {} : { directory: request.runDir }),
    });
  progress.run?.(runDir);
  // before anything else lies in it: killed from here on, the directory is a run that can be taken up
  if (request.resume === null) writeRecipe(runDir, printResolved({ stages }));
  judges?.verdicts.attach(join(runDir, verdictsName));
  const run = await openRun(runDir, { note: (text) => note(text, "warning"), acceptChanges });
  const interrupt =
    request.interrupt ??
    createInterrupt((signal) =>
      note(`${signal}: finishing the step and writing a checkpoint; again to stop at once`, "warning"),
    );
  let session: Session | null = null;
  let slots: Slots | null = null;
  let endTracking = async (_how: RunEnd): Promise<void> => {};
  let ended: RunEnd = "failed";
  try {
    if (request.plan !== undefined) writeFileAtomic(join(runDir, "plan.json"), request.plan);
    if (request.resume === null) writeProvenance(runDir, provenance);
    else {
      const changes = recordResume(runDir, provenance, run.from?.step ?? 0, changed);
      writeRecipe(runDir, printResolved({ stages }));
      for (const change of [...changes, ...changed.map(({ what }) => `${what} is not what it was`)]) {
        note(`${change}; results may differ from an uninterrupted run`, "warning", "changed-inputs");
      }
    }

    const names = request.steering === undefined ? (recipe.run.track ?? []) : [];
    const logs = trackLogs(run.logs, runDir, names, (text) => note(text, "warning"));
    endTracking = logs.endTracking;

    // 3. the stages, each from the weights of the one before; a resumed run begins inside one
    const state = run.from === null ? null : trainingState(run.from);
    const opened = openSlots(run.from);
    slots = opened;
    fitting(run.from, () => opened.tensors(WEIGHTS, weightsSlot(policy), "run"));
    const usage = createUsageMeter(runDir, clock, {
      began,
      resumed: request.resume !== null,
      compiled: () => policy.compilation()?.seconds ?? 0,
    });
    session = {
      stages,
      progress,
      steering: request.steering ?? {},
      usage,
      judges,
      clock,
      files,
      policy,
      run: { ...run, logs },
      interrupted: () => interrupt.poll(),
      slots: opened,
      last: null,
      newest: run.from?.directory ?? null,
    };
    let offset = state?.offset ?? 0;
    for (let index = state?.stage ?? 0; index < stages.length; index++) {
      const resumed = state !== null && index === state.stage ? state : null;
      const done = await runStage(session, index, offset, resumed);
      offset += done;
      if (offset >= (session.steering.stopAt ?? Number.POSITIVE_INFINITY)) break;
    }
    usage.write();
    const rows = profile?.() ?? null;
    if (rows !== null) writeFileAtomic(join(runDir, "profile.csv"), stringify(rows, { header: true }));
    ended = "finished";
    return {
      runDir,
      profile: rows,
      outcome: "finished",
      checkpoint: session.newest,
      first: firstEvaluation(opened).value,
      last: session.last,
    };
  } catch (error) {
    if (error instanceof InterruptedError || error instanceof AlarmError) ended = "interrupted";
    throw error;
  } finally {
    interrupt.dispose();
    await endTracking(ended);
    run.close();
    judges?.close();
    slots?.dispose();
    policy.dispose();
  }
}

function trainableCount(policy: TrainablePolicy): number {
  return [...policy.trainable.values()].reduce((sum, { size }) => sum + size, 0);
}

/** Relative where that is shorter: a model inside the working directory. */
function displayPath(path: string): string {
  const inside = relative("", path);
  return isAbsolute(path) && !inside.startsWith("..") ? inside : path;
}
