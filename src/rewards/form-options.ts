/** Parts that judge how a completion is made: its tags, its length, whether it thinks. */
import { z } from "zod";
import { common } from "./part-options.ts";

const tagName = z.string().regex(/^[A-Za-z][\w-]*$/, "write the tag's name without brackets, such as think");

/** What may stand outside the tags. */
const gap = z.enum(["none", "space", "any"]);

export const tagFormatOptions = z.strictObject({
  kind: z.literal("tag-format"),
  ...common,
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
  after: gap.default("none").describe("text allowed behind the last tag; none teaches to stop there"),
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
});

const unit = z
  .enum(["tokens", "chars"])
  .default("tokens")
  .describe("what length counts; tokens are what generation costs");

export const lengthOptions = z.strictObject({
  kind: z.literal("length"),
  ...common,
  unit,
  limit: z.int().min(0).describe("no penalty up to this length"),
  max: z
    .int()
    .min(1)
    .describe("length of the full penalty of -1; linear between (DAPO's overlong punishment), -1 beyond"),
});

const range = z.tuple([z.number(), z.number()]);

export const cosineLengthOptions = z.strictObject({
  kind: z.literal("cosine-length"),
  ...common,
  unit: unit.default("chars").describe("what length counts; the published code counts characters"),
  max_len: z
    .int()
    .min(1)
    .default(1000)
    .describe("length M at which the cosine ends; open-rs's function has 1000"),
  right: range
    .default([1, 0.5])
    .describe("value of a right answer at length 0 and at max_len; short ones earn more"),
  wrong: range
    .default([-1, -0.5])
    .describe(
      "value of a wrong answer at length 0 and at max_len; the paper punishes long ones less. open-rs's script has [0, -0.5], the reverse",
    ),
  clamp: z
    .boolean()
    .default(true)
    .describe(
      "lengths beyond max_len count as max_len; unclamped, as published, the reward rises again there",
    ),
});

export const repetitionOptions = z.strictObject({
  kind: z.literal("repetition"),
  ...common,
  n: z.int().min(1).default(3).describe("words per n-gram; open-rs uses 3"),
  max_penalty: z
    .number()
    .max(0)
    .default(-1)
    .describe("value of a completion that is one n-gram over and over; the penalty is its share of repeats"),
});

export const contradictionOptions = z.strictObject({
  kind: z.literal("contradiction"),
  ...common,
  weight: z
    .number()
    .default(0)
    .describe(
      "factor in the sum; 0 measures: the mean is the share of completions that contradict themselves",
    ),
  choices: z.string().min(1).default("choices").describe("column with the list of candidate answers"),
  evidence: z
    .string()
    .min(1)
    .default("evidence")
    .describe(
      "column with the words that speak for each candidate, a map of lists; without it a candidate's own name does",
    ),
});

export const finishedOptions = z.strictObject({
  kind: z.literal("finished"),
  ...common,
  penalty: z
    .number()
    .max(0)
    .default(-1)
    .describe("value when the completion was cut at the token limit, else 0; -1 cancels one right answer"),
});

export const triggerOptions = z.strictObject({
  kind: z.literal("trigger"),
  ...common,
  weight: z
    .number()
    .default(-1)
    .describe("factor in the sum: minus AdaCoT's alpha1 (miss), alpha2 (over) or gamma (format); 0 measures"),
  counts: z
    .enum(["miss", "over", "format"])
    .describe(
      "what has the value 1: no thinking where the label asks for it, thinking where it does not, or a completion that is not one think block with an answer behind it",
    ),
  label: z
    .string()
    .min(1)
    .default("needs_thinking")
    .describe("column that says whether a prompt needs thought: true or false (rlpt label writes it)"),
});

export type TagFormatOptions = z.infer<typeof tagFormatOptions>;
export type LengthOptions = z.infer<typeof lengthOptions>;
export type CosineLengthOptions = z.infer<typeof cosineLengthOptions>;
export type RepetitionOptions = z.infer<typeof repetitionOptions>;
export type ContradictionOptions = z.infer<typeof contradictionOptions>;
export type FinishedOptions = z.infer<typeof finishedOptions>;
export type TriggerOptions = z.infer<typeof triggerOptions>;
