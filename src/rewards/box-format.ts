import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward } from "./define.ts";

const JOINT = /<\/think>\s*<answer>/g;
const LIST = /\[\d+,\s*\d+,\s*\d+,\s*\d+\]/g;

/** Place after the first match of a pattern at or after `from`; -1: none, and where `from` is -1. */
function after(text: string, pattern: RegExp | string, from: number): number {
  if (from < 0) return -1;
  if (typeof pattern === "string") {
    const at = text.indexOf(pattern, from);
    return at < 0 ? -1 : at + pattern.length;
  }
  pattern.lastIndex = from;
  return pattern.exec(text) === null ? -1 : pattern.lastIndex;
}

/** 1 where a thought is followed by an answer that holds { ... [whole numbers, four] ... }, wherever in the text; else 0. */
export function boxFormatReward({ completion }: RewardInput): RewardPartResult {
  // each piece only has to follow the one before it, so the first of each is the best
  const pieces = ["<think>", JOINT, "{", LIST, "}", "</answer>"];
  const end = pieces.reduce<number>((from, piece) => after(completion, piece, from), 0);
  return { value: end < 0 ? 0 : 1, status: "ok" };
}

/** The layout that VLM-R1 (arXiv:2504.07615) asks of an answer with a box. */
export const boxFormatKind = defineReward({
  kind: "box-format",
  judges: false,
  options: {},
  score: boxFormatReward,
  cases: [
    {
      options: {},
      input: { completion: '<think>a</think>\n<answer>{"bbox": [1, 2, 3, 4]}</answer>' },
      expect: 1,
    },
    { options: {}, input: { completion: "so <think>a</think><answer>x {[1,2,3,4]} y</answer>." }, expect: 1 },
    { options: {}, input: { completion: "<think>a</think><answer>[1, 2, 3, 4]</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think> so <answer>{[1, 2, 3, 4]}</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<answer>{[1, 2, 3, 4]}</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think><answer>{[1, 2, 3.5, 4]}</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think><answer>{[1, 2, 3, 4]}" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think><answer>[1, 2, 3, 4] {}</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think><answer>[1, 2, 3, 4] }</answer>" }, expect: 0 },
    { options: {}, input: { completion: "" }, expect: 0 },
  ],
});
