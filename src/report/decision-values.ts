/** Quality of the decision to think, as values by prompt, so that its error over prompts can be told. */
import { mean } from "../lib/math.ts";
import { numberCell, type Row } from "./read-run.ts";

/** Metrics that are a sum over prompts divided by another: what one labelled prompt adds above and below. */
const ratios: Readonly<Record<string, (needs: number, thinks: number) => [number, number]>> = {
  // 2 TP / (2 TP + FP + FN)
  trigger_f1: (needs, thinks) => [2 * needs * thinks, needs + thinks],
  // TP / (TP + FP)
  trigger_precision: (needs, thinks) => [needs * thinks, thinks],
  // TP / (TP + FN)
  trigger_recall: (needs, thinks) => [needs * thinks, needs],
};

export const decisionMetrics: readonly string[] = Object.keys(ratios);

/**
 * Of one evaluation: prompt -> R + (a_i - R b_i) / mean(b), R = sum(a) / sum(b). Their mean is R, and their spread
 * that of R over prompts to first order (the delta method for a ratio; Cochran, Sampling Techniques (1977),
 * section 6.4).
 * @param rows of eval-prompts.csv, one step; prompts without the slice needs_thinking are left out
 * @returns empty without labels, or when no label and no decision is yes
 */
export function decisionValues(rows: readonly Row[], metric: string): Map<string, number> {
  const add = ratios[metric]!;
  const labelled = rows.flatMap((row) => {
    const label = /(?:^|;)needs_thinking=(true|false)(?:;|$)/.exec(row["slices"] ?? "")?.[1];
    const thinking = numberCell(row, "thinking");
    if (label === undefined || thinking === null) return [];
    const share = thinking / numberCell(row, "completions")!;
    return [{ id: row["prompt_id"]!, ab: add(Number(label === "true"), share) }];
  });
  const [a, b] = [mean(labelled.map(({ ab }) => ab[0])), mean(labelled.map(({ ab }) => ab[1]))];
  if (b === 0) return new Map();
  const ratio = a / b;
  return new Map(labelled.map(({ id, ab }) => [id, ratio + (ab[0] - ratio * ab[1]) / b]));
}
