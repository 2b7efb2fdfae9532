import type { RewardSpec } from "../../src/rewards/options.ts";
import { createScorer, type Score, type ScoreContext } from "../../src/rewards/score.ts";
import type { RewardInput } from "../../src/types.ts";

/** Scores one batch: `createScorer` for a single use. @throws RewardError, ConfigError */
export async function scoreCompletions(
  inputs: readonly RewardInput[],
  specs: readonly RewardSpec[],
  context: ScoreContext,
): Promise<Score[]> {
  const scorer = await createScorer(specs, context);
  try {
    return await scorer(inputs);
  } finally {
    await scorer.close();
  }
}
