/** What a bootcamp is, in one declaration: cases of one kind of task, their prompt, and who verifies an answer. arXiv:2508.08636. */
import { z } from "zod";
import type { Rng } from "../lib/rng.ts";

export interface Solution {
  /** Lines that lead to the answer, for supervised training; none where the answer is one look. */
  steps: readonly string[];
  /** One right answer; others may be right too. */
  answer: string;
}

export interface Bootcamp<Difficulty extends z.ZodType = z.ZodType, Identity extends z.ZodType = z.ZodType> {
  /** How configs call it, and what stands behind `bootcamp/` in `data_source`. */
  name: string;
  /** The task in one line. */
  about: string;
  /** Every key has a default. */
  difficulty: Difficulty;
  /** All that describes one case, as JSON. */
  identity: Identity;
  /** @param rng of this case alone */
  draw(rng: Rng, difficulty: z.infer<Difficulty>): z.infer<Identity>;
  /** The case in sentences. */
  prompt(identity: z.infer<Identity>): string;
  /** The case in as few signs as tell it, for models of a few thousand weights. */
  brief(identity: z.infer<Identity>): string;
  solve(identity: z.infer<Identity>): Solution;
  /** @returns whether the answer is right, or a score from 0 to 1 where some answers are better than others */
  verify(answer: string, identity: z.infer<Identity>): boolean | number;
}

/** Declares a bootcamp. It is known when src/bootcamps/kinds.ts lists it. */
export function defineBootcamp<Difficulty extends z.ZodType, Identity extends z.ZodType>(
  declared: Bootcamp<Difficulty, Identity>,
): Bootcamp<Difficulty, Identity> {
  return declared;
}

/** A whole number, or the least and the most that each case draws from. */
export function range(least: number, most: number, usual: number | [number, number]) {
  const whole = z.int().min(least).max(most);
  return z
    .union([
      whole,
      z.tuple([whole, whole]).refine(([low, high]) => low <= high, "the first must not be above the second"),
    ])
    .default(usual);
}

/** Draws from a range, each whole number as often. */
export function within(rng: Rng, of: number | readonly [number, number]): number {
  return typeof of === "number" ? of : of[0] + rng.integer(of[1] - of[0] + 1, 0);
}

export function pickFrom<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.integer(list.length, 0)]!;
}

/** So many different ones, in the order drawn. */
export function pickSome<T>(rng: Rng, list: readonly T[], count: number): T[] {
  return rng
    .permutation(list.length)
    .slice(0, count)
    .map((i) => list[i]!);
}

/** Is the answer this number, however it is written: 1,024 or 1024 or +7? */
export function isNumber(answer: string, number: number): boolean {
  const text = answer.trim().replaceAll(/[,\s]/g, "");
  return /^[+-]?\d{1,15}$/.test(text) && Number(text) === number;
}
