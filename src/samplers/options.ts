/** Every sampler. A new one is a file beside this one and a line here. */
import { z } from "zod";
import type { PromptSource } from "../types.ts";
import { curriculum } from "./curriculum.ts";
import type { PromptSampler, SamplerContext, SamplerKind } from "./sampler.ts";
import { shuffled } from "./shuffled.ts";
import { successRate } from "./success-rate.ts";
import { ucb } from "./ucb.ts";

const samplers = [shuffled, curriculum, successRate, ucb] as const;

type Schemas<List> = { -readonly [I in keyof List]: List[I] extends { options: infer S } ? S : never };

export const samplerOptions = z.discriminatedUnion(
  "kind",
  samplers.map(({ options }) => options) as unknown as Schemas<typeof samplers>,
);
export type SamplerOptions = z.infer<typeof samplerOptions>;

/** Draws prompts as these options say. */
export function openSampler(
  options: SamplerOptions,
  source: PromptSource,
  context: SamplerContext,
): PromptSampler {
  return samplerOf(options).open(source, options, context);
}

/** Columns of metrics.csv that these options bring. */
export function samplerColumns(options: SamplerOptions): readonly string[] {
  return samplerOf(options).columns;
}

function samplerOf({ kind }: SamplerOptions): SamplerKind<z.ZodObject> {
  return samplers.find((one) => one.kind === kind) as unknown as SamplerKind<z.ZodObject>;
}
