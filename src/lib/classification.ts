/** Quality of a yes/no decision against labels: counts in, rates out. */

/** Counts, or sums of weights. Positive: the label says yes. */
export interface Confusion {
  truePositive: number;
  falsePositive: number;
  falseNegative: number;
  trueNegative: number;
}

export interface DecisionQuality {
  accuracy: number;
  /** 0 when nothing was decided yes. */
  precision: number;
  /** 0 when no label says yes. */
  recall: number;
  /** Harmonic mean of precision and recall, 0 when both are. */
  f1: number;
}

export function decisionQuality(counts: Confusion): DecisionQuality {
  const { truePositive, falsePositive, falseNegative, trueNegative } = counts;
  const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  const precision = ratio(truePositive, truePositive + falsePositive);
  const recall = ratio(truePositive, truePositive + falseNegative);
  return {
    accuracy: ratio(truePositive + trueNegative, truePositive + falsePositive + falseNegative + trueNegative),
    precision,
    recall,
    f1: ratio(2 * precision * recall, precision + recall),
  };
}
