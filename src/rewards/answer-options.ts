/** Parts that judge the answer itself. */
import { z } from "zod";
import { answering, common, extraction } from "./part-options.ts";

export const exactOptions = z.strictObject({
  kind: z.literal("exact"),
  ...answering(["whole"]),
  trim: z.boolean().default(true).describe("ignore white space around both answers; a tokenizer may add it"),
  ignore_case: z.boolean().default(false).describe("Tabby = tabby; off, as exact says"),
  single_line: z
    .boolean()
    .default(false)
    .describe("an extracted block with a line break inside does not count as found (CLS-RL's pattern)"),
  match: z
    .enum(["equal", "contains"])
    .default("equal")
    .describe(
      "contains: the gold answer anywhere in the extracted text is right (CLS-RL's evaluation); equal, because a policy rewarded by contains learns to name everything",
    ),
  underscores: z
    .boolean()
    .default(false)
    .describe(
      "a gold answer such as great_dane is also right as great dane (CLS-RL on Pets); off, as exact says",
    ),
});

export const numberOptions = z.strictObject({
  kind: z.literal("number"),
  ...answering(["last-answer-tag", "last-boxed", "hash", "last-number"]),
  tolerance: z
    .number()
    .min(0)
    .default(0)
    .describe("largest absolute difference; 0: decimals are compared exactly, 0.50 = 0.5 holds anyway"),
  relative_tolerance: z
    .number()
    .min(0)
    .default(0)
    .describe("largest difference as a share of the gold answer; 0: no rounding is forgiven"),
});

export const mathOptions = z.strictObject({
  kind: z.literal("math"),
  ...answering(["last-boxed", "last-answer-tag", "hash", "answer-is"]),
  timeout_ms: z
    .int()
    .min(50)
    .default(2000)
    .describe("longest comparison of one answer; real ones take under a millisecond"),
});

/** What text that runs in circles is, in AutoThink's code (math_reward.py); also what metrics count. */
export const degenerateDefaults = { repeats: 10, longest: 30, word_chars: 120 } as const;

export const modeAnswerOptions = z.strictObject({
  kind: z.literal("mode-answer"),
  ...common,
  compare: z
    .enum(["math", "exact"])
    .default("math")
    .describe(
      "how the answer is compared with the gold one: as the math part does, or character for character",
    ),
  extract: z
    .union([extraction.transform((one) => [one]), z.array(extraction).min(1)])
    .default(["last-boxed"])
    .describe("where the answer stands behind </think>; AutoThink's code reads the last \\boxed{}"),
  direct_opening: z
    .string()
    .min(1)
    .default("</think>\n\n")
    .describe(
      "a completion that starts with these bytes answers without thinking, for this part as for shaping, metrics and evaluation; AutoThink's code has </think> and two line breaks",
    ),
  correct: z
    .boolean()
    .optional()
    .describe("this part decides what accuracy counts; it does by default, unless an earlier part compares"),
  thinking: z
    .strictObject({
      right: z.number().default(1).describe("value of a right answer after thinking; AutoThink's"),
      wrong: z.number().default(0).describe("of a wrong one; AutoThink's"),
    })
    .prefault({})
    .describe("values after thinking"),
  direct: z
    .strictObject({
      right: z.number().default(2).describe("value of a right answer without thinking; AutoThink's"),
      wrong: z.number().default(-1).describe("of a wrong one; AutoThink's"),
    })
    .prefault({})
    .describe("values without thinking"),
  format_error: z
    .strictObject({
      thinking: z.number().default(0).describe("no </think>, or no answer behind it, after thinking"),
      direct: z
        .number()
        .default(0)
        .describe("the same without thinking; 0 as in AutoThink's code beats a wrong answer, -1 closes that"),
    })
    .prefault({})
    .describe("values where no answer is found; AutoThink's paper has no such row, its code gives 0"),
  degenerate: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe("a wrong direct answer in text that runs in circles costs more"),
      value: z.number().default(-2).describe("its value; AutoThink's code"),
      repeats: z
        .int()
        .min(2)
        .default(degenerateDefaults.repeats)
        .describe("an n-gram this often in a row; AutoThink's code"),
      longest: z
        .int()
        .min(1)
        .default(degenerateDefaults.longest)
        .describe("words of the longest n-gram; AutoThink's code"),
      word_chars: z
        .int()
        .min(1)
        .default(degenerateDefaults.word_chars)
        .describe("or one word of this many characters; AutoThink's code"),
    })
    .prefault({})
    .describe("AutoThink's code has this rule, its paper does not"),
  timeout_ms: z.int().min(50).default(2000).describe("longest comparison of one answer, for math"),
});

export const ruleServerOptions = z.strictObject({
  kind: z.literal("rule-server"),
  ...common,
  correct: z.boolean().optional().describe("this part decides what accuracy counts; it does by default"),
  right: z.number().default(1).describe("value when the last \\boxed{} equals the answer; LIMR's code"),
  wrong: z.number().default(-0.5).describe("value of a well-formed wrong answer; LIMR's code"),
  malformed: z
    .number()
    .default(-1)
    .describe(
      "value without an end token or a box, with too many boxes, foreign characters or repeats; LIMR's code",
    ),
  max_boxes: z
    .int()
    .min(1)
    .default(4)
    .describe("more \\boxed than this are malformed; LIMR's code: 5 or more"),
  max_foreign_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe("largest share of characters outside ASCII and mathematical operators; LIMR's code"),
  repeat_chars: z.int().min(1).default(5).describe("shortest chunk that counts as repeated; LIMR's code"),
  repeat_times: z.int().min(2).default(5).describe("times in a row that make it malformed; LIMR's code"),
  timeout_ms: z.int().min(50).default(2000).describe("longest comparison of one answer; LIMR's code: 2 s"),
});

export const fileOptions = z.strictObject({
  kind: z.literal("file"),
  ...common,
  file: z
    .string()
    .regex(/\.(ts|mts|js|mjs)$/, "a reward is a .ts, .mts, .js or .mjs file")
    .describe("module exporting reward(input); relative to the config"),
  correct: z.boolean().optional().describe("this part decides what accuracy counts (value 1 or more)"),
  timeout_ms: z
    .int()
    .min(50)
    .default(10_000)
    .describe("longest call for one completion; the file runs in its own thread and is stopped then"),
});

export type ExactOptions = z.infer<typeof exactOptions>;
export type NumberOptions = z.infer<typeof numberOptions>;
export type MathOptions = z.infer<typeof mathOptions>;
export type ModeAnswerOptions = z.infer<typeof modeAnswerOptions>;
export type RuleServerOptions = z.infer<typeof ruleServerOptions>;
export type FileOptions = z.infer<typeof fileOptions>;
