import { z } from "zod";

const extraction = z.enum([
  "whole",
  "first-answer-tag",
  "last-answer-tag",
  "first-boxed",
  "last-boxed",
  "hash",
  "answer-is",
  "last-number",
]);

const common = {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]*$/i, "a name is a letter, then letters, digits, _ or -")
    .optional()
    .describe("name in metrics and samples.jsonl; the kind when absent, so two parts of one kind need names"),
  weight: z.number().default(1).describe("factor in the sum; 0 measures without rewarding"),
  requires: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe(
      "names of earlier parts that must all have the value 1 or more, else this part is 0 (an answer counts only in a well-formed completion)",
    ),
};

/** What parts that compare an answer share. */
function answering(extract: z.infer<typeof extraction>[]) {
  return {
    ...common,
    extract: z
      .union([extraction.transform((one) => [one]), z.array(extraction).min(1)])
      .default(extract)
      .describe(
        "where the answer stands, the first that is found: whole completion, first or last <answer> block, first or last \\boxed{}, after ####, after 'answer is', last number",
      ),
    after: z
      .string()
      .min(1)
      .optional()
      .describe(
        "search only behind the last occurrence of this text, such as </think>; unparsed without it. Off: trained formats differ",
      ),
    correct: z
      .boolean()
      .optional()
      .describe(
        "this part decides what accuracy counts; by default the first of exact, number, math, mode-answer, rule-server, file does",
      ),
    right: z.number().default(1).describe("value of a right answer; 1 makes the sum of weights the maximum"),
    wrong: z
      .number()
      .default(0)
      .describe("value of a wrong answer; 0: only its group's better ones push it down"),
    unparsed: z
      .number()
      .default(0)
      .describe(
        "value when no answer is found; 0 as for a wrong one, so that only a format part tells them apart",
      ),
  };
}

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

export const rewardPartOptions = z.discriminatedUnion("kind", [
  exactOptions,
  tagFormatOptions,
  numberOptions,
  mathOptions,
  modeAnswerOptions,
  ruleServerOptions,
  lengthOptions,
  cosineLengthOptions,
  repetitionOptions,
  contradictionOptions,
  finishedOptions,
  triggerOptions,
  fileOptions,
]);

export type Extraction = z.infer<typeof extraction>;
export type ExactOptions = z.infer<typeof exactOptions>;
export type TagFormatOptions = z.infer<typeof tagFormatOptions>;
export type NumberOptions = z.infer<typeof numberOptions>;
export type MathOptions = z.infer<typeof mathOptions>;
export type RuleServerOptions = z.infer<typeof ruleServerOptions>;
export type ModeAnswerOptions = z.infer<typeof modeAnswerOptions>;
export type LengthOptions = z.infer<typeof lengthOptions>;
export type CosineLengthOptions = z.infer<typeof cosineLengthOptions>;
export type RepetitionOptions = z.infer<typeof repetitionOptions>;
export type ContradictionOptions = z.infer<typeof contradictionOptions>;
export type FinishedOptions = z.infer<typeof finishedOptions>;
export type TriggerOptions = z.infer<typeof triggerOptions>;
export type FileOptions = z.infer<typeof fileOptions>;
export type RewardSpec = z.infer<typeof rewardPartOptions>;

/** The name under which a part is logged. */
export function partName(spec: Pick<RewardSpec, "kind" | "name">): string {
  return spec.name ?? spec.kind;
}

const decidingKinds: readonly RewardSpec["kind"][] = [
  "exact",
  "number",
  "math",
  "mode-answer",
  "rule-server",
  "file",
];

/** Index of the part that decides `correct`: the one that says so, else the first that compares; -1: none does. */
export function decidingPart(specs: readonly RewardSpec[]): number {
  const named = specs.findIndex((spec) => "correct" in spec && spec.correct === true);
  if (named >= 0) return named;
  return specs.findIndex(
    (spec) => decidingKinds.includes(spec.kind) && !("correct" in spec && spec.correct === false),
  );
}

export function requiredNames(spec: Pick<RewardSpec, "requires">): readonly string[] {
  return spec.requires === undefined
    ? []
    : typeof spec.requires === "string"
      ? [spec.requires]
      : spec.requires;
}

/** The part list, with the rules between parts. */
export const rewardPartsOptions = z
  .array(rewardPartOptions)
  .min(1)
  .superRefine((specs, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const names = new Map<string, number>();
    let deciders = 0;
    specs.forEach((spec, index) => {
      const name = partName(spec);
      const earlier = names.get(name);
      if (earlier !== undefined) {
        fault(
          [index, spec.name === undefined ? "kind" : "name"],
          `part ${earlier} is called ${name} too; give this one a name of its own`,
        );
      }
      for (const required of requiredNames(spec)) {
        if (specs[names.get(required) ?? -1]?.kind === "cosine-length") {
          fault(
            [index, "requires"],
            `${required} is a cosine-length part, which is worked out last; require another`,
          );
        }
        if (!names.has(required)) {
          const known = [...names.keys()].join(", ") || "none";
          fault(
            [index, "requires"],
            `${required} is not the name of an earlier part (${known}); order the parts or correct the name`,
          );
        }
      }
      if (!names.has(name)) names.set(name, index);
      if ("correct" in spec && spec.correct === true && ++deciders > 1) {
        fault([index, "correct"], "another part decides correctness already; leave it true on one part");
      }
      if (spec.kind === "length" && spec.max <= spec.limit) {
        fault([index, "max"], `it must exceed limit = ${spec.limit}; the penalty grows between the two`);
      }
    });
    specs.forEach((spec, index) => {
      if (spec.kind === "cosine-length" && decidingPart(specs) < 0) {
        fault(
          [index, "kind"],
          "cosine-length must know whether the answer is right; add an exact, number, math or file part (weight: 0 only measures)",
        );
      }
    });
  });

export const rewardOptions = z.strictObject({
  parts: rewardPartsOptions.describe("reward parts; the reward is their weighted sum"),
  max_error_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe(
      "the run stops when more than this share of a batch's completions failed to be scored. 0.1: one prompt in ten may have an unreadable gold answer, a faulty reward fails nearly all",
    ),
});
export type RewardOptions = z.infer<typeof rewardOptions>;
