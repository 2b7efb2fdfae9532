/** Advantage estimators and means against their definitions, and planted faults. Numbers alone, float64. */
import { decoupledAdvantages } from "../advantages/decoupled.ts";
import { keptOfGroup } from "../advantages/filter.ts";
import { generalizedAdvantages } from "../advantages/gae.ts";
import { groupAdvantages } from "../advantages/group.ts";
import { type AdvantageOptions, advantageOptions } from "../advantages/options.ts";
import { whiten } from "../advantages/whiten.ts";
import { createRng } from "../lib/rng.ts";
import { tokenWeights } from "../losses/aggregation.ts";
import { perToken, randomLengths, randomRewards } from "./batch.ts";
import { type Check, caught, largestError, within } from "./check.ts";

const BOUND = 1e-9;
const [P, G] = [6, 4];

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: readonly number[], less: number) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - less));

/** A definition, written out: [G] from a group, its batch and its completions' lengths. */
interface Definition {
  name: string;
  options: Partial<AdvantageOptions>;
  of(group: readonly number[], batch: readonly (readonly number[])[], lengths: readonly number[]): number[];
}

const definitions: readonly Definition[] = [
  {
    name: "GRPO, group mean and std",
    options: {},
    of: (group) => group.map((r) => (r - mean(group)) / (deviation(group, 1) + 1e-4)),
  },
  {
    name: "Dr. GRPO, group mean",
    options: { scale: "none" },
    of: (group) => group.map((r) => r - mean(group)),
  },
  {
    name: "RLOO, the others' mean",
    options: { baseline: "leave_one_out", scale: "none" },
    of: (group) => group.map((r, i) => r - mean(group.filter((_, j) => j !== i))),
  },
  {
    name: "OPO, mean weighted by length",
    options: { baseline: "length_weighted", scale: "none" },
    of: (group, _, lengths) => {
      const tokens = group.flatMap((r, i) => Array<number>(lengths[i]!).fill(r));
      return group.map((r) => r - mean(tokens));
    },
  },
  {
    name: "MaxRL, divided by the mean",
    options: { scale: "group_mean", epsilon: 1e-6 },
    of: (group) => group.map((r) => (r - mean(group)) / (mean(group) + 1e-6)),
  },
  {
    name: "batch std",
    options: { scale: "batch_std" },
    of: (group, batch) => group.map((r) => (r - mean(group)) / (deviation(batch.flat(), 1) + 1e-4)),
  },
];

export function estimatorChecks(seed: number, batches: number): Check[] {
  const seeds = Array.from({ length: batches }, (_, i) => seed + i);
  const lengthsOf = (one: number) => {
    const all = randomLengths(createRng(one).fork("estimators"), P * G);
    return Array.from({ length: P }, (_, p) => all.slice(p * G, (p + 1) * G));
  };
  const compared = (options: Partial<AdvantageOptions>, definition: Definition) =>
    seeds.map((one) => {
      const [rewards, lengths] = [randomRewards(one, P, G), lengthsOf(one)];
      const found = groupAdvantages(rewards, advantageOptions.parse(options), lengths);
      // groups of equal rewards are exactly 0 in both
      const expected = rewards.map((group, p) =>
        group.every((r) => r === group[0]) ? group.map(() => 0) : definition.of(group, rewards, lengths[p]!),
      );
      return largestError(found.flat(), expected.flat());
    });
  const [standard, , others] = definitions;
  return [
    ...definitions.map((one) => within(one.name, compared(one.options, one), BOUND)),
    caught(`${standard!.name}, std by n for n - 1`, compared({ std: "population" }, standard!), BOUND),
    caught(`${others!.name}, itself left in`, compared({ scale: "none" }, others!), BOUND),
    within("GDPO, parts by themselves", seeds.map(decoupledError), BOUND),
    within(
      "REINFORCE++, whitened over tokens",
      seeds.map((one) => whitenError(one, lengthsOf(one).flat())),
      BOUND,
    ),
    within(
      "GFPO, the shortest k",
      seeds.map((one) => filterError(one, lengthsOf(one))),
      BOUND,
    ),
    within(
      "GAE, sum of discounted errors",
      seeds.map((one) => gaeError(one)),
      BOUND,
    ),
    ...meanChecks(seeds),
  ];
}

function decoupledError(seed: number): number {
  const parts = [
    randomRewards(seed, P, G),
    randomRewards(seed + 1000, P, G).map((group) => group.map((r) => 10 * r)),
  ];
  const weights = [1, 0.5];
  const found = decoupledAdvantages(parts, weights, advantageOptions.parse({}));
  const scores = Array.from({ length: P * G }, (_, i) => {
    const p = Math.floor(i / G);
    return parts.reduce((sum, part, k) => {
      const group = part[p]!;
      const equal = group.every((r) => r === group[0]);
      return sum + (equal ? 0 : (weights[k]! * (group[i % G]! - mean(group))) / (deviation(group, 1) + 1e-4));
    }, 0);
  });
  return largestError(
    found.flat(),
    scores.map((score) => (score - mean(scores)) / (deviation(scores, 1) + 1e-4)),
  );
}

function whitenError(seed: number, lengths: readonly number[]): number {
  const values = randomRewards(seed, P, G).flat();
  const found = whiten(values.map((value, i) => new Float64Array(lengths[i]!).fill(value)));
  const tokens = perToken(lengths, values);
  return largestError(
    found.flatMap((list) => [...list]),
    tokens.map((value) => (value - mean(tokens)) / deviation(tokens, 0)),
  );
}

function filterError(seed: number, lengths: readonly (readonly number[])[]): number {
  const rewards = randomRewards(seed, P, G);
  return Math.max(
    ...lengths.map((group, p) => {
      const kept = keptOfGroup(rewards[p]!, group, { keep: 2, by: "length" });
      const [inside, outside] = [true, false].map((side) => group.filter((_, g) => kept[g] === side));
      const right = inside!.length === 2 && Math.max(...inside!) <= Math.min(...outside!);
      return right ? 0 : 1;
    }),
  );
}

function gaeError(seed: number): number {
  const rng = createRng(seed).fork("gae");
  const draw = (name: string) => Array.from({ length: 7 }, (_, t) => rng.fork(name).normal(t));
  const [rewards, values] = [draw("rewards"), draw("values")];
  const { advantages } = generalizedAdvantages(rewards, values, { gamma: 0.9, lambda: 0.8 });
  const deltas = rewards.map((r, t) => r + 0.9 * (values[t + 1] ?? 0) - values[t]!);
  const expected = rewards.map((_, t) =>
    deltas.slice(t).reduce((sum, delta, l) => sum + (0.9 * 0.8) ** l * delta, 0),
  );
  return largestError(advantages, expected);
}

function meanChecks(seeds: readonly number[]): Check[] {
  const means = {
    token: (losses: readonly (readonly number[])[]) => mean(losses.flat()),
    sequence: (losses: readonly (readonly number[])[]) => mean(losses.map((list) => mean(list))),
    constant: (losses: readonly (readonly number[])[]) =>
      losses.flat().reduce((sum, loss) => sum + loss, 0) / (losses.length * 8),
  };
  const errorOf = (used: keyof typeof means, meant: keyof typeof means) => (seed: number) => {
    const rng = createRng(seed).fork("means");
    const losses = randomLengths(rng, 5).map((length, i) =>
      Array.from({ length }, (_, t) => rng.fork("loss", i).normal(t)),
    );
    const weights = tokenWeights(
      losses.map((list) => list.length),
      used,
      8,
    );
    const found = losses.reduce(
      (sum, list, i) => sum + list.reduce((s, loss) => s + weights[i]! * loss, 0),
      0,
    );
    return largestError([found], [means[meant](losses)]);
  };
  return [
    within("mean over tokens", seeds.map(errorOf("token", "token")), BOUND),
    within("mean over completions", seeds.map(errorOf("sequence", "sequence")), BOUND),
    within("mean by the token limit", seeds.map(errorOf("constant", "constant")), BOUND),
    caught("mean over completions, the tokens' for it", seeds.map(errorOf("token", "sequence")), BOUND),
  ];
}
