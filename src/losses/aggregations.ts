/** How losses of tokens become one loss, a row each. */

export interface Aggregation {
  /** For docs/config.md. */
  summary: string;
  /** The weight of each of a completion's tokens. @param batch tokens and completions that carry loss */
  weight(length: number, batch: { tokens: number; rows: number; maxNewTokens: number }): number;
}

export const aggregations = {
  token: { summary: "mean over all tokens (DAPO)", weight: (_, { tokens }) => 1 / tokens },
  sequence: {
    summary: "mean per completion, then over completions (GRPO)",
    weight: (length, { rows }) => 1 / (rows * length),
  },
  constant: {
    summary: "sum over tokens / (completions * max_new_tokens) (Dr. GRPO)",
    weight: (_, { rows, maxNewTokens }) => 1 / (rows * maxNewTokens),
  },
} satisfies Record<string, Aggregation>;
