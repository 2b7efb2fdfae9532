import { z } from "zod";
import { DataError } from "../lib/errors.ts";
import { mean } from "../lib/math.ts";
import type { Rng } from "../lib/rng.ts";
import type { Prompt } from "../types.ts";
import { drawDistinct, sizeOf } from "./draw-distinct.ts";
import type { SamplerKind } from "./sampler.ts";

const options = z.strictObject({
  kind: z.literal("ucb"),
  column: z
    .string()
    .min(1)
    .describe("a column of the rows, or a slice such as level, that names the distribution a prompt is from"),
  window: z
    .int()
    .min(1)
    .default(300)
    .describe("completions of a distribution, the newest, whose advantages are averaged; DUMP: 300"),
  tau: z
    .number()
    .gt(0)
    .default(0.1)
    .describe(
      "temperature of the softmax over distributions; DUMP: 0.1, where a difference of 0.5 is 148 : 1",
    ),
  exploration: z
    .number()
    .min(0)
    .default(1)
    .describe(
      "weight of the bonus for distributions that were drawn little; 0 trusts what was seen. DUMP: 1",
    ),
});

/** What is known of a distribution. */
export interface Arm {
  /** Completions trained on so far. */
  count: number;
  /** |advantage| of the newest of them, the oldest first. */
  window: readonly number[];
}

export const noCompletions: Arm = { count: 0, window: [] };

/** L(d) = mean |A| over the window; 0 when nothing is known. */
export const learnability = ({ window }: Arm): number => (window.length === 0 ? 0 : mean(window));

/** UCB(d) = L(d) + exploration sqrt(2 ln(n + 1) / (n_d + 1)), n the sum of all n_d. */
export function upperBounds(arms: readonly Arm[], exploration: number): number[] {
  const all = arms.reduce((sum, { count }) => sum + count, 0);
  return arms.map(
    (arm) => learnability(arm) + exploration * Math.sqrt((2 * Math.log(all + 1)) / (arm.count + 1)),
  );
}

/** P(d) = softmax(UCB / tau). */
export function armShares(
  arms: readonly Arm[],
  { tau, exploration }: { tau: number; exploration: number },
): number[] {
  const bounds = upperBounds(arms, exploration);
  const largest = Math.max(...bounds);
  const weights = bounds.map((bound) => Math.exp((bound - largest) / tau));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** The arm after more completions, of which the window keeps the newest. */
export function observed(arm: Arm, advantages: readonly number[], window: number): Arm {
  return {
    count: arm.count + advantages.length,
    window: [...arm.window, ...advantages.map(Math.abs)].slice(-window),
  };
}

/**
 * DUMP (arXiv:2504.09710, sections 3 and 4): each distribution of the training mix is an arm of a bandit, its gain the mean
 * |advantage| of its newest completions. Of each prompt the distribution is drawn by P, then the prompt uniformly in it; other
 * than in the code no prompt twice in a step, since it would get the same completions again.
 */
export const ucb: SamplerKind<typeof options> = {
  kind: "ucb",
  options,
  columns: ["sampler/learnability", "sampler/largest_share"],
  open(source, spec, { rng, cells }) {
    const size = sizeOf(source, "ucb");
    const names: string[] = [];
    const members: number[][] = [];
    const armOf = new Map<string, number>();
    for (let i = 0; i < size; i++) {
      const prompt = source.at(i);
      const name = distributionOf(prompt, spec.column, source.name);
      const known = names.indexOf(name);
      const arm = known < 0 ? names.push(name) - 1 : known;
      members[arm] ??= [];
      members[arm].push(i);
      armOf.set(prompt.id, arm);
    }
    // a list of pairs, for a name may be any text
    const state = cells.cell<readonly (readonly [string, Arm])[]>("sampler/arms", []);
    const arms = (): Arm[] => {
      const known = new Map(state.value);
      return names.map((name) => known.get(name) ?? noCompletions);
    };
    const distinct = drawDistinct(source, size, cells, (step) =>
      rankByArms(members, armShares(arms(), spec), rng.fork("ucb", step)),
    );
    let expected = 0;
    let largest = 0;
    return {
      draw(step, count) {
        const prompts = distinct.draw(step, count);
        const present = arms();
        expected = mean(prompts.map(({ prompt }) => learnability(present[armOf.get(prompt.id)!]!)));
        largest = Math.max(...armShares(present, spec));
        return prompts;
      },
      get drawn() {
        return distinct.drawn;
      },
      callbacks: [
        {
          every: 1,
          call(_, outcomes) {
            const after = arms();
            for (const { promptId, advantages } of outcomes) {
              const arm = armOf.get(promptId);
              if (arm !== undefined) after[arm] = observed(after[arm]!, advantages, spec.window);
            }
            state.value = names.map((name, i) => [name, after[i]!] as const);
          },
        },
      ],
      metrics: () => ({ "sampler/learnability": expected, "sampler/largest_share": largest }),
    };
  },
};

/** All prompts in the order in which they would be drawn: an arm by its share among those not yet empty, a prompt uniformly. */
function rankByArms(members: readonly number[][], shares: readonly number[], rng: Rng): number[] {
  const draws = rng.fork("arms");
  const left = members.map((arm, i) =>
    rng
      .fork("prompts", i)
      .permutation(arm.length)
      .map((k) => arm[k]!),
  );
  const size = members.reduce((sum, arm) => sum + arm.length, 0);
  return Array.from({ length: size }, (_, position) => {
    const open = left.flatMap((arm, i) => (arm.length > 0 ? [i] : []));
    return left[drawn(open, shares, draws.uniform(position))]!.pop()!;
  });
}

/** One of these arms by its share; the last where rounding leaves none. */
function drawn(open: readonly number[], shares: readonly number[], uniform: number): number {
  let rest = uniform * open.reduce((sum, i) => sum + shares[i]!, 0);
  for (const i of open) {
    rest -= shares[i]!;
    if (rest < 0) return i;
  }
  return open.at(-1)!;
}

function distributionOf({ id, slices, fields }: Prompt, column: string, source: string): string {
  const value = slices[column] ?? fields[column];
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return String(value);
  throw new DataError(
    `prompt ${id} of ${source}: sampler.column ${column} holds ${JSON.stringify(value) ?? "nothing"}, and a distribution has a name`,
  );
}
