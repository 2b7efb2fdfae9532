import { z } from "zod";
import type { ShapingKind } from "./kind.ts";

/** What LASER and LASER-D share. */
export const laserStep = {
  alpha: z
    .number()
    .min(0)
    .default(0.5)
    .describe("bonus of a right completion that is short enough; LASER's code: 0.5"),
  mode: z
    .enum(["reward", "penalty", "hybrid"])
    .default("reward")
    .describe(
      "of right completions: reward adds alpha up to the target, penalty takes it off beyond, hybrid does both. The paper's is reward, the code knows the others",
    ),
};

const options = z.strictObject({
  kind: z.literal("laser"),
  ...laserStep,
  target_tokens: z
    .int()
    .min(1)
    .describe("length up to which a right completion gets alpha; well below the token limit of a completion"),
});

/** What a right completion's length adds to its reward. */
export function lengthStep(
  tokens: number,
  target: number,
  { alpha, mode }: { alpha: number; mode: "reward" | "penalty" | "hybrid" },
): number {
  if (tokens <= target) return mode === "penalty" ? 0 : alpha;
  return mode === "reward" ? 0 : -alpha;
}

/** LASER (arXiv:2505.15612, table 2): r <- r + alpha [right and L <= L_T], one target length for all prompts. */
export const laser: ShapingKind<typeof options> = {
  kind: "laser",
  options,
  columns: ["shaping/short"],
  shape(groups, spec) {
    const right = groups.flat().filter(({ correct }) => correct);
    const short = right.filter(({ tokens }) => tokens <= spec.target_tokens).length;
    return {
      rewards: groups.map((group) =>
        group.map(({ reward, correct, tokens }) =>
          correct ? reward + lengthStep(tokens, spec.target_tokens, spec) : reward,
        ),
      ),
      metrics: { "shaping/short": right.length === 0 ? 0 : short / right.length },
    };
  },
};
