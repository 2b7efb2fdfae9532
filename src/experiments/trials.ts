/** The trials of a config's sweep section, each with its recipe checked. What a flag sets holds in every trial. */
import { ConfigFaultsError, type Fault } from "../config/faults.ts";
import { type LoadOptions, loadRecipe, type ResolvedRecipe } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import { layTrials, type Trial } from "../config/sweep-options.ts";
import { faultWords } from "../config/words.ts";
import { ConfigError } from "../lib/errors.ts";

export interface PlacedTrial {
  trial: Trial;
  /** `<point>-s<seed>` */
  name: string;
  options: LoadOptions;
}

/** @throws ConfigError where there is no sweep section, where a trial's recipe is wrong, or two are the same */
export function placeTrials(
  config: string,
  options: LoadOptions,
): { base: ResolvedRecipe; sweep: NonNullable<ResolvedRecipe["sweep"]>; trials: PlacedTrial[] } {
  const base = loadRecipe(config, options);
  const { sweep } = base;
  if (sweep === null) {
    throw new ConfigError(
      `${config}: there is no sweep section to say what varies; add one, such as sweep: {grid: {optimizer.lr: [1e-4, 3e-4]}}`,
    );
  }
  const faults: Fault[] = [];
  const fault = (reason: string, fix: string): void => {
    const origin = base.originOf(0, ["sweep"]);
    faults.push({ code: "rule", rule: "sweep", path: ["sweep"], origin, reason, fix });
  };
  const known = new Map<string, string>();
  const trials = layTrials(sweep, base.recipe.seed).map((trial): PlacedTrial => {
    const settings = Object.entries(trial.set).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const name = `${trial.point}-s${trial.seed}`;
    const placed = {
      trial,
      name,
      options: { ...options, set: [...settings, ...(options.set ?? [])], seed: trial.seed },
    };
    try {
      const resolved = printResolved(loadRecipe(config, placed.options));
      const same = known.get(resolved);
      if (same !== undefined) {
        fault(
          `trials ${same} and ${name} are one and the same`,
          "let a key differ, or take back the --set of a key that the sweep varies",
        );
      }
      known.set(resolved, name);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      fault(
        `trial ${trial.point} is wrong`,
        `correct what it sets:\n${error.message.replaceAll(/^/gm, "  ")}`,
      );
    }
    return placed;
  });
  if (faults.length > 0) throw new ConfigFaultsError(faults.map(faultWords).join("\n"), faults);
  return { base, sweep, trials };
}
