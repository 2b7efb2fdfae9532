/** The runs that a file stands for: a recipe's own, a sweep's trials, an experiment's or a claim's arms. */
import { type LoadOptions, loadRecipe } from "../config/load.ts";
import { claimRuns, isClaim, loadClaim } from "../experiments/claim.ts";
import { isExperiment, loadExperiment } from "../experiments/experiment.ts";
import { placeTrials } from "../experiments/trials.ts";
import type { Planned } from "./check-files.ts";

/** @throws ConfigFaultsError with every fault of the file and of each run's recipe */
export function plannedRuns(file: string, load: LoadOptions & { set: readonly string[] }): Planned[] {
  if (isExperiment(file)) {
    const { config, runs } = loadExperiment(file, { set: [...load.set] });
    return runs.map(({ set, seed }) => ({ config, options: { set, seed } }));
  }
  if (isClaim(file)) return claimRuns(loadClaim(file, { set: load.set }));
  const own = { config: file, options: load };
  if (loadRecipe(file, load).sweep === null) return [own];
  return [own, ...placeTrials(file, load).trials.map(({ options }) => ({ config: file, options }))];
}
