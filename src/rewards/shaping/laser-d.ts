import { z } from "zod";
import { degenerateDefaults, isDegenerate } from "../../lib/degenerate.ts";
import type { Shapeable, ShapingKind } from "./kind.ts";
import { laserStep, lengthStep } from "./laser.ts";

const BANDS = ["easy", "medium", "hard"] as const;
type Band = (typeof BANDS)[number];

const options = z.strictObject({
  kind: z.literal("laser-d"),
  ...laserStep,
  wrong_long: z
    .boolean()
    .default(false)
    .describe(
      "LASER-DE: a wrong completion that is longer than its target gets alpha too, so that a wrong answer may think on; none whose text runs in circles",
    ),
  target_tokens: z
    .int()
    .min(1)
    .describe("length up to which completions get it before the first look, and the shortest target of all"),
  longest_tokens: z.int().min(1).describe("the longest target; the token limit of a completion, say"),
  interval: z.int().min(1).describe("tokens between two targets that are tried; the paper: 1024 of 16384"),
  round: z
    .enum(["ceil", "floor"])
    .default("ceil")
    .describe(
      "how the least number of right completions in a band is rounded: ceil as in the paper, floor as in its code",
    ),
  monitor: z
    .strictObject({
      every: z.int().min(1).default(20).describe("steps between two looks at the policy"),
      prompts: z.int().min(1).default(500).describe("first prompts of data.train that are looked at"),
      samples: z.int().min(2).default(8).describe("completions of each"),
    })
    .prefault({})
    .describe("completions that are sampled for the targets alone"),
});
export type LaserDOptions = z.infer<typeof options>;

/** Targets by band, tokens; a band is absent until a look has found one. */
export type LaserDState = { readonly [band in Band]?: number };

/** Easy: at least 2/3 of a prompt's completions are right; hard: fewer than 1/3. */
export function bandOf(group: readonly Pick<Shapeable, "correct">[]): Band {
  const right = group.filter(({ correct }) => correct).length;
  return 3 * right >= 2 * group.length ? "easy" : 3 * right >= group.length ? "medium" : "hard";
}

/**
 * The target of a band: the smallest candidate l for which a right completion within l is expected among a prompt's samples,
 *   ECR(l) = P(L <= l) |C| >= 1,
 * |C| the least number of right ones in the band. None: the longest completion of all.
 * @param lengths of the band's completions, tokens
 * @param fallback where no candidate is long enough
 */
export function bandTarget(
  band: Band,
  lengths: readonly number[],
  { target_tokens, longest_tokens, interval, round, monitor: { samples } }: LaserDOptions,
  fallback: number,
): number {
  const least = band === "hard" ? 1 : Math.max(1, Math[round](((band === "easy" ? 2 : 1) * samples) / 3));
  for (let target = target_tokens; target <= longest_tokens; target += interval) {
    const within = lengths.filter((length) => length <= target).length;
    // in whole numbers: P |C| >= 1
    if (within * least >= lengths.length) return target;
  }
  return fallback;
}

/**
 * LASER-D (arXiv:2505.15612, sections 4 to 6): r <- r + alpha [right and L <= L_A(d)], d the difficulty of the prompt by its
 * own group, L_A(d) a target for each band of difficulty that follows what the policy can do, looked at every so many steps.
 * LASER-DE (`wrong_long`): r <- r + alpha [wrong and L > L_A(d)] besides, unless the text loops; what counts as a loop is
 * AutoThink's rule, for the paper's detector was not read.
 */
export const laserD: ShapingKind<typeof options, LaserDState> = {
  kind: "laser-d",
  options,
  columns: ["shaping/short", "shaping/long_wrong", ...BANDS.map((band) => `shaping/target/${band}`)],
  shape(groups, spec, targets) {
    const targetOf = (band: Band) => targets[band] ?? spec.target_tokens;
    const seen = { right: 0, short: 0, wrong: 0, long: 0 };
    const rewards = groups.map((group) => {
      const target = targetOf(bandOf(group));
      return group.map(({ reward, correct, tokens, text }) => {
        if (correct) {
          seen.right++;
          if (tokens <= target) seen.short++;
          return reward + lengthStep(tokens, target, spec);
        }
        seen.wrong++;
        if (!spec.wrong_long || tokens <= target || isDegenerate(text, degenerateDefaults)) return reward;
        seen.long++;
        return reward + spec.alpha;
      });
    });
    return {
      rewards,
      metrics: {
        "shaping/short": seen.right === 0 ? 0 : seen.short / seen.right,
        "shaping/long_wrong": seen.wrong === 0 ? 0 : seen.long / seen.wrong,
        ...Object.fromEntries(BANDS.map((band) => [`shaping/target/${band}`, targetOf(band)])),
      },
    };
  },
  monitor: {
    initial: {},
    plan: ({ monitor }) => monitor,
    observe(groups, spec, targets) {
      const longest = Math.max(...groups.flat().map(({ tokens }) => tokens));
      const seen = BANDS.flatMap((band) => {
        const lengths = groups
          .filter((group) => bandOf(group) === band)
          .flat()
          .map(({ tokens }) => tokens);
        return lengths.length === 0 ? [] : [[band, bandTarget(band, lengths, spec, longest)] as const];
      });
      return { ...targets, ...Object.fromEntries(seen) };
    },
  },
};
