import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const shape = {
  tag: z
    .string()
    .regex(/^[A-Za-z][\w-]*$/, "write the tag's name without brackets, such as relevance")
    .default("relevance")
    .describe(
      "tag around the list, a JSON array of whole numbers such as [1,5]; the first such block counts",
    ),
  column: z
    .string()
    .min(1)
    .default("supporting_ids")
    .describe(
      "column with the right ones, a list or its JSON; ids are 1-based places in the list that the prompt shows",
    ),
  partial: z
    .number()
    .default(0.5)
    .describe("value of a list that shares some of the right ones, missing or adding others; ARENA: 0.5"),
};
export type IdListOptions = PartOptions<typeof shape>;

const MAX_CHARS = 10_000;

/** The different numbers of a JSON array, in order; null for anything else. */
function readIds(value: unknown): number[] | null {
  let list = value;
  if (typeof value === "string") {
    if (value.length > MAX_CHARS) return null;
    try {
      list = JSON.parse(value);
    } catch {
      return null;
    }
  }
  if (!Array.isArray(list) || !list.every((id) => Number.isInteger(id))) return null;
  return [...new Set(list as number[])].sort((a, b) => a - b);
}

/** ARENA (arXiv:2505.13258; code, src/rewards.py): 1 for the right ids, `partial` for some of them, 0 for none or no list. */
export function idListReward({ completion, fields }: RewardInput, options: IdListOptions): RewardPartResult {
  const gold = readIds(fields[options.column]);
  if (gold === null)
    return {
      value: 0,
      status: "error",
      note: `column ${options.column} holds ${JSON.stringify(fields[options.column]) ?? "nothing"}, and ids are a list of whole numbers`,
    };
  const open = `<${options.tag}>`;
  const start = completion.indexOf(open);
  const end = start < 0 ? -1 : completion.indexOf(`</${options.tag}>`, start + open.length);
  const given = end < 0 ? null : readIds(completion.slice(start + open.length, end));
  if (given === null) return { value: 0, status: "unparsed", note: "no list found" };
  const note = `[${given.join()}]`;
  if (given.join() === gold.join()) return { value: 1, status: "ok", note };
  return { value: given.some((id) => gold.includes(id)) ? options.partial : 0, status: "ok", note };
}

const of = (list: string) => ({
  completion: `<relevance>${list}</relevance>`,
  fields: { supporting_ids: [1, 5] },
});
export const idList = defineReward({
  kind: "id-list",
  judges: false,
  options: shape,
  score: idListReward,
  cases: [
    { options: {}, input: of("[1,5]"), expect: 1 },
    { options: {}, input: of("[5,1,1]"), expect: 1 },
    { options: {}, input: of("[1]"), expect: 0.5 },
    { options: {}, input: of("[1,5,7]"), expect: 0.5 },
    { options: {}, input: of("[2]"), expect: 0 },
    { options: {}, input: of("[]"), expect: 0 },
    { options: {}, input: of("1, 5"), expect: 0, status: "unparsed" },
    { options: {}, input: { ...of("[1,5]"), completion: "[1,5]" }, expect: 0, status: "unparsed" },
    { options: {}, input: { ...of("[1,5]"), fields: { supporting_ids: "[5, 1]" } }, expect: 1 },
    { options: {}, input: { ...of("[1,5]"), fields: {} }, expect: 0, status: "error" },
  ],
});
