import type { Aggregation } from "./options.ts";

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
    switch (aggregation) {
      case "token":
        return 1 / tokens;
      case "sequence":
        return 1 / (rows * length);
      case "constant":
        return 1 / (rows * maxNewTokens);
      default: {
        const unreachable: never = aggregation;
        throw new Error(`unknown aggregation ${unreachable}`);
      }
    }
  });
}
