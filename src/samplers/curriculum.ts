import { z } from "zod";
import { DataError } from "../lib/errors.ts";
import type { Prompt } from "../types.ts";
import { drawDistinct, sizeOf } from "./draw-distinct.ts";
import type { SamplerKind } from "./sampler.ts";

const options = z.strictObject({
  kind: z.literal("curriculum"),
  column: z
    .string()
    .min(1)
    .describe(
      "a column of the rows, or a slice such as level, that holds a number: how difficult the prompt is",
    ),
  start: z
    .number()
    .gt(0)
    .max(1)
    .default(0.25)
    .describe("share of the prompts, the easiest, that the first step draws from"),
  steps: z
    .int()
    .min(1)
    .optional()
    .describe("steps until all prompts are drawn from; half of the stage's when absent"),
});

/** From easy to difficult by a column: each step draws from a growing share of the prompts, the easiest first. */
export const curriculum: SamplerKind<typeof options> = {
  kind: "curriculum",
  options,
  columns: ["sampler/difficulty"],
  open(source, { column, start, steps }, { rng, cells, steps: all }) {
    const size = sizeOf(source, "curriculum");
    const difficulties = Array.from({ length: size }, (_, i) =>
      difficultyOf(source.at(i), column, source.name),
    );
    // ties keep the order of the data
    const easiestFirst = Array.from({ length: size }, (_, i) => i).sort(
      (a, b) => difficulties[a]! - difficulties[b]! || a - b,
    );
    const growing = steps ?? Math.max(1, Math.floor(all / 2));
    let difficulty = 0;
    const distinct = drawDistinct(source, size, cells, (step) => {
      const share = Math.min(1, start + (1 - start) * (step / growing));
      const allowed = Math.max(1, Math.ceil(share * size));
      const order = rng.fork("curriculum", step).permutation(allowed);
      // where the share is smaller than the step, the next easiest follow
      return [...order.map((i) => easiestFirst[i]!), ...easiestFirst.slice(allowed)];
    });
    const index = new Map(difficulties.map((value, i) => [source.at(i).id, value]));
    return {
      draw(step, count) {
        const prompts = distinct.draw(step, count);
        difficulty = prompts.reduce((sum, { prompt }) => sum + index.get(prompt.id)!, 0) / count;
        return prompts;
      },
      get drawn() {
        return distinct.drawn;
      },
      callbacks: [],
      metrics: () => ({ "sampler/difficulty": difficulty }),
    };
  },
};

function difficultyOf({ id, slices, fields }: Prompt, column: string, source: string): number {
  const value = slices[column] ?? fields[column];
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw new DataError(
    `prompt ${id} of ${source}: sampler.column ${column} holds ${JSON.stringify(value) ?? "nothing"}, and a difficulty is a number`,
  );
}
