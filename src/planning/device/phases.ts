/** What each program of a traced step is for. */
import type { AheadExecutor } from "../../backend/xla/ahead-executor.ts";
import type { AdamW } from "../../optim/adamw.ts";
import type { Critic } from "../../policy/critic.ts";
import type { TrainablePolicy } from "../../policy/interfaces.ts";
import type { SampledRow, SamplingRequest } from "../../types.ts";

/** What the host does when a program runs. */
const phases = [
  "generation",
  "evaluation",
  "reference logprobs",
  "values",
  "training step",
  "micro-batch",
  "optimizer step",
  "critic step",
  "critic micro-batch",
  "critic optimizer step",
] as const;
export type Phase = (typeof phases)[number];

/** Tells the executor what its next program is for. */
export class PhaseNotes {
  private readonly executor: AheadExecutor;
  /** Runs when the last gradients were asked for. */
  private runs = 0;

  constructor(executor: AheadExecutor) {
    this.executor = executor;
  }

  set(phase: Phase): void {
    this.executor.phase = phase;
  }

  gradients(phase: Phase): void {
    this.set(phase);
    this.runs = this.executor.runs;
  }

  /** One program with the gradients, or, after several micro-batches, one of its own. */
  optimizerStep(together: Phase, apart: Phase): void {
    this.set(this.executor.runs === this.runs ? together : apart);
  }
}

/** @param token that its completions, which no program makes, consist of */
export function watchPolicy(notes: PhaseNotes, policy: TrainablePolicy, token: number): TrainablePolicy {
  return Object.create(policy, {
    sampleRows: {
      value: async (prompts: readonly Int32Array[], request: SamplingRequest): Promise<SampledRow[]> => {
        const { repeats, maxNewTokens } = request;
        const numbers = (value: number) => new Array<number>(maxNewTokens).fill(value);
        return Array.from({ length: prompts.length * repeats }, () => ({
          tokens: numbers(token),
          logprobs: numbers(0),
          entropies: numbers(0),
        }));
      },
    },
    score: {
      value: (...args: Parameters<TrainablePolicy["score"]>) => {
        if (args[1].reference) notes.set("reference logprobs");
        return policy.score(...args);
      },
    },
    lossAndGradients: {
      value: (loss: Parameters<TrainablePolicy["lossAndGradients"]>[0]) => {
        notes.gradients("micro-batch");
        return policy.lossAndGradients(loss);
      },
    },
  }) as TrainablePolicy;
}

export function watchCritic(notes: PhaseNotes, critic: Critic): Critic {
  let learning = false;
  return {
    ...critic,
    values: (batch) => {
      if (!learning) notes.set("values");
      return critic.values(batch);
    },
    lossAndGradients: (loss) => {
      notes.gradients("critic micro-batch");
      learning = true;
      try {
        return critic.lossAndGradients(loss);
      } finally {
        learning = false;
      }
    },
  };
}

export function watchOptimizer(notes: PhaseNotes, optimizer: AdamW, together: Phase, apart: Phase): AdamW {
  return Object.create(optimizer, {
    step: {
      value: (...args: Parameters<AdamW["step"]>) => {
        notes.optimizerStep(together, apart);
        return optimizer.step(...args);
      },
    },
  }) as AdamW;
}
