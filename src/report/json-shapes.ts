/** What a run's JSON files have to hold for a report: what is no number must not reach a page as one. */
import { z } from "zod";

/** More of a sample than this is no prompt of ours. */
const MOST_PICTURES = 64;
const MOST_BOXES = 100;

const box = z.tuple([z.number(), z.number(), z.number(), z.number()]);
const side = z.number().gt(0).max(1e6);
const boxesShape = z.object({
  gold: z.array(box).max(MOST_BOXES),
  given: z.array(box).max(MOST_BOXES),
  of: z.tuple([side, side]).optional(),
});
export type DrawnBoxes = z.infer<typeof boxesShape>;

/** A line of samples.jsonl, as far as reports use it. */
export const sampleShape = z.object({
  step: z.number(),
  stage: z.string(),
  prompt_id: z.string(),
  sample_index: z.number(),
  prompt: z.string(),
  pictures: z.array(z.string()).max(MOST_PICTURES).optional().catch(undefined),
  answer: z.string().default(""),
  completion: z.string(),
  tokens: z.number(),
  reward: z.number(),
  status: z.string(),
  correct: z.boolean(),
  /** By reward part; absent where it is something else. */
  parts: z
    .record(z.string(), z.object({ value: z.number(), boxes: boxesShape.optional().catch(undefined) }))
    .optional()
    .catch(undefined),
});
export type SampleLine = z.infer<typeof sampleShape>;

/** A line of thumbnails.jsonl. Base64 alone, so that nothing else stands in an address. */
export const thumbnailShape = z.object({
  id: z.string(),
  name: z.string().max(1000),
  width: side,
  height: side,
  png: z
    .string()
    .max(64_000)
    .regex(/^[A-Za-z0-9+/]+={0,2}$/),
});

/** selection.json of rlpt select-data. */
export const selectionShape = z.object({
  pool: z.number(),
  selected: z.number(),
  without_score: z.number().default(0),
  slices: z.record(z.string(), z.object({ pool: z.number(), selected: z.number() })).default({}),
});

const stageShape = z.object({ steps: z.number(), steps_s: z.number(), live: z.number().optional() });
const diskShape = z.object({ checkpoints_bytes: z.number(), rest_bytes: z.number() });

/** plan.json, what is compared of it. */
export const planShape = z.object({
  total_s: z.number(),
  cpu_s: z.number(),
  memory: z.object({ peak_bytes: z.number() }),
  disk: diskShape,
  stages: z.array(
    stageShape.extend({
      update: z.object({ all_s: z.number(), basis: z.enum(["probe", "assumed", "algorithm"]) }).optional(),
    }),
  ),
});
export type PlannedNumbers = z.infer<typeof planShape>;

/** usage.json. */
export const usageShape = z.object({
  total_s: z.number(),
  cpu_s: z.number(),
  peak_rss_bytes: z.number(),
  disk: diskShape,
  stages: z.array(stageShape),
});
export type UsedNumbers = z.infer<typeof usageShape>;

/** verdict.json of rlpt reproduce, what reports show of it. */
export const verdictShape = z.object({
  claim: z.string(),
  title: z.string(),
  statement: z.string(),
  verdict: z.string(),
  reason: z.string(),
  rule: z.string(),
  conditions: z.array(
    z.object({
      say: z.string(),
      metric: z.string(),
      slice: z.string(),
      direction: z.string(),
      margin: z.number(),
      minus: z.string().optional(),
      effect: z.number(),
      low: z.number().nullable(),
      high: z.number().nullable(),
      first: z.number(),
      second: z.number().nullable(),
      outcome: z.string(),
      p_holds: z.number(),
      by_seed: z.array(z.object({ seed: z.number(), effect: z.number() })),
    }),
  ),
  runs: z.array(z.object({ arm: z.string(), seed: z.number(), directory: z.string() })),
});
export type VerdictFile = z.infer<typeof verdictShape>;
