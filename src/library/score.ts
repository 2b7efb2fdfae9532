/** Rewards of completions, by the parts of a recipe. */
import { regroup, rewardInputs } from "../algorithms/rollout.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { gradeAnswers } from "../rewards/math/grader.ts";
import { assembleScorer } from "../training/assemble.ts";
import { judgeParts, openJudges } from "../training/judges.ts";
import type { Group, RewardInput, RewardStatus, ScoredCompletion, Tokenizer } from "../types.ts";

/** Scores completions; close it when done, for reward files run in threads of their own. */
export interface Scoring {
  /**
   * Rewards of a rollout.
   * @returns each completion with its reward, in the groups' order. [P][G]
   * @throws RewardError when more than `max_error_share` of the completions could not be scored
   */
  groups(groups: readonly Group[], tokenizer: Tokenizer): Promise<ScoredCompletion[][]>;
  /** Rewards of texts that came from elsewhere. @returns in their order */
  texts(
    inputs: readonly (Pick<RewardInput, "completion" | "answer"> & Partial<RewardInput>)[],
  ): Promise<Pick<ScoredCompletion, "reward" | "status" | "parts" | "correct" | "thinks">[]>;
  close(): Promise<void>;
}

/**
 * Opens the reward parts of a recipe.
 * @throws ConfigError when a reward file cannot be loaded
 */
export async function createScorer(
  recipe: Pick<Recipe, "rewards" | "max_error_share" | "seed">,
): Promise<Scoring> {
  if (recipe.rewards.length === 0) throw new ConfigError("the recipe has no rewards");
  const judges = judgeParts([{ recipe }]).length === 0 ? null : openJudges(null, () => {});
  const score = await assembleScorer(recipe, judges);
  return {
    async groups(groups, tokenizer) {
      const scores = await score(rewardInputs(tokenizer, groups));
      return regroup(scores, groups).map((group, p) =>
        group.map((one, g) => ({ ...groups[p]!.completions[g]!, ...one })),
      );
    },
    async texts(inputs) {
      const all = inputs.map((input) => ({
        finishReason: "eos" as const,
        tokens: 0,
        promptText: "",
        fields: {},
        ...input,
      }));
      return [...(await score(all))];
    },
    close: async () => {
      await score.close();
      judges?.close();
    },
  };
}

/** Whether an answer equals the gold one. `equal` means something where the status is `ok`. */
export interface Grade {
  equal: boolean;
  /** `unparsed`: the answer cannot be read; `error`: the gold one cannot; `timeout`: undecided after `timeoutMs`. */
  status: RewardStatus;
  /** Why it is not `ok`. */
  note?: string;
}

/**
 * Mathematical equality of two answers in LaTeX or plain text, as the reward kind `math` decides it: `\frac12` is `0.5`.
 * @param answer the bare answer, not the completion around it
 * @param options.timeoutMs longest comparison, wall clock; real ones take under a millisecond
 */
export async function grade(
  answer: string,
  gold: string,
  { timeoutMs = 2000 }: { timeoutMs?: number } = {},
): Promise<Grade> {
  const [verdict] = await gradeAnswers([{ candidate: answer, gold }], timeoutMs);
  return verdict!;
}
