import { z } from "zod";
import { checkClassification, classificationKeys, OBJECT_QUESTION } from "./classification-options.ts";

/** Pictures in a folder for each class. */
export const imageFolderOptions = z
  .strictObject({
    kind: z.literal("image-folder"),
    path: z
      .string()
      .min(1)
      .describe(
        "a folder with a folder for each class; pictures (jpg, jpeg, png, webp, gif) lie anywhere below it, hidden files are passed over",
      ),
    question: z.string().min(1).default(OBJECT_QUESTION).describe("what {question} is in prompt"),
    classes: z
      .union([z.array(z.string().min(1)).min(1), z.record(z.string().min(1), z.string().min(1))])
      .optional()
      .describe(
        "names of class folders in the order that counts, or a map from them to the names that are shown; folders that it leaves out are left out. All, sorted by name, when absent",
      ),
    classes_split: z
      .strictObject({
        base: z.array(z.string().min(1)).min(1).describe("class folders that are trained on"),
        new: z.array(z.string().min(1)).min(1).describe("class folders that are only tested"),
      })
      .optional()
      .describe("the halves; when absent the first half of the classes is base, rounded up, as in CoOp"),
    split: z
      .strictObject({
        part: z.enum(["train", "eval"]).describe("which part this dataset is"),
        eval_share: z.number().gt(0).lt(1).default(0.1).describe("share of pictures in the eval part, about"),
        salt: z.string().default("").describe("another text makes another split"),
      })
      .optional()
      .describe("use a part of the folder, by a hash of each picture's path; all of it when absent"),
    ...classificationKeys,
  })
  .superRefine((options, context) => {
    checkClassification(options, context);
    if (options.classes_split !== undefined && options.half === "all")
      context.addIssue({
        code: "custom",
        path: ["classes_split"],
        message: "with half: all there are no halves; set half to base, new or both",
      });
    const twice = options.classes_split?.base.find((name) => options.classes_split!.new.includes(name));
    if (twice !== undefined)
      context.addIssue({
        code: "custom",
        path: ["classes_split", "new"],
        message: `${twice} is in both halves; leave it in one`,
      });
  });
export type ImageFolderOptions = z.infer<typeof imageFolderOptions>;
