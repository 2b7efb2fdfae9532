/** Evaluations from a program: what `rlpt eval` does, without a terminal. */
import type { Evaluation } from "../algorithms/evaluate.ts";
import type { LoadOptions } from "../config/load.ts";
import { evaluateTarget } from "../training/evaluate-target.ts";

export interface EvaluateOptions extends Pick<LoadOptions, "set" | "seed" | "backend"> {
  /** Which checkpoint of a run: `latest`, `best`, or a step. Default: `latest`. */
  checkpoint?: string | number;
  /** Data and rewards, where the target is a model. */
  config?: string;
  /** Told in sentences what is remarkable. */
  onNote?: (text: string) => void;
}

/**
 * Samples completions for a recipe's `data.eval` and scores them.
 * @param target a run directory, a checkpoint in it, a config, or, with `config`, a model
 * @returns `metrics` of all prompts (accuracy with its interval, tokens_mean, pass_at_k, ...), `rows` by slice, and each
 *   prompt with its completions and scores
 * @throws ConfigError when there is nothing to evaluate at that path, or no data.eval
 */
export async function evaluate(
  target: string,
  { checkpoint, config, onNote = () => {}, ...load }: EvaluateOptions = {},
): Promise<Evaluation> {
  const options = {
    ...load,
    ...(config === undefined ? {} : { config }),
    ...(checkpoint === undefined ? {} : { which: String(checkpoint) }),
  };
  const { evaluation } = await evaluateTarget(
    target,
    options,
    { csv: null, prompts: null, completions: null },
    onNote,
  );
  return evaluation;
}
