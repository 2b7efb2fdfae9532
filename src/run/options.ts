import { z } from "zod";
import { alarms } from "./alarm-kinds.ts";
import { evaluationMetrics } from "./logs-options.ts";
import { trackerNames } from "./tracker-names.ts";

/** What is kept of a run, and how often. */
export const runOptions = z.strictObject({
  root: z
    .string()
    .min(1)
    .default("runs")
    .describe("folder of run directories, relative to the working directory"),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, "use letters, digits, dot, dash and underscore")
    .optional()
    .describe("first part of the run directory's name; the config file's name when absent"),
  checkpoint_every: z
    .int()
    .min(1)
    .default(50)
    .describe("steps between checkpoints; the last step and Ctrl-C always write one"),
  keep_last: z.int().min(1).default(2).describe("newest checkpoints that stay on disk"),
  keep_every: z
    .int()
    .min(1)
    .optional()
    .describe(
      "checkpoints of steps that it divides stay too: what rlpt replay starts from; a step far behind one is made again from the run's beginning when absent",
    ),
  keep_best: z
    .strictObject({
      metric: z.enum(evaluationMetrics).default("accuracy").describe("which evaluation metric decides"),
      mode: z.enum(["max", "min"]).default("max").describe("whether more or less of it is better"),
    })
    .nullable()
    .prefault({})
    .describe("the best evaluated checkpoint stays too; null keeps only the newest"),
  alarms: z
    .boolean()
    .default(true)
    .describe("say when metrics look like a run gone wrong (docs/alarms.md); columns alarms and alarm/..."),
  stop_on: z
    .array(z.enum(alarms.map(({ name }) => name) as [string, ...string[]]))
    .optional()
    .describe(
      "alarms that end the run when they begin, with a checkpoint and exit status 5; --resume goes on; none when absent",
    ),
  track: z
    .array(z.enum(trackerNames))
    .optional()
    .describe(
      "trackers that are told every step, evaluation and some samples (docs/trackers.md); rlpt track does it afterwards; none when absent",
    ),
  samples_every: z.int().min(0).default(1).describe("steps between writes to samples.jsonl; 0 writes none"),
  samples_prompts: z
    .int()
    .min(1)
    .default(2)
    .describe("prompts of such a step whose completions are written, the first ones of the batch"),
});
