import { aggregations } from "./aggregations.ts";
import type { Aggregation, MaskDecisionOptions } from "./options.ts";

/**
 * The weight of each completion's tokens in the loss, so that any split into micro-batches sums to the
 * same loss and gradient.
 * token: 1 / sum_j T_j (DAPO, arXiv:2503.14476 eq. 8); sequence: 1 / (B T_i) (GRPO, arXiv:2402.03300 eq. 3);
 * constant: 1 / (B L), L the token limit (Dr. GRPO, arXiv:2503.20783).
 * @param lengths tokens of each completion that carry loss, [B]; 0 leaves it out
 * @param maxNewTokens L of `constant`
 * @returns weight per token of each completion, [B]
 */
export function tokenWeights(
  lengths: readonly number[],
  aggregation: Aggregation,
  maxNewTokens: number,
): number[] {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const rows = lengths.filter((length) => length > 0).length;
  return lengths.map((length) => {
    if (length === 0) return 0;
    return aggregations[aggregation].weight(length, { tokens, rows, maxNewTokens });
  });
}

/** What a token mask makes of a completion. */
export interface MaskedCompletion {
  /** Tokens that count in means: what `tokenWeights` takes. */
  length: number;
  /** Index of the token of weight 0; null: none. */
  masked: number | null;
}

/**
 * Selective loss masking, AdaCoT (arXiv:2505.11896): L = sum over k != k_decision of l_k.
 * @param tokens of the completion that carry loss; 0 leaves it out
 * @param decision index of the decision token; null where there is none
 */
export function maskDecision(
  tokens: number,
  decision: number | null,
  { enabled, divisor }: MaskDecisionOptions,
): MaskedCompletion {
  if (!enabled || decision === null || tokens === 0) return { length: tokens, masked: null };
  return { length: divisor === "drop" ? tokens - 1 : tokens, masked: decision };
}
