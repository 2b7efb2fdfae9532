/**
 * AdaCoT's three penalties (arXiv:2505.11896), as counts of 0 or 1 each, so that their means are rates:
 *   R = R_base - alpha1 P_miss - alpha2 P_over - gamma P_fmt
 * is a list of parts, the base and `trigger` parts that count miss, over and format with the weights -alpha1,
 * -alpha2 and -gamma. The paper gives no predicates; these are the plainest ones:
 *   P_miss    the label says that the prompt needs thought, and the completion holds none
 *   P_over    the label says that it needs none, and the completion thinks
 *   P_format  the completion is not one think block at its start, followed by an answer that is not blank
 */
import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { matchLayout } from "./tag-format.ts";
import { thinks } from "./thinking.ts";

const shape = {
  weight: z
    .number()
    .default(-1)
    .describe("factor in the sum: minus AdaCoT's alpha1 (miss), alpha2 (over) or gamma (format); 0 measures"),
  counts: z
    .enum(["miss", "over", "format"])
    .describe(
      "what has the value 1: no thinking where the label asks for it, thinking where it does not, or a completion that is not one think block with an answer after it",
    ),
  label: z
    .string()
    .min(1)
    .default("needs_thinking")
    .describe("column that says whether a prompt needs thought: true or false (rlpt label writes it)"),
};
export type TriggerOptions = PartOptions<typeof shape>;

/** What `rlpt label` writes, what a table may hold, and what people type. @returns null when it is no label */
export function readLabel(value: unknown): boolean | null {
  if (typeof value === "boolean") return value;
  const text = String(value).trim().toLowerCase();
  if (["true", "yes", "1"].includes(text)) return true;
  return ["false", "no", "0"].includes(text) ? false : null;
}

/** P_format. A block that the prompt opened counts as opened; a tag that occurs twice is a fault. */
export function thinkFormatFault({ completion, promptText }: RewardInput): boolean {
  const opened = promptText.lastIndexOf("<think>") > promptText.lastIndexOf("</think>");
  const occurrences = (tag: string) => completion.split(tag).length - 1;
  if (occurrences("<think>") !== (opened ? 0 : 1) || occurrences("</think>") !== 1) return true;
  if (matchLayout(completion, ["think"], { before: "none", between: "none", after: "any", opened }) === null)
    return true;
  const answer = completion.slice(completion.indexOf("</think>") + "</think>".length);
  return answer.replaceAll(/<\/?answer>/g, "").trim() === "";
}

/** 1 where the penalty applies, else 0. An unreadable label is an error, never a score. */
export function triggerReward(input: RewardInput, options: TriggerOptions): RewardPartResult {
  if (options.counts === "format") return { value: thinkFormatFault(input) ? 1 : 0, status: "ok" };
  const value = input.fields[options.label];
  const needs = value === undefined ? null : readLabel(value);
  if (needs === null) {
    const reason =
      value === undefined ? "the prompt has no such column" : `${JSON.stringify(value)} is no label`;
    return { value: 0, status: "error", note: `label ${options.label}: ${reason}; use true or false` };
  }
  const reasons = thinks(input.promptText, input.completion) === true;
  const applies = options.counts === "miss" ? needs && !reasons : !needs && reasons;
  const note = `${needs ? "needs thought" : "needs none"}, ${reasons ? "thinks" : "does not think"}`;
  return { value: applies ? 1 : 0, status: "ok", note };
}

const needs = { fields: { needs_thinking: true } };
const needsNone = { fields: { needs_thinking: false } };
const full = "<think>because</think>Paris";
const empty = "<think></think>Paris";
export const trigger = defineReward({
  kind: "trigger",
  judges: false,
  options: shape,
  score: triggerReward,
  cases: [
    { options: { counts: "miss" }, input: { ...needs, completion: empty }, expect: 1 },
    { options: { counts: "miss" }, input: { ...needs, completion: full }, expect: 0 },
    { options: { counts: "miss" }, input: { ...needsNone, completion: empty }, expect: 0 },
    { options: { counts: "miss" }, input: { ...needs, completion: "<think>\n \n</think>Paris" }, expect: 1 },
    { options: { counts: "miss" }, input: { ...needs, completion: "Paris" }, expect: 1 },
    { options: { counts: "over" }, input: { ...needsNone, completion: full }, expect: 1 },
    { options: { counts: "over" }, input: { ...needs, completion: full }, expect: 0 },
    { options: { counts: "over" }, input: { ...needsNone, completion: empty }, expect: 0 },
    {
      options: { counts: "over", label: "hard" },
      input: { fields: { hard: "no" }, promptText: "2+2=<think>\n", completion: "2+2=4</think>4" },
      expect: 1,
    },
    { options: { counts: "over" }, input: { completion: full }, expect: 0, status: "error" },
    {
      options: { counts: "miss" },
      input: { fields: { needs_thinking: "maybe" }, completion: full },
      expect: 0,
      status: "error",
    },
    { options: { counts: "format" }, input: { completion: full }, expect: 0 },
    { options: { counts: "format" }, input: { completion: empty }, expect: 0 },
    { options: { counts: "format" }, input: { completion: "Paris" }, expect: 1 },
    { options: { counts: "format" }, input: { completion: "<think>because Paris" }, expect: 1 },
    { options: { counts: "format" }, input: { completion: `So ${full}` }, expect: 1 },
    { options: { counts: "format" }, input: { completion: "<think>because</think> \n" }, expect: 1 },
    { options: { counts: "format" }, input: { completion: `${full}<think></think>` }, expect: 1 },
    { options: { counts: "format" }, input: { completion: "<think>a</think><answer></answer>" }, expect: 1 },
    {
      options: { counts: "format" },
      input: { promptText: "2=<think>\n...\n", completion: "</think>2" },
      expect: 0,
    },
    { options: { counts: "format" }, input: { promptText: "2=<think>\n", completion: full }, expect: 1 },
  ],
});
