/** What every display for people has in common: data in it is shown and not obeyed, and a run that earns nothing is told of early. */
import type { MetricValues } from "../metrics/define.ts";
import type { Progress } from "../run/progress.ts";
import { visible, visibleLine } from "./visible.ts";

/** Steps without any reward until something is said. */
const PATIENCE = 3;

export function forPeople(progress: Progress): Progress {
  /** Steps of the stage without any reward; null once there was one, or after the hint. */
  let barren: number | null = null;
  return {
    ...progress,
    start(total, stage, done = 0, evaluations = null) {
      barren = 0;
      progress.start(total, visibleLine(stage), done, evaluations);
    },
    step(row) {
      progress.step(row);
      if (barren === null) return;
      barren = earnsNothing(row.metrics) ? barren + 1 : null;
      if (barren !== PATIENCE) return;
      barren = null;
      progress.note(hint(row.metrics));
    },
    note: (text, level) => progress.note(visible(text), level),
  };
}

/** False where nothing is rewarded at all, as in supervised training. */
function earnsNothing(metrics: MetricValues): boolean {
  const highest = metrics["reward/max"];
  return typeof highest === "number" && highest <= 0 && !((metrics["accuracy"] ?? 0) > 0);
}

function hint(metrics: MetricValues): string {
  const share = (name: string, words: string): string[] => {
    const value = metrics[name];
    return typeof value === "number" && value > 0 ? [`${(100 * value).toFixed(0)}% ${words}`] : [];
  };
  const shares = [
    ...share("completion/truncated", "are cut at the token limit"),
    ...share("status/unparsed", "hold no answer that a reward can read"),
  ];
  return (
    `hint: no completion of ${PATIENCE} steps earned a reward${shares.length === 0 ? "" : ` (${shares.join(", ")})`}, so there is nothing to learn from yet. ` +
    "Read samples.jsonl in the run, try rlpt reward test, easier prompts, or supervised steps first."
  );
}
