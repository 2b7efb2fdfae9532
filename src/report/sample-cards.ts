/** Which of the recorded completions a report shows. */
import type { Block, SampleCard } from "./document.ts";
import type { RunFiles, SampleLine } from "./read-run.ts";

/** Steps that are shown of each run, and completions of each step. */
const MOMENTS = 6;
const PER_MOMENT = 6;
/** Cards of all runs together, about: a page must stay one that opens. */
const CARDS = 200;

/** Completions over time of all runs; [] where none recorded any. */
export function sampleBlocks(runs: readonly RunFiles[]): Block[] {
  const share = Math.max(4, Math.floor(CARDS / runs.length));
  const moments = Math.min(MOMENTS, Math.max(2, Math.floor(Math.sqrt(share))));
  const perMoment = Math.min(PER_MOMENT, Math.max(2, Math.floor(share / moments)));
  const cards = runs.flatMap((run) => sampleCards(run, moments, perMoment));
  const faults = runs.flatMap(({ faults: ofRun }) => ofRun);
  if (cards.length === 0) return faults.map((text) => ({ kind: "text", text }));
  const total = runs.reduce((sum, run) => sum + run.samples.length, 0);
  const note =
    `${cards.length} of the ${total} completions in samples.jsonl: first, last and evenly spaced steps. Of each step ` +
    "right, wrong and other verdicts in the proportion in which they were recorded, at least one of each kind, and " +
    "different prompts first.";
  return [{ kind: "samples", cards, note: [note, ...faults].join(" ") }];
}

/** "right", "wrong", or what kept the completion from having a verdict. */
export const verdictOf = ({ correct, status }: SampleLine): string =>
  correct ? "right" : status === "ok" ? "wrong" : status;

function sampleCards(run: RunFiles, moments: number, perMoment: number): SampleCard[] {
  const steps = [...new Set(run.samples.map(({ step }) => step))];
  const count = Math.min(moments, steps.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => steps[count === 1 ? 0 : Math.round((i * (steps.length - 1)) / (count - 1))]!,
  );
  return chosen.flatMap((step) => {
    const here = run.samples.filter((sample) => sample.step === step);
    const counts = [...verdictCounts(here)];
    const tally = counts.map(([verdict, number]) => `${number} ${verdict}`).join(", ");
    return fairMix(here, perMoment).map((sample) => ({
      step,
      stage: sample.stage,
      tally,
      prompt: sample.prompt,
      answer: sample.answer,
      completion: sample.completion,
      reward: sample.reward,
      tokens: sample.tokens,
      verdict: verdictOf(sample),
      run: run.label,
    }));
  });
}

/** Completions by verdict, most frequent first; by name where equal. */
function verdictCounts(samples: readonly SampleLine[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const verdict = verdictOf(sample);
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

/**
 * Up to `size` completions, verdicts in proportion: one of each kind, most frequent first, then always the kind that is
 * furthest behind its share. Of a kind those of prompts that were not shown yet come first, then smaller sample indices.
 */
export function fairMix(samples: readonly SampleLine[], size: number): SampleLine[] {
  const counts = verdictCounts(samples);
  const left = [...samples].sort((a, b) => a.sample_index - b.sample_index);
  const shown: SampleLine[] = [];
  while (shown.length < size && left.length > 0) {
    const behind = (verdict: string): number => {
      const taken = shown.filter((one) => verdictOf(one) === verdict).length;
      if (taken === counts.get(verdict)!) return Number.NEGATIVE_INFINITY;
      return taken === 0 ? Number.POSITIVE_INFINITY : counts.get(verdict)! / taken;
    };
    const next = [...counts.keys()].reduce((best, one) => (behind(one) > behind(best) ? one : best));
    const ofVerdict = left.filter((one) => verdictOf(one) === next);
    const fresh =
      ofVerdict.find(({ prompt_id: id }) => shown.every((one) => one.prompt_id !== id)) ?? ofVerdict[0]!;
    left.splice(left.indexOf(fresh), 1);
    shown.push(fresh);
  }
  return shown;
}
