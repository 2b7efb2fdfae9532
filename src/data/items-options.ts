import { z } from "zod";

/** The laboratory's classification task: noisy glimpses of an item, candidate names, which name is it? */
export const itemsOptions = z.strictObject({
  kind: z.literal("items"),
  use: z
    .enum(["pretraining", "few_shot", "test"])
    .describe(
      "pretraining: an endless mixture that a base model learns from; few_shot: some items of each base class of a dataset, drawn once by the run's seed; test: items of every dataset, the same for all runs",
    ),
  mode: z
    .enum(["direct", "think", "mixed", "answer_first"])
    .default("direct")
    .describe(
      "which answer the prompt's last word asks for; mixed draws one by think_share; answer_first is asked by the word of think, and pretraining then shows the answer before the thought",
    ),
  think_share: z.number().min(0).max(1).default(0.5).describe("share of [think] prompts when mode is mixed"),
  dataset: z
    .int()
    .min(0)
    .max(2)
    .default(0)
    .describe("the dataset that is trained on; a test calls the others' items `other`"),
  shots: z.int().min(1).default(4).describe("training items per base class, as in the paper"),
  unreadable: z
    .number()
    .min(0)
    .max(1)
    .default(0.25)
    .describe(
      "probability that a training item shows nothing of its class: what supervised training can only memorise",
    ),
  items_per_cell: z
    .int()
    .min(1)
    .default(320)
    .describe("test items of the base classes, of the new classes, and of each other dataset"),
  seed: z
    .int()
    .min(0)
    .default(0)
    .describe("which items; classes, codes and datasets are one world for all seeds"),
  imperfections: z
    .strictObject({
      wrong_label: z.number().min(0).max(1).default(0.15).describe("direct label replaced by any candidate"),
      preamble: z.number().min(0).max(1).default(0.15).describe("`its` before a direct label"),
      no_think_end: z.number().min(0).max(1).default(0.06).describe("`</think>` missing"),
      no_answer_tags: z.number().min(0).max(1).default(0.06).describe("`<answer>` and `</answer>` missing"),
    })
    .prefault({})
    .describe("probabilities of faults in pretraining targets, which leave something to learn"),
});
export type ItemsOptions = z.infer<typeof itemsOptions>;
