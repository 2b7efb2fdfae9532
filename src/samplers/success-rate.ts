import { z } from "zod";
import { drawDistinct, sizeOf } from "./draw-distinct.ts";
import { promptTable } from "./prompt-table.ts";
import type { SamplerKind } from "./sampler.ts";

const options = z.strictObject({
  kind: z.literal("success-rate"),
  memory: z
    .number()
    .min(0)
    .lt(1)
    .default(0.5)
    .describe("weight of what was known of a prompt when it is drawn again; 0 looks at its last group alone"),
  floor: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe(
      "weight of a prompt that is always or never solved, beside 1 for one that is solved half the time",
    ),
});

/**
 * Prompts that the policy solves about half the time are drawn most: with p the running share of right completions, a prompt
 * has the weight floor + (1 - floor) 4 p (1 - p), which is the variance of a right answer, and with it the size of a group's
 * advantages. Prompts that were not drawn yet have weight 1.
 */
export const successRate: SamplerKind<typeof options> = {
  kind: "success-rate",
  options,
  columns: ["sampler/seen", "sampler/success"],
  open(source, { memory, floor }, { rng, cells }) {
    const size = sizeOf(source, "success-rate");
    const ids = Array.from({ length: size }, (_, i) => source.at(i).id);
    const rates = promptTable(cells, "sampler/success");
    const weight = (id: string) => {
      const p = rates.get(id);
      return p === undefined ? 1 : floor + (1 - floor) * 4 * p * (1 - p);
    };
    let expected = 0;
    const distinct = drawDistinct(source, size, cells, (step) => {
      // draws without replacement in proportion to the weights: the largest of log w + Gumbel noise
      const draws = rng.fork("success-rate", step);
      const keys = ids.map(
        (id, i) => Math.log(weight(id)) - Math.log(-Math.log(draws.uniform(i) || 2 ** -54)),
      );
      return keys.map((_, i) => i).sort((a, b) => keys[b]! - keys[a]! || a - b);
    });
    return {
      draw(step, count) {
        const prompts = distinct.draw(step, count);
        expected = prompts.reduce((sum, { prompt }) => sum + (rates.get(prompt.id) ?? 0.5), 0) / count;
        return prompts;
      },
      get drawn() {
        return distinct.drawn;
      },
      callbacks: [
        {
          every: 1,
          call(_, outcomes) {
            for (const { promptId, accuracy } of outcomes) {
              const before = rates.get(promptId);
              rates.set(
                promptId,
                before === undefined ? accuracy : memory * before + (1 - memory) * accuracy,
              );
            }
          },
        },
      ],
      metrics: () => ({ "sampler/seen": rates.size / size, "sampler/success": expected }),
    };
  },
};
