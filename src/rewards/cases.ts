import type { RewardInput, RewardStatus } from "../types.ts";

/** A completion with the value that a part must give it: documentation that `rlpt reward test` runs. */
export interface GoldenCase {
  /** The part's options beside kind; defaults fill the rest. */
  options: Readonly<Record<string, unknown>>;
  input: Partial<RewardInput>;
  /** For parts that are told whether the answer is right. */
  correct?: boolean;
  /** The value, to 1e-6. */
  expect: number;
  /** Default ok. */
  status?: RewardStatus;
}

/** An input with what the case leaves out: a finished, empty completion of one token. */
export function completeInput(input: Partial<RewardInput>): RewardInput {
  return {
    completion: "",
    finishReason: "eos",
    tokens: Math.max(1, input.completion?.length ?? 1),
    promptText: "",
    answer: "",
    fields: {},
    ...input,
  };
}
