import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { type Box, boxFormat, readBoxes } from "./boxes.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";

/** Boxes of an answer that count. */
const MOST_BOXES = 100;

const shape = {
  ...boxFormat,
  grid: z
    .int()
    .min(1)
    .max(64)
    .default(8)
    .describe("cells in a row and in a column; numbered row by row from 0"),
  cell: z.number().positive().default(1).describe("side of a cell in the units of boxes"),
  tag: z
    .string()
    .regex(/^[A-Za-z][\w-]*$/, "write the tag's name without brackets, such as look")
    .default("look")
    .describe("block that names cells; another where a vocabulary has no word for look"),
  leave_own_out: z
    .boolean()
    .default(false)
    .describe(
      "a completion's own boxes do not count for its own cells: in small groups it would make the disagreement that it is paid for",
    ),
};
export type LookUncertaintyOptions = PartOptions<typeof shape>;

/** Cells that the first block of a tag names, each once. */
export function namedCells(completion: string, tag = "look"): number[] {
  const open = `<${tag}>`;
  const start = completion.indexOf(open);
  const end = start < 0 ? -1 : completion.indexOf(`</${tag}>`, start);
  if (end < 0) return [];
  const numbers = completion.slice(start + open.length, end).match(/\d{1,9}/g) ?? [];
  return [...new Set(numbers.map(Number))];
}

/** Cells whose middle lies in one of the boxes. */
function coveredCells(boxes: readonly Box[], { grid, cell }: { grid: number; cell: number }): Set<number> {
  const covered = new Set<number>();
  // first and last cell whose middle is not before one end and before the other
  const first = (place: number) => Math.max(0, Math.ceil(place / cell - 0.5));
  const last = (place: number) => Math.min(grid, Math.ceil(place / cell - 0.5)) - 1;
  for (const [x0, y0, x1, y1] of boxes) {
    for (let y = first(y0); y <= last(y1); y++) {
      for (let x = first(x0); x <= last(x1); x++) covered.add(y * grid + x);
    }
  }
  return covered;
}

/**
 * Mean of 4 p (1 - p) over the cells that each completion names, p the share of its group whose boxes cover the cell; no cell: 0.
 * @param named and covered cells of each completion of a group
 */
export function lookUncertainty(
  group: readonly { named: readonly number[]; covered: ReadonlySet<number> }[],
  leaveOwnOut = false,
): number[] {
  const counts = new Map<number, number>();
  for (const { covered } of group) for (const cell of covered) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  const others = group.length - (leaveOwnOut ? 1 : 0);
  return group.map(({ named, covered }) => {
    if (named.length === 0 || others === 0) return 0;
    const sum = named.reduce((total, cell) => {
      const own = leaveOwnOut && covered.has(cell) ? 1 : 0;
      const p = ((counts.get(cell) ?? 0) - own) / others;
      return total + 4 * p * (1 - p);
    }, 0);
    return sum / named.length;
  });
}

/** Completions of a group share their prompt's fields. @returns one result an input, in order */
export function lookUncertaintyRewards(
  inputs: readonly RewardInput[],
  options: LookUncertaintyOptions,
): Judged[] {
  const groups = new Map<RewardInput["fields"], number[]>();
  for (const [i, { fields }] of inputs.entries()) {
    const members = groups.get(fields);
    if (members === undefined) groups.set(fields, [i]);
    else members.push(i);
  }
  const results: Judged[] = Array.from({ length: inputs.length });
  for (const members of groups.values()) {
    const group = members.map((i) => {
      const { completion } = inputs[i]!;
      const answer = extractAnswer(completion, { extract: ["first-answer-tag"] }) ?? "";
      const boxes = readBoxes(answer, options, MOST_BOXES) ?? [];
      return { named: namedCells(completion, options.tag), covered: coveredCells(boxes, options) };
    });
    for (const [place, value] of lookUncertainty(group, options.leave_own_out).entries()) {
      const note = `${group[place]!.named.length} cells`;
      results[members[place]!] = { value, status: "ok", note };
    }
  }
  return results;
}

const alone = (completion: string) => ({ completion });
/**
 * Pays for looking where a group's answers disagree. A stand-in: DIP-R1 (arXiv:2505.23179) has a look reward guided by variance, and
 * what the variance is taken over was not found.
 */
export const lookUncertaintyKind = defineReward({
  kind: "look-uncertainty",
  judges: false,
  options: shape,
  scoreAll: async (inputs, options) => lookUncertaintyRewards(inputs, options),
  // a case is a group of one, which agrees with itself
  cases: [
    { options: {}, input: alone("<look>1</look><answer>[1,0,2,1]</answer>"), expect: 0 },
    { options: {}, input: alone("<look></look><answer>[1,0,2,1]</answer>"), expect: 0 },
    { options: {}, input: alone("<answer>[1,0,2,1]</answer>"), expect: 0 },
    { options: { leave_own_out: true }, input: alone("<look>1</look><answer>[1,0,2,1]</answer>"), expect: 0 },
    { options: {}, input: alone(""), expect: 0 },
  ],
});
