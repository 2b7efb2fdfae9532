/** Which of the recorded completions a report shows. */
import type { Block, SampleCard } from "./document.ts";
import type { RunFiles } from "./read-run.ts";

/** Steps that are shown of each run, and completions of each step. */
const MOMENTS = 6;
const PER_MOMENT = 6;
/** Cards of all runs together, about: a page must stay one that opens. */
const CARDS = 200;

/** Completions over time of all runs; [] where none recorded any. */
export function sampleBlocks(runs: readonly RunFiles[]): Block[] {
  const share = Math.max(2, Math.floor(CARDS / runs.length));
  const moments = Math.min(MOMENTS, Math.max(2, Math.floor(Math.sqrt(share))));
  const perMoment = Math.min(PER_MOMENT, Math.max(1, Math.floor(share / moments)));
  const cards = runs.flatMap((run) => sampleCards(run, moments, perMoment));
  if (cards.length === 0) return [];
  const total = runs.reduce((sum, run) => sum + run.samples.length, 0);
  return [
    {
      kind: "samples",
      cards,
      note: `${cards.length} of the ${total} completions in samples.jsonl: first, last and evenly spaced steps, and of each step the first completions of different prompts, right and wrong ones in turn.`,
    },
  ];
}

function sampleCards(run: RunFiles, moments: number, perMoment: number): SampleCard[] {
  const steps = [...new Set(run.samples.map(({ step }) => step))];
  const count = Math.min(moments, steps.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => steps[count === 1 ? 0 : Math.round((i * (steps.length - 1)) / (count - 1))]!,
  );
  return chosen.flatMap((step) => {
    const here = run.samples.filter((sample) => sample.step === step);
    // first of every prompt, then second of every prompt: different prompts come first
    const order = [...here].sort((a, b) => a.sample_index - b.sample_index);
    const [right, wrong] = [order.filter(({ correct }) => correct), order.filter(({ correct }) => !correct)];
    const mixed = Array.from({ length: Math.max(right.length, wrong.length) }, (_, i) => [right[i], wrong[i]])
      .flat()
      .filter((sample) => sample !== undefined);
    return mixed.slice(0, perMoment).map((sample) => ({
      step,
      stage: sample.stage,
      prompt: sample.prompt,
      answer: sample.answer,
      completion: sample.completion,
      reward: sample.reward,
      tokens: sample.tokens,
      verdict: sample.correct ? "right" : sample.status === "ok" ? "wrong" : sample.status,
      run: run.label,
    }));
  });
}
