/** What datasets of labelled pictures have in common: classes and halves of them, shots, the question. */
import { z } from "zod";
import { templateColumns } from "./template.ts";

/** The question of most datasets of CLS-RL (arXiv:2503.16188). */
export const OBJECT_QUESTION = "What type of object is in the photo?";

/** Columns that a prompt's template may read. */
export const QUESTION_COLUMNS = ["question", "choices"] as const;

/** Keys of every kind of labelled pictures. */
export const classificationKeys = {
  prompt: z
    .string()
    .min(1)
    .default("{question}\n Please choose one from list [ {choices}].")
    .describe(
      "what is asked beside the picture; {question} is the question, {choices} the list of candidates. Without {choices} the question is open. The default is CLS-RL's",
    ),
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(0.4)
    .describe(
      "share of the classes in a list; all where that is under 30, at most 100. 0.4: CLS-RL's few-shot prompts, 0.8: base-to-new",
    ),
  half: z
    .enum(["all", "base", "new", "both"])
    .default("all")
    .describe(
      "which classes: all as one set; base or new: one half of them; both: the two, each picture's candidates from its own half and slice split telling them apart. Lists are drawn from the same classes",
    ),
  shots: z
    .int()
    .min(1)
    .optional()
    .describe("pictures of each class, drawn by seed; all when absent, and where a class has fewer"),
  seed: z.int().min(0).default(0).describe("another number draws other shots and other lists"),
  spaces_for: z
    .array(z.enum(["_", "-"]))
    .default(["_"])
    .describe("characters of class names that are shown as blanks; [] for names as they are"),
  limit: z.int().min(1).optional().describe("at most this many pictures, evenly from all that there are"),
  chat: z
    .boolean()
    .default(true)
    .describe(
      "true: picture and prompt are a user message of the model's chat template; false: text as it is",
    ),
  system: z.string().min(1).optional().describe("system message before the prompt; chat only"),
  picture_marker: z
    .string()
    .min(1)
    .default("<image>")
    .describe(
      "where the picture stands in prompt; before the text where it has none. With chat: false the model's own placeholder, which prompt must hold",
    ),
  follow_links: z
    .boolean()
    .default(false)
    .describe("true: links may lead out of the folder; for data that you trust"),
  on_bad_row: z
    .enum(["error", "skip"])
    .default("error")
    .describe("a picture that cannot be read stops the run, or is counted and left out"),
  get: z
    .string()
    .min(1)
    .optional()
    .describe("how to get the pictures, said where they are not there yet; a config with it is valid before"),
};

/** What every kind of labelled pictures asks for. */
export interface ClassificationOptions {
  prompt: string;
  share: number;
  half: "all" | "base" | "new" | "both";
  shots?: number | undefined;
  seed: number;
  spaces_for: readonly ("_" | "-")[];
  limit?: number | undefined;
  chat: boolean;
  system?: string | undefined;
  picture_marker: string;
  follow_links: boolean;
  on_bad_row: "error" | "skip";
}

/** Faults between these keys. */
export function checkClassification(
  { prompt, chat, system, picture_marker: marker }: ClassificationOptions,
  context: z.core.$RefinementCtx,
): void {
  const fault = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
  const unknown = unknownColumn(prompt);
  if (unknown !== null)
    fault("prompt", `there is no {${unknown}}; use {question} and {choices}, and {{ }} for braces`);
  const markers = prompt.split(marker).length - 1;
  if (markers > 1)
    fault("prompt", `has ${markers} places for a picture (${marker}), and there is one picture`);
  if (!chat && markers === 0)
    fault(
      "prompt",
      `with chat: false the text needs the model's placeholder of a picture; put ${marker} into it`,
    );
  if (system !== undefined && !chat)
    fault("system", "a system message needs a chat template; set chat: true, or put the text into prompt");
}

/** A column of a template that labelled pictures do not have; null: it has none. */
export function unknownColumn(template: string): string | null {
  return templateColumns(template).find((column) => !QUESTION_COLUMNS.some((one) => one === column)) ?? null;
}
