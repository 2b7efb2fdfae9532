/** Options of the judge: what it is asked, which model answers, and how much it may cost. */
import { z } from "zod";

const question = z.strictObject({
  ask: z.string().trim().min(1).describe("a question that yes or no answers"),
  weight: z.number().default(1).describe("what a yes adds; below 0 for what should not be there"),
});

const model = z
  .strictObject({
    endpoint: z
      .string()
      .regex(/^https?:\/\//, "use a URL that starts with http:// or https://")
      .optional()
      .describe("base URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1"),
    model: z.string().min(1).optional().describe("the endpoint's name of the model"),
    key_variable: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "use the name of an environment variable, never a key")
      .optional()
      .describe(
        "environment variable with the endpoint's key; the key itself is written nowhere. No key is sent when absent",
      ),
    path: z
      .string()
      .min(1)
      .optional()
      .describe("instead of an endpoint: a model as in model.path, run by this run's own engine, greedy"),
    temperature: z
      .number()
      .min(0)
      .max(2)
      .default(0)
      .describe("of an endpoint; 0: as repeatable as it can be"),
    max_tokens: z.int().min(8).default(256).describe("longest reply; a verdict takes some 10 tokens an item"),
  })
  .describe("which model answers");

const limits = z
  .strictObject({
    calls: z
      .int()
      .min(1)
      .optional()
      .describe("requests in the life of the run, further tries included; no bound when absent"),
    tokens: z
      .int()
      .min(1)
      .optional()
      .describe("tokens read and written; no request is made once they are spent; no bound when absent"),
    concurrency: z
      .int()
      .min(1)
      .max(1024)
      .default(8)
      .describe("requests at a time; rows at a time of a local model"),
    retries: z
      .int()
      .min(0)
      .max(20)
      .default(5)
      .describe("further tries after overload, server errors and lost connections"),
    retry_ms: z.int().min(1).default(500).describe("wait before the first of them, doubled each time"),
    timeout_s: z.number().positive().default(120).describe("longest wait for one reply"),
    readings: z
      .int()
      .min(1)
      .max(5)
      .default(2)
      .describe("replies to one question until one can be read; each after the first is told what is wanted"),
  })
  .describe("what it may cost; may change when a run is resumed");

export const judgeShape = {
  correct: z
    .boolean()
    .optional()
    .describe("this part decides what accuracy counts: a value of 1 or more; it does not by default"),
  judge: model,
  rubric: z
    .array(question)
    .min(1)
    .max(50)
    .optional()
    .describe("the value is the weighted share of these that are answered yes"),
  pairwise: z
    .string()
    .trim()
    .min(1)
    .optional()
    .describe(
      "instead of a rubric: what makes one response better than another; the value is the share of comparisons won within the group",
    ),
  opponents: z
    .int()
    .min(1)
    .default(2)
    .describe(
      "with pairwise: each completion is compared with so many that follow it in the group, round and round",
    ),
  both_orders: z
    .boolean()
    .default(true)
    .describe(
      "with pairwise: ask twice, each of the two standing first, and take the mean; judges prefer a place",
    ),
  instructions: z.string().optional().describe("what the judge is told beside its task; nothing when absent"),
  task: z
    .string()
    .optional()
    .describe(
      "the task as the judge reads it, with {column} for the row's columns; the prompt as the policy read it when absent",
    ),
  reference: z.boolean().default(true).describe("show the gold answer, where the row has one"),
  after: z
    .string()
    .min(1)
    .optional()
    .describe(
      "show only what stands after the last occurrence of this text, such as </think>; all where it does not occur",
    ),
  labelled: z
    .string()
    .regex(/\.jsonl$/, "use JSON lines, a .jsonl file")
    .optional()
    .describe(
      "rows that people judged: the agreement with them is printed before a run begins; relative to the config",
    ),
  min_agreement: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "with labelled: the run does not begin below this share of agreement; only printed when absent",
    ),
  limits: limits.prefault({}),
};

const shape = z.strictObject(judgeShape);
export type JudgeSpec = z.infer<typeof shape>;

/** Rules between its options. */
export function checkJudge(spec: JudgeSpec, fault: (key: string, message: string) => void): void {
  const { judge } = spec;
  if ((spec.rubric === undefined) === (spec.pairwise === undefined))
    fault("rubric", "give either rubric, questions of yes or no, or pairwise, what makes a response better");
  if ((judge.endpoint === undefined) === (judge.path === undefined))
    fault("judge", "give either endpoint, with model, or path, a model of your own");
  if (judge.endpoint !== undefined && judge.model === undefined)
    fault("judge", "an endpoint needs model, its name of the model");
  if (judge.path !== undefined && (judge.key_variable !== undefined || judge.model !== undefined))
    fault("judge", "a local model has no model name and no key; remove model and key_variable");
  if (judge.path !== undefined && judge.temperature !== 0)
    fault("judge", "a local model answers greedily; remove temperature");
  if (spec.rubric?.every(({ weight }) => weight <= 0) === true)
    fault("rubric", "no question has a weight above 0, so no response could earn anything");
  if (spec.min_agreement !== undefined && spec.labelled === undefined)
    fault("min_agreement", "there are no labelled rows to agree with; add labelled");
}
