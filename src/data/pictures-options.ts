import { z } from "zod";

/** What is shown in the place of a picture: for both picture tasks. */
export const shownPictures = z
  .enum(["as_they_are", "grey", "shuffled"])
  .default("as_they_are")
  .describe(
    "grey: a plain grey picture each; shuffled: each shows the picture of another item of its kind. Both are controls: whoever looks falls to chance, or below",
  );

/** The laboratory's classification of pictures: a drawn or real picture, candidate names, which name is it? */
export const picturesOptions = z.strictObject({
  kind: z.literal("pictures"),
  use: z
    .enum(["pretraining", "few_shot", "test"])
    .describe(
      "pretraining: an endless mixture of all datasets that a base model learns from; few_shot: some pictures of each base class of a dataset, drawn once by the run's seed; test: pictures of every dataset, the same for all runs",
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
    .max(3)
    .default(0)
    .describe(
      "the dataset that is trained on: 0 colour and shape, 1 texture and count (both drawn), 2 Fashion-MNIST (needs fashion), 3 handwritten digits; a test calls the others' items `other`",
    ),
  fashion: z
    .string()
    .min(1)
    .optional()
    .describe(
      "folder with the four files of Fashion-MNIST, such as /usr/share/datasets/fashion-mnist of Debian's package dataset-fashion-mnist; absent: the mixture and the other datasets of a test are without it, so that nothing depends on what a machine has",
    ),
  shots: z.int().min(1).default(4).describe("training pictures per base class, as in the paper"),
  unreadable: z
    .number()
    .min(0)
    .max(1)
    .default(0.25)
    .describe(
      "share of each class's shots that are collages of four other pictures, rounded: what supervised training can only memorise",
    ),
  items_per_cell: z
    .int()
    .min(1)
    .default(320)
    .describe("test pictures of the base classes, and of the new ones"),
  items_per_other: z
    .int()
    .min(1)
    .default(160)
    .describe("test pictures of each other dataset, base and new classes in turn"),
  pictures: shownPictures,
  seed: z
    .int()
    .min(0)
    .default(0)
    .describe("which pictures and lists; classes and datasets are one world for all seeds"),
  imperfections: z
    .strictObject({
      wrong_label: z.number().min(0).max(1).default(0.25).describe("direct label replaced by any candidate"),
      preamble: z.number().min(0).max(1).default(0.15).describe("`its` before a direct label"),
      misread: z
        .number()
        .min(0)
        .max(1)
        .default(0.05)
        .describe("each word of a thought replaced by any value of its attribute"),
      no_think_end: z.number().min(0).max(1).default(0.06).describe("`</think>` missing"),
      no_answer_tags: z.number().min(0).max(1).default(0.06).describe("`<answer>` and `</answer>` missing"),
    })
    .prefault({})
    .describe("probabilities of faults in pretraining targets, which leave something to learn"),
});
export type PicturesOptions = z.infer<typeof picturesOptions>;

/** The laboratory's grounding task: two objects, where is the one that is named? */
export const scenesOptions = z.strictObject({
  kind: z.literal("scenes"),
  use: z
    .enum(["pretraining", "train", "test"])
    .describe(
      "pretraining: an endless stream whose targets are wrong on purpose; train: another, with right ones; test: scenes that are the same for all runs",
    ),
  ask: z
    .enum(["one", "both"])
    .default("one")
    .describe(
      "one: the box of the object that is named; both: two of 3 x 3 parts of the picture to look at, then the boxes of both objects, which are named (DIP-R1's layout; the think block stands for its look block)",
    ),
  size: z.int().min(1).default(600).describe("test scenes"),
  pictures: shownPictures,
  seed: z.int().min(0).default(0).describe("which scenes"),
  imperfections: z
    .strictObject({
      off_by_one: z
        .number()
        .min(0)
        .max(1)
        .default(0.3)
        .describe("each coordinate one too small or too large, within 0 to 8"),
      wrong_object: z.number().min(0).max(1).default(0.1).describe("the box of the other object"),
    })
    .prefault({})
    .describe("probabilities of faults in pretraining targets, which leave something to learn"),
});
export type ScenesOptions = z.infer<typeof scenesOptions>;
