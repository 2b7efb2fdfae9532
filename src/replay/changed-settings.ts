/** Which settings a replay may change: those that score a batch and learn from it. */
import { stringify } from "yaml";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { recipeDifferences } from "../run/resume-check.ts";

const CHANGEABLE = /^(algorithm|rewards|shaping|optimizer|max_error_share)(\.|\[|$)/;
/** What of these decides over the batch, or over what a checkpoint must hold. */
const FIXED = /^algorithm\.(kind|rows_per_step|packing|row_length)$/;

export interface ChangedSetting {
  path: string;
  was: unknown;
  is: unknown;
}

/** @throws ConfigError with every setting that may not be changed, and why */
export function changedSettings(was: Recipe, is: Recipe): ChangedSetting[] {
  const differences = recipeDifferences(stringify(was), stringify(is));
  const faults = differences.flatMap(({ path }) =>
    !CHANGEABLE.test(path) || FIXED.test(path)
      ? [`${path}: a replay keeps the step's batch and weights, and this would make others`]
      : [],
  );
  const coefficient = ({ algorithm }: Recipe) => ("kl" in algorithm ? algorithm.kl.coef : 0);
  if (coefficient(was) === 0 && coefficient(is) > 0) {
    faults.push("algorithm.kl.coef: the run had no KL term, so it kept no reference policy");
  }
  if (faults.length > 0) {
    throw new ConfigError(
      `${faults.join("\n")}\nA replay may change algorithm, rewards, shaping and optimizer; rlpt train runs the rest.`,
    );
  }
  return differences;
}
