import { Slots } from "../algorithms/slots.ts";
import type { Stage, StageServices, StageSettings } from "../algorithms/stage.ts";
import { createAdamW } from "../optim/adamw.ts";
import type { OptimizerOptions } from "../optim/options.ts";

/** What of a stage's settings is about its evaluations, checkpoints and files: none of them. */
export const unloggedSettings = {
  offset: 0,
  evalEvery: 0,
  evaluateFirst: false,
  until: null,
  checkpointEvery: Number.MAX_SAFE_INTEGER,
  stopOn: [],
  samplesEvery: 0,
  samplesPrompts: 0,
} satisfies Partial<StageSettings>;

/** State of a stage that begins. */
export function freshState(): Stage["state"] {
  return { stepsDone: 0, slots: new Slots(), alarms: null };
}

/**
 * A stage that leaves nothing behind: no files, no evaluation, no checkpoint; for steps that are timed or traced.
 * @param metrics is told of every step
 */
export function unloggedServices(
  metrics: StageServices["logs"]["metrics"],
  clock: () => number,
  optimizer: OptimizerOptions,
): StageServices {
  const nothing = () => {};
  return {
    clock,
    evaluate: null,
    logs: {
      startStage: nothing,
      metrics,
      evaluation: nothing,
      evaluationPrompts: nothing,
      samples: nothing,
      pictures: nothing,
      prompts: nothing,
      counts: () => {
        throw new Error("no checkpoint is written");
      },
      sync: nothing,
      close: nothing,
    },
    progress: { start: nothing, step: nothing, note: nothing, stop: nothing },
    newOptimizer: ({ trainable }) => createAdamW(trainable, optimizer),
    checkpoint: async () => {},
    interrupted: async () => false,
  };
}
