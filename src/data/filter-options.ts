import { z } from "zod";
import { patternFault } from "./answer-pattern.ts";

const values = z.array(z.union([z.string(), z.number(), z.boolean()])).min(1);

/** A condition on a column; a row is kept when it fulfils all of them. */
export const filterOptions = z
  .strictObject({
    column: z.string().min(1).describe("the column, or a path into nested ones such as meta.level"),
    in: values.optional().describe("its value is one of these"),
    not_in: values.optional().describe("its value is none of these"),
    min: z.number().optional().describe("it is a number of at least this"),
    max: z.number().optional().describe("it is a number of at most this"),
    matches: z
      .string()
      .superRefine((text, context) => {
        const fault = patternFault(text);
        if (fault !== null) context.addIssue({ code: "custom", message: fault });
      })
      .optional()
      .describe("this regular expression, without looking ahead or back, is found in its text"),
    min_characters: z.int().min(0).optional().describe("its text has at least so many characters"),
    max_characters: z.int().min(0).optional().describe("its text has at most so many characters"),
  })
  .refine((condition) => Object.keys(condition).length > 1, {
    message:
      "says nothing of the column; give in, not_in, min, max, matches, min_characters or max_characters",
  });
export type FilterOptions = z.infer<typeof filterOptions>;
