import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const tagName = z.string().regex(/^[A-Za-z][\w-]*$/, "write the tag's name without brackets, such as think");

/** What may stand outside the tags. */
const gap = z.enum(["none", "space", "any"]);

const shape = {
  tags: z
    .union([z.array(tagName), z.array(z.array(tagName).min(1)).min(1)])
    .default(["think", "answer"])
    .describe(
      "tags in order, such as [think, answer]; several layouts as lists of lists, any of which may match. R1's layout by default",
    ),
  once: z
    .boolean()
    .default(true)
    .describe("every tag exactly once: otherwise a doubled answer block still passes, and is exploited"),
  prompt_opens: z
    .enum(["auto", "always", "never"])
    .default("auto")
    .describe("is the first tag opened by the prompt? auto: when the prompt's text ends with it"),
  before: gap.default("none").describe("text allowed before the first tag; none: the policy starts with it"),
  between: gap
    .default("space")
    .describe("text allowed between blocks; space, as in <think>..</think>\\n<answer>"),
  after: gap.default("none").describe("text allowed after the last tag; none teaches to stop there"),
  nonempty: z
    .array(tagName)
    .default([])
    .describe(
      "tags whose content must not be blank; none: an empty think block is an answer without thinking",
    ),
  strings: z
    .array(z.string().min(1))
    .default([])
    .describe('further texts that must occur exactly once, such as "\\n</think>\\n"'),
  partial: z
    .boolean()
    .default(false)
    .describe(
      "score the share of rules that hold instead of all or nothing; all or nothing cannot be half exploited",
    ),
  mismatch: z
    .number()
    .max(0)
    .default(0)
    .describe(
      "value of another layout, without partial; 0, as a format is rarely worth a punishment. DUMP: -1",
    ),
};
export type TagFormatOptions = PartOptions<typeof shape>;

type Gap = TagFormatOptions["before"];

function allowed(text: string, gap: Gap): boolean {
  return gap === "any" || (gap === "space" ? text.trim() === "" : text === "");
}

function count(text: string, part: string): number {
  let found = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) found++;
  return found;
}

/** Does the prompt leave this tag open for the completion? */
export function promptOpens(
  promptText: string,
  tag: string,
  option: TagFormatOptions["prompt_opens"],
): boolean {
  return option === "always" || (option === "auto" && promptText.trimEnd().endsWith(`<${tag}>`));
}

/** First place at or after `from` where `</a>`, an allowed gap and `<b>` follow each other. */
function findJoint(text: string, from: number, a: string, b: string, gap: Gap) {
  const close = `</${a}>`;
  const open = `<${b}>`;
  for (let at = text.indexOf(close, from); at >= 0; at = text.indexOf(close, at + 1)) {
    const closeEnd = at + close.length;
    const next =
      gap === "any" ? text.indexOf(open, closeEnd) : closeEnd + /^\s*/.exec(text.slice(closeEnd))![0].length;
    if (next < 0) return null;
    if (text.startsWith(open, next) && allowed(text.slice(closeEnd, next), gap)) {
      return { end: at, next: next + open.length };
    }
  }
  return null;
}

/**
 * Contents of the blocks when the text is laid out as these tags in order, else null. With repeated tags the
 * earliest joints are taken, and the last block reaches as far as it may: a full match with lazy contents.
 */
export function matchLayout(
  text: string,
  tags: readonly string[],
  options: Pick<TagFormatOptions, "before" | "between" | "after"> & { opened: boolean },
): string[] | null {
  const first = tags[0];
  const last = tags.at(-1);
  if (first === undefined || last === undefined) return [];
  let position = 0;
  if (!options.opened) {
    const open = text.indexOf(`<${first}>`);
    if (open < 0 || !allowed(text.slice(0, open), options.before)) return null;
    position = open + first.length + 2;
  }
  const contents: string[] = [];
  for (let i = 0; i + 1 < tags.length; i++) {
    const joint = findJoint(text, position, tags[i]!, tags[i + 1]!, options.between);
    if (joint === null) return null;
    contents.push(text.slice(position, joint.end));
    position = joint.next;
  }
  const close = `</${last}>`;
  const end = options.after === "any" ? text.indexOf(close, position) : text.lastIndexOf(close);
  if (end < position || !allowed(text.slice(end + close.length), options.after)) return null;
  contents.push(text.slice(position, end));
  return contents;
}

function layoutShare(input: RewardInput, tags: readonly string[], options: TagFormatOptions): number {
  const text = input.completion;
  const first = tags[0];
  const opened = first !== undefined && promptOpens(input.promptText, first, options.prompt_opens);
  const contents = matchLayout(text, tags, { ...options, opened });
  const rules: boolean[] = tags.length === 0 ? [] : [contents !== null];
  if (options.once) {
    for (const tag of tags) {
      rules.push(count(text, `<${tag}>`) === (opened && tag === first ? 0 : 1));
      rules.push(count(text, `</${tag}>`) === 1);
    }
  }
  for (const tag of options.nonempty) {
    const index = tags.indexOf(tag);
    if (index >= 0) rules.push((contents?.[index] ?? "").trim() !== "");
  }
  for (const required of options.strings) rules.push(count(text, required) === 1);
  return rules.length === 0 ? 1 : rules.filter(Boolean).length / rules.length;
}

/** 1 when the completion is laid out as asked, else `mismatch`; with `partial` the share of rules that hold. */
export function tagFormatReward(input: RewardInput, options: TagFormatOptions): RewardPartResult {
  const layouts = Array.isArray(options.tags[0]) ? (options.tags as string[][]) : [options.tags as string[]];
  const share = Math.max(...layouts.map((tags) => layoutShare(input, tags, options)));
  return { value: options.partial || share === 1 ? share : options.mismatch, status: "ok" };
}

const lab = "3+8*5-9=<think>\n";
export const tagFormat = defineReward({
  kind: "tag-format",
  judges: false,
  options: shape,
  score: tagFormatReward,
  cases: [
    { options: {}, input: { completion: "<think>a</think>\n<answer>6</answer>" }, expect: 1 },
    { options: {}, input: { completion: "<think></think><answer>6</answer>" }, expect: 1 },
    { options: {}, input: { completion: "<think>a</think><answer>6</answer>\n" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think> so <answer>6</answer>" }, expect: 0 },
    { options: {}, input: { completion: "<think>a</think><answer>5</answer><answer>6</answer>" }, expect: 0 },
    {
      options: { once: false },
      input: { completion: "<think>a</think><answer>5</answer><answer>6</answer>" },
      expect: 1,
    },
    { options: {}, input: { completion: "6" }, expect: 0 },
    { options: { mismatch: -1 }, input: { completion: "<answer>6</answer>" }, expect: -1 },
    {
      options: { mismatch: -1 },
      input: { completion: "<think>a</think><answer>6</answer>" },
      expect: 1,
    },
    { options: {}, input: { completion: "" }, expect: 0 },
    { options: {}, input: { promptText: lab, completion: "3+8=1\n</think><answer>6</answer>" }, expect: 1 },
    { options: {}, input: { promptText: lab, completion: "<think></think><answer>6</answer>" }, expect: 0 },
    {
      options: { nonempty: ["think"] },
      input: { completion: "<think> </think><answer>6</answer>" },
      expect: 0,
    },
    {
      options: { tags: [["think", "answer"], ["answer"]] },
      input: { completion: "<answer>6</answer>" },
      expect: 1,
    },
    { options: { tags: [], strings: ["\n</think>\n"] }, input: { completion: "a\n</think>\nb" }, expect: 1 },
    {
      options: { tags: [], strings: ["<think>\n", "\n</think>\n"], partial: true },
      input: { completion: "a\n</think>\nb" },
      expect: 0.5,
    },
  ],
});
