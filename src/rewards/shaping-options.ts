import { z } from "zod";

/** AutoThink's batch balance between thinking and direct completions. */
const modeBalance = z.strictObject({
  kind: z.literal("mode-balance"),
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      "share of a mode above which its rewards move to the targets; 1 is off (AutoThink's stage 1: 0.5)",
    ),
  lambda: z.number().min(0).default(2).describe("slope of that move; AutoThink's code has 2"),
  targets: z
    .strictObject({
      thinking_right: z.number().default(0).describe("reward of a right thought at the full move"),
      thinking_wrong: z.number().default(-1).describe("of a wrong thought"),
      direct_right: z.number().default(1).describe("of a right direct answer"),
      direct_wrong: z.number().default(-2).describe("of a wrong direct answer"),
    })
    .prefault({})
    .describe("rewards at the full move; AutoThink's"),
});

/** AutoThink's stage 3: length against the group's own, right and wrong apart. */
const groupLength = z.strictObject({
  kind: z.literal("group-length"),
  alpha: z.number().min(0).default(0.05).describe("how much short right completions gain and long ones lose"),
  beta: z.number().min(0).default(0.05).describe("how much long wrong completions gain and short ones lose"),
});

/** What sees a whole group or batch of rewards, in the order it is listed, after the parts are summed. */
export const shapingOptions = z.discriminatedUnion("kind", [modeBalance, groupLength]);
export const shapingListOptions = z.array(shapingOptions).default([]);
export type ShapingSpec = z.infer<typeof shapingOptions>;
export type ModeBalanceOptions = z.infer<typeof modeBalance>;
export type GroupLengthOptions = z.infer<typeof groupLength>;
