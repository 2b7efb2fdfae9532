import { z } from "zod";

/** What every environment has. */
export const common = {
  max_turns: z
    .int()
    .min(1)
    .default(8)
    .describe("turns of an episode at most; one that reaches it ends with `turns`"),
  max_turn_tokens: z
    .int()
    .min(1)
    .optional()
    .describe(
      "token limit of one turn, which then counts as it is; an episode has rollout.max_new_tokens for all its turns and observations. Default: what is left of these",
    ),
  max_observation_tokens: z
    .int()
    .min(1)
    .default(1024)
    .describe(
      "longest observation, as ids with what the chat template writes around it; a longer one ends the episode with `observation`",
    ),
  timeout_ms: z
    .int()
    .min(50)
    .default(10_000)
    .describe("longest call of reset or step, wall time; the episode ends with `deadline` then"),
  memory_mb: z
    .int()
    .min(16)
    .default(512)
    .describe("heap of the thread that runs a file; the episode whose call fills it ends with `memory`"),
  cohorts: z
    .int()
    .min(1)
    .default(1)
    .describe(
      "parts that the episodes of a batch are split into, by prompt: while one waits for its environment, another generates. A part goes on when all its episodes have their answers, so that the bytes do not depend on who answers first",
    ),
  credit: z
    .enum(["outcome", "turn-discount"])
    .default("outcome")
    .describe(
      "outcome: one advantage for all turns, of the sum of rewards. turn-discount: each turn has its own return, sum of gamma^k times the reward k turns later, compared with all turns of the group",
    ),
  gamma: z.number().min(0).max(1).default(1).describe("discount a turn of credit turn-discount"),
};
