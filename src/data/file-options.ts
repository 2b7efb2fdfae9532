import { extname } from "node:path";
import { z } from "zod";
import { answerPatternFault } from "./answer-pattern.ts";
import { filterOptions } from "./filter-options.ts";
import { templateColumns, templateFault } from "./template.ts";

/** Text with {column} placeholders. */
const template = z.string().superRefine((text, context) => {
  const fault = templateFault(text);
  if (fault !== null) context.addIssue({ code: "custom", message: fault });
});

/** Problems from JSONL, JSON, CSV or Parquet files, a row each. */
export const fileOptions = z
  .strictObject({
    kind: z.literal("file"),
    path: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .describe(
        "the file, a folder of files, a pattern such as data/train-*.parquet, hf://organisation/name for a dataset on the Hub, or a list of these; relative to the config file, else to the working directory",
      ),
    format: z
      .enum(["jsonl", "json", "csv", "parquet"])
      .optional()
      .describe(
        "jsonl: an object a line; json: one array of objects; by the extension when absent. All but parquet may be compressed by gzip or zstd",
      ),
    map: z
      .record(z.string().min(1), template)
      .optional()
      .describe(
        "columns made of others, such as question: '{body} {ask}'; a template that is one {column} alone takes its value as it is, lists and objects too",
      ),
    filter: z
      .array(filterOptions)
      .optional()
      .describe("conditions on columns; a row is kept when it fulfils all of them"),
    hub: z
      .strictObject({
        config: z
          .string()
          .min(1)
          .optional()
          .describe("the dataset's configuration; its only one or its default when absent"),
        split: z.string().min(1).default("train").describe("the dataset's split"),
        revision: z
          .string()
          .regex(/^[\w./-]+$/, "is no branch, tag or commit")
          .default("main")
          .describe("branch, tag or commit; a commit is read from the cache without asking"),
      })
      .optional()
      .describe("which part of a dataset on the Hub; all defaults when absent"),
    prompt: template
      .default("{prompt}")
      .describe("what the policy reads; {column} is the row's value, {{ and }} are braces"),
    messages: z
      .strictObject({
        column: z
          .string()
          .min(1)
          .default("messages")
          .describe(
            "a list of {role, content}, or of ShareGPT's {from, value}; JSON text of one is read too",
          ),
        prompts: z
          .enum(["end", "last_user", "each_user"])
          .default("end")
          .describe(
            "where a prompt ends. end: with the conversation, which then ends with a user's or a tool's turn; last_user: with its last user turn; each_user: a prompt for each user turn. The assistant's next turn becomes the column reply",
          ),
        learn: z
          .enum(["all", "last"])
          .optional()
          .describe(
            "for supervised training: learn all assistant turns, or the last; what follows the last one is left out",
          ),
      })
      .optional()
      .describe("conversations in the place of prompt; chat only"),
    pictures: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .optional()
      .describe(
        "columns with pictures, in order: a path relative to pictures_root, bytes (also as {bytes, path}), a base64 data URI, or a list of these. In a chat they stand at the markers of the user's text, before it where there are none; text that is fed as it is (chat: false) needs a placeholder for each. Beside messages they fill the image parts that name none",
      ),
    pictures_root: z
      .string()
      .min(1)
      .optional()
      .describe("folder below which pictures lie; that of the data file when absent"),
    picture_marker: z
      .string()
      .min(1)
      .optional()
      .describe(
        "what stands for a picture in a text; <image> when absent. With chat: false it is the model's own placeholder",
      ),
    follow_links: z
      .boolean()
      .optional()
      .describe("true: links may lead out of the folder of the pictures; for data that you trust"),
    tools: z
      .string()
      .min(1)
      .optional()
      .describe("column with the functions that the model may call, a list of JSON schemas or its text"),
    answer: template
      .nullable()
      .default("{answer}")
      .describe("gold answer that rewards compare with; null when the data has none"),
    answer_pattern: z
      .string()
      .superRefine((text, context) => {
        const fault = answerPatternFault(text);
        if (fault !== null) context.addIssue({ code: "custom", message: fault });
      })
      .optional()
      .describe(
        "regular expression on the answer's text, without looking ahead or back; ^ and $ match at line breaks; its first group becomes the answer",
      ),
    answer_in_prompt: z
      .boolean()
      .optional()
      .describe(
        "true: the prompt may show the gold answer, as in a task of copying; otherwise that is refused",
      ),
    target: template.nullable().default(null).describe("text that supervised training learns; null for none"),
    pair: z
      .strictObject({
        chosen: template.default("{chosen}").describe("the text that is preferred"),
        rejected: template.default("{rejected}").describe("the text that it is preferred to"),
      })
      .optional()
      .describe("two completions of each prompt, for learning from preferences; none when absent"),
    chat: z
      .boolean()
      .default(true)
      .describe("true: the prompt is a user message of the model's chat template; false: text as it is"),
    system: z.string().min(1).optional().describe("system message before the prompt; chat only"),
    id: z
      .string()
      .min(1)
      .optional()
      .describe("column whose value names the row; a hash of prompt, answer and target when absent"),
    choices: z
      .strictObject({
        column: z
          .string()
          .min(1)
          .describe("column of the row's class; its values in the file are the classes"),
        share: z
          .number()
          .gt(0)
          .max(1)
          .default(0.4)
          .describe(
            "share of the classes in a list; all where that is under 30, at most 100. 0.4: CLS-RL's few-shot prompts, 0.8: base-to-new",
          ),
        seed: z.int().min(0).default(0).describe("another number draws other lists"),
      })
      .optional()
      .describe(
        "candidate names drawn for each row, the right one among them; {choices} in prompt shows them",
      ),
    slices: z
      .array(z.string().min(1))
      .default([])
      .describe("columns by whose values evaluations are split, such as level"),
    split: z
      .strictObject({
        by: z
          .literal("hash")
          .default("hash")
          .describe("of the row's id: rows stay where they are when others come or go"),
        eval_share: z.number().gt(0).lt(1).default(0.1).describe("share of rows in the eval part, about"),
        part: z.enum(["train", "eval"]).describe("which part this dataset is"),
        salt: z.string().default("").describe("another text makes another split"),
      })
      .optional()
      .describe("use a part of the file; all of it when absent"),
    limit: z.int().min(1).optional().describe("at most this many rows, the first ones after the split"),
    on_bad_row: z
      .enum(["error", "skip"])
      .default("error")
      .describe("a row that does not fit stops the run, or is counted and left out"),
    on_long: z
      .enum(["error", "skip", "truncate"])
      .optional()
      .describe(
        "a row with more tokens than the model or the limits take: error, as when absent, names its line before the run; skip leaves it out; truncate cuts the beginning of its text off",
      ),
    get: z
      .string()
      .min(1)
      .optional()
      .describe("how to get the file, said where it is not there yet; a config with it is valid before"),
  })
  .superRefine((options, context) => {
    if (options.system !== undefined && !options.chat)
      context.addIssue({
        code: "custom",
        path: ["system"],
        message: "a system message needs a chat template; set chat: true, or put the text into prompt",
      });
    for (const [index, path] of dataPaths(options).entries()) {
      if (!isHubPath(path) || /^hf:\/\/(datasets\/)?[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(path))
        continue;
      context.addIssue({
        code: "custom",
        path: typeof options.path === "string" ? ["path"] : ["path", index],
        message: "names no dataset; write hf://organisation/name, and config, split and revision under hub",
      });
    }
    if (options.hub !== undefined && !dataPaths(options).some(isHubPath))
      context.addIssue({
        code: "custom",
        path: ["hub"],
        message: "path names no dataset on the Hub; write hf://organisation/name",
      });
    if (options.messages !== undefined && !options.chat)
      context.addIssue({
        code: "custom",
        path: ["messages"],
        message: "conversations need a chat template; set chat: true",
      });
    if (options.messages?.learn !== undefined && options.messages.prompts !== "end")
      context.addIssue({
        code: "custom",
        path: ["messages", "learn"],
        message: "learns whole conversations, and prompts says where prompts end; give one of the two",
      });
    if (options.messages?.learn !== undefined && options.target !== null)
      context.addIssue({
        code: "custom",
        path: ["target"],
        message: "the conversation's own turns are learnt; give target, or messages.learn",
      });
    for (const key of ["pictures_root", "picture_marker", "follow_links"] as const) {
      const read =
        options.pictures !== undefined || (options.messages !== undefined && key !== "picture_marker");
      if (options[key] !== undefined && !read)
        context.addIssue({
          code: "custom",
          path: [key],
          message: "no picture is read; name their columns with pictures, or remove it",
        });
    }
    if (options.tools !== undefined && !options.chat)
      context.addIssue({
        code: "custom",
        path: ["tools"],
        message: "only a chat template has a place for tools",
      });
    if (options.choices !== undefined && !templateColumns(options.prompt).includes("choices"))
      context.addIssue({
        code: "custom",
        path: ["choices"],
        message: "the prompt does not show them; put {choices} into prompt",
      });
    if (options.answer_pattern !== undefined && options.answer === null)
      context.addIssue({
        code: "custom",
        path: ["answer_pattern"],
        message: "there is no answer to apply it to; give answer, or leave answer_pattern out",
      });
  });
export type FileOptions = z.infer<typeof fileOptions>;

/** Is it a dataset on the Hub? */
export function isHubPath(path: string): boolean {
  return path.startsWith("hf://");
}

/** What `path` names, as a list. */
export function dataPaths({ path }: Pick<FileOptions, "path">): readonly string[] {
  return typeof path === "string" ? [path] : path;
}

/**
 * The column by which a prompt shows the gold answer, or null: it reads every column that the answer is made of, or one
 * of them after a LaTeX command, where the braces were meant as braces.
 */
export function answerColumnShown(
  prompt: string,
  { answer, answer_pattern: pattern }: { answer: string | null; answer_pattern?: string | undefined },
): string | null {
  if (answer === null) return null;
  const gold = templateColumns(answer);
  const command = templateColumns(prompt.match(/\\[A-Za-z]+\{[^{}]+\}/g)?.join(" ") ?? "");
  const commandColumn = gold.find((column) => command.includes(column));
  if (commandColumn !== undefined) return commandColumn;
  // with a pattern the answer is a part of what is shown: a task of finding it
  const shown = templateColumns(prompt);
  return pattern === undefined && gold.every((column) => shown.includes(column)) ? gold[0]! : null;
}

/** A file's format by its extension, that of a compression left out; null where that does not tell. */
export function formatOf(path: string): NonNullable<FileOptions["format"]> | null {
  switch (extname(path.replace(/\.(gz|zst)$/i, "")).toLowerCase()) {
    case ".jsonl":
    case ".ndjson":
      return "jsonl";
    case ".json":
      return "json";
    case ".csv":
      return "csv";
    case ".parquet":
      return "parquet";
    default:
      return null;
  }
}
