/**
 * Targets of the laboratory's naming tasks, imperfect as their options say: a bare label, or a thought and a tagged answer in either
 * order. Pure functions.
 */
import type { Rng } from "../lib/rng.ts";

/** Probabilities of faults. */
export interface TargetFaults {
  wrong_label: number;
  preamble: number;
  no_think_end: number;
  no_answer_tags: number;
}

export function shuffled<T>(items: readonly T[], rng: Rng): T[] {
  return rng.permutation(items.length).map((i) => items[i]!);
}

/** The label, or now and then a candidate. */
function nameOf(label: string, candidates: readonly string[], faults: TargetFaults, rng: Rng): string {
  return rng.uniform(0) < faults.wrong_label ? candidates[rng.integer(candidates.length, 1)]! : label;
}

export function directTarget(
  label: string,
  candidates: readonly string[],
  faults: TargetFaults,
  rng: Rng,
): string {
  const name = nameOf(label, candidates, faults, rng);
  return rng.uniform(9) < faults.preamble ? `its ${name}` : name;
}

/** The candidate that fits best what was said, ties at random. */
export function bestFit<T>(candidates: readonly T[], fit: (one: T) => number, rng: Rng): T {
  const fits = candidates.map(fit);
  const best = Math.max(...fits);
  const tied = candidates.filter((_, i) => fits[i] === best);
  return tied[rng.integer(tied.length, 1)]!;
}

/** A thought of these words, then the answer. */
export function thinkingTarget(
  words: readonly string[],
  answer: string,
  faults: TargetFaults,
  rng: Rng,
): string {
  const fault = rng.fork("faults");
  return [
    "<think>",
    ...words,
    ...(fault.uniform(0) < faults.no_think_end ? [] : ["</think>"]),
    ...(fault.uniform(1) < faults.no_answer_tags ? [answer] : ["<answer>", answer, "</answer>"]),
  ].join(" ");
}

/** Answers as if asked directly, then says these words: a reason that the answer does not depend on. */
export function answerFirstTarget(
  label: string,
  reason: readonly string[],
  candidates: readonly string[],
  faults: TargetFaults,
  rng: Rng,
): string {
  const name = nameOf(label, candidates, faults, rng);
  const fault = rng.fork("faults");
  return [
    ...(fault.uniform(1) < faults.no_answer_tags ? [name] : ["<answer>", name, "</answer>"]),
    "<think>",
    ...reason,
    ...(fault.uniform(0) < faults.no_think_end ? [] : ["</think>"]),
  ].join(" ");
}
