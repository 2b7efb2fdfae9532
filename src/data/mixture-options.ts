import { basename } from "node:path";
import { z } from "zod";
import { bootcampOptions } from "./bootcamp-options.ts";
import { chainOptions } from "./chain-options.ts";
import { coopOptions } from "./coop-options.ts";
import { dataPaths, fileOptions } from "./file-options.ts";
import { imageFolderOptions } from "./image-folder-options.ts";
import { itemsOptions } from "./items-options.ts";
import { picturesOptions, scenesOptions } from "./pictures-options.ts";

const member = {
  name: z
    .string()
    .regex(/^[\w.-]+$/, "use letters, digits, dot, dash and underscore")
    .optional()
    .describe(
      "slice `source` and the beginning of its prompts' ids; the file's name, the folder's or the task's when absent",
    ),
  weight: z
    .number()
    .gt(0)
    .optional()
    .describe("its share of the prompts, relative to the others' weights; with one all sources need theirs"),
};

const memberOptions = z.discriminatedUnion("kind", [
  chainOptions.safeExtend(member),
  itemsOptions.safeExtend(member),
  picturesOptions.safeExtend(member),
  scenesOptions.safeExtend(member),
  bootcampOptions.safeExtend(member),
  fileOptions.safeExtend(member),
  imageFolderOptions.safeExtend(member),
  coopOptions.safeExtend(member),
]);
export type MemberOptions = z.infer<typeof memberOptions>;

/** What a source of a mixture is called. */
export function memberName(member: MemberOptions): string {
  if (member.name !== undefined) return member.name;
  if (member.kind === "coop") return member.dataset;
  if (member.kind === "image-folder") return basename(member.path).replace(/[^\w.-]+/g, "-") || "pictures";
  if (member.kind !== "file") return member.kind;
  return (
    basename(dataPaths(member)[0]!).replace(/(\.(gz|zst|jsonl|ndjson|json|csv|parquet))+$/i, "") || "file"
  );
}

/** Several datasets as one. */
export const mixtureOptions = z
  .strictObject({
    kind: z.literal("mixture"),
    sources: z
      .array(memberOptions)
      .min(2)
      .describe(
        "the datasets, each with its own keys. Without weights their rows follow one another; with weights they are drawn in these shares without an end, each source in epochs of its own",
      ),
    size: z
      .int()
      .min(2)
      .optional()
      .describe("with weights: so many rows in all, a fixed pool with exact shares, none of them twice"),
  })
  .superRefine(({ sources, size }, context) => {
    const weighed = sources.filter(({ weight }) => weight !== undefined).length;
    if (weighed > 0 && weighed < sources.length) {
      const at = sources.findIndex(({ weight }) => weight === undefined);
      const message = "has no weight, and others have; give each source one, or none";
      context.addIssue({ code: "custom", path: ["sources", at], message });
    }
    if (size !== undefined && weighed === 0) {
      const message = "counts only with weights; give each source a weight, or use limit in the sources";
      context.addIssue({ code: "custom", path: ["size"], message });
    }
    const names = sources.map(memberName);
    const twice = names.findIndex((name, index) => names.indexOf(name) < index);
    if (twice >= 0) {
      const message = `is the second source called ${names[twice]}; give it a name`;
      context.addIssue({ code: "custom", path: ["sources", twice], message });
    }
  });
export type MixtureOptions = z.infer<typeof mixtureOptions>;
