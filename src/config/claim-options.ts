import { z } from "zod";
import { folderName, selectOptions } from "./select-options.ts";
import { differentSeeds } from "./sweep-options.ts";

const settings = z.record(z.string(), z.unknown()).default({});

const armOptions = z.strictObject({
  config: z
    .string()
    .min(1)
    .optional()
    .describe("config to train, relative to this file; the claim's when absent"),
  set: settings.describe("dotted keys, as in --set, for training, or with evaluate for the evaluation"),
  select: selectOptions.optional().describe("train on what LIM scores of another arm select"),
  draws: z
    .int()
    .min(1)
    .default(1)
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what users write in their file
    .describe("runs per seed, with ${draw} 1, 2, ...; their mean counts"),
  start_of: folderName.optional().describe("instead of training: another arm's policy before its first step"),
  evaluate: folderName
    .optional()
    .describe("instead of training: another arm's last checkpoint, evaluated with what set says"),
});

function risingLooks(looks: readonly number[], context: z.RefinementCtx): void {
  for (const [index, seeds] of looks.entries()) {
    if (index === 0 || seeds > looks[index - 1]!) continue;
    const message = `each look needs more seeds than the one before it, which has ${looks[index - 1]}`;
    context.addIssue({ code: "custom", path: [index], message });
  }
}

const conditionOptions = z.strictObject({
  say: z.string().min(1).describe("the condition in words, for the table"),
  metric: z
    .string()
    .min(1)
    .describe(
      "accuracy, thinking, tokens, reward or trigger_*, by prompt; or another column of eval.csv, by run",
    ),
  slice: z.string().min(1).default("all").describe("of these prompts only, such as level=3"),
  of: folderName.describe("arm whose value it is about"),
  minus: folderName
    .optional()
    .describe("arm whose value is taken off; none: the value itself has to pass the margin"),
  times: z.number().gt(0).default(1).describe("factor of what is taken off: 0.5 asks for less than half"),
  direction: z.enum(["above", "below"]).describe("side of the margin on which the effect has to lie"),
  margin: z
    .number()
    .default(0)
    .describe(
      "0 asks for more (or less) of it, -0.02 for no loss of more than .02, 0.9 for a value beyond it",
    ),
});

/** What `rlpt reproduce` checks: arms that train, and conditions on what they reach. */
export const claimOptions = z.strictObject({
  claim: z.string().min(1).describe("title, one line"),
  statement: z.string().min(1).describe("what the paper claims, in words of one's own"),
  source: z.strictObject({
    paper: z.string().min(1).describe("name and arXiv number"),
    where: z.string().min(1).describe("table, figure or section"),
    reported: z.string().min(1).optional().describe("the numbers that stand there"),
  }),
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .superRefine(differentSeeds)
    .optional()
    .describe("a fixed design: every arm runs with each, then one verdict; first_seed and looks when absent"),
  first_seed: z.int().min(0).default(1).describe("seeds are taken from here on, one after the other"),
  looks: z
    .array(z.int().min(2))
    .min(1)
    .superRefine(risingLooks)
    .default([3, 5, 8])
    .describe(
      "after so many seeds a verdict is asked for; a claim that is decided takes no more, and the last number is the bound",
    ),
  variants: z
    .record(folderName, z.array(z.union([z.number(), z.string().min(1)])).min(1))
    .default({})
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what users write in their file
    .describe("every arm runs with each value, as ${name}; values of one seed are averaged prompt by prompt"),
  config: z.string().min(1).optional().describe("config of arms that name none, relative to this file"),
  set: settings.describe("for all arms, beneath their own"),
  arms: z.record(folderName, armOptions),
  conditions: z.array(conditionOptions).min(1).describe("joined by and"),
});
export type ClaimOptions = z.infer<typeof claimOptions>;
export type ClaimArm = z.infer<typeof armOptions>;
