import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";

const shape = {
  correct: z
    .boolean()
    .optional()
    .describe("this part decides what accuracy counts; by default the first part that judges does"),
  right_from: z.number().default(1).describe("an episode with this reward or more counts as right"),
};
export type EnvironmentRewardOptions = PartOptions<typeof shape>;

/** The sum of the rewards of an episode's turns; an episode that ended by a fault has none. */
export function environmentReward(
  { episode }: RewardInput,
  { right_from }: Pick<EnvironmentRewardOptions, "right_from">,
): Judged {
  if (episode === undefined) {
    return { value: 0, status: "error", note: "the completion is no episode: the config has no environment" };
  }
  const { end, note, turns } = episode;
  if (end !== "done" && end !== "turns" && end !== "tokens") {
    return {
      value: 0,
      status: end === "deadline" ? "timeout" : "error",
      note: note === undefined ? end : `${end}: ${note}`,
    };
  }
  const value = turns.reduce((sum, { reward }) => sum + reward, 0);
  return { value, status: "ok", note: end, right: value >= right_from };
}

const turn = (reward: number) => ({ from: 0, to: 1, text: "4", toolCalls: [], messages: [], reward });

export const environment = defineReward({
  kind: "environment",
  judges: true,
  options: shape,
  score: environmentReward,
  cases: [
    { options: {}, input: { episode: { end: "done", turns: [turn(0.25), turn(1)] } }, expect: 1.25 },
    { options: {}, input: { episode: { end: "turns", turns: [turn(-0.5)] } }, expect: -0.5 },
    {
      options: {},
      input: { episode: { end: "error", note: "turn 1: it threw", turns: [turn(1)] } },
      expect: 0,
      status: "error",
    },
    { options: {}, input: { episode: { end: "deadline", turns: [] } }, expect: 0, status: "timeout" },
  ],
});
