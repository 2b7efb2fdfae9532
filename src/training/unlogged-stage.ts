import type { Stage } from "../algorithms/stage.ts";

/**
 * A stage that leaves nothing behind: no files, no evaluation, no checkpoint; for steps that are timed or traced.
 * @param metrics is told of every step
 */
export function unloggedStage(
  metrics: Stage["logs"]["metrics"],
): Omit<
  Stage,
  "name" | "seed" | "steps" | "policy" | "tokenizer" | "train" | "score" | "optimizer" | "clock"
> {
  const nothing = () => {};
  return {
    offset: 0,
    stepsDone: 0,
    evaluate: null,
    evalEvery: 0,
    evaluateFirst: false,
    until: null,
    watched: [],
    alarms: null,
    logs: {
      startStage: nothing,
      metrics,
      evaluation: nothing,
      evaluationPrompts: nothing,
      samples: nothing,
      prompts: nothing,
      counts: () => {
        throw new Error("no checkpoint is written");
      },
      sync: nothing,
      close: nothing,
    },
    progress: { start: nothing, step: nothing, note: nothing, stop: nothing },
    checkpoint: async () => {},
    checkpointEvery: Number.MAX_SAFE_INTEGER,
    interrupted: async () => false,
  };
}
