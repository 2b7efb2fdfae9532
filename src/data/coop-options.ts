import { z } from "zod";
import { checkClassification, classificationKeys } from "./classification-options.ts";
import { COOP_DATASETS, type CoopDataset } from "./coop-layout.ts";

/**
 * Few-shot classification as CoOp lays it out. A kind of its own, beside `image-folder`: names, classes and splits are those of the
 * split file, and a folder's keys (classes, classes_split, split) would contradict it.
 */
export const coopOptions = z
  .strictObject({
    kind: z.literal("coop"),
    path: z
      .string()
      .min(1)
      .describe(
        "the folder that holds the datasets' folders (caltech-101, oxford_pets, ...), as CoOp's DATASETS.md lays it out",
      ),
    dataset: z
      .enum(Object.keys(COOP_DATASETS) as [CoopDataset, ...CoopDataset[]])
      .describe("which of the eleven"),
    part: z
      .enum(["train", "val", "test"])
      .optional()
      .describe(
        "list of the split file; train for data.train and test for data.eval when absent. Of imagenet val and test are its validation pictures",
      ),
    question: z
      .string()
      .min(1)
      .optional()
      .describe("what {question} is in prompt; CLS-RL's for the dataset when absent"),
    ...classificationKeys,
  })
  .superRefine(checkClassification);
export type CoopOptions = z.infer<typeof coopOptions>;
