/** `rlpt train --resume` of a run that has nothing left to do: killed after its last checkpoint, or resumed once more. */
import type { RecipeStage } from "../config/load.ts";
import { surveyCheckpoints } from "../run/checkpoint.ts";
import { removeLeftovers, restoreNames } from "../run/checkpoint-recovery.ts";
import { isFinished } from "../run/finished.ts";
import { lockRun } from "../run/lock.ts";
import { openSlots } from "../training/checkpoint-contents.ts";
import { firstEvaluation } from "../training/run-stage.ts";
import type { TrainingResult } from "../training/train.ts";

/**
 * @returns null where steps are left, or where the newest checkpoint is damaged
 * @throws CheckpointError when a process that lives writes the run
 */
export async function finishedRun(
  runDir: string,
  stages: readonly RecipeStage[],
): Promise<TrainingResult | null> {
  const steps = stages.map(({ recipe }) => recipe.steps);
  const found = await surveyCheckpoints(runDir, "sizes");
  if (found.latest === null || !isFinished(found.latest.state, steps)) return null;
  const lock = lockRun(runDir);
  try {
    await restoreNames(runDir);
    const { latest, damaged } = await surveyCheckpoints(runDir, "hashes");
    if (latest === null || damaged.length > 0 || !isFinished(latest.state, steps)) return null;
    await removeLeftovers(runDir);
    const { metrics } = latest.manifest;
    return {
      runDir,
      outcome: "finished",
      checkpoint: latest.directory,
      first: firstEvaluation(openSlots(latest)).value,
      last: Object.keys(metrics).length === 0 ? null : metrics,
      profile: null,
    };
  } finally {
    lock.release();
  }
}
