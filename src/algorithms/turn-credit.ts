/** Advantages of turns: each has its own return, compared with those of all turns of the group. */
import { groupAdvantages } from "../advantages/group.ts";
import type { AdvantageOptions } from "../advantages/options.ts";
import type { ScoredCompletion } from "../types.ts";

/** Of one completion. */
export interface TurnAdvantages {
  /** Of each token; 0 of an environment's. [T] */
  values: Float64Array;
  /** Tokens that were sampled. */
  sampled: number;
}

export interface TurnCreditOptions {
  /** Discount a turn. */
  gamma: number;
  /** What an environment's reward weighs in a completion's reward. */
  weight: number;
  advantage: AdvantageOptions;
}

interface Credited {
  completion: ScoredCompletion;
  /** The whole reward, after shaping and KL. */
  reward: number;
  takesPart: boolean;
}

/** Return of turn k: sum over j >= k of gamma^(j - k) r_j; what is no environment's reward comes with the last turn. */
export function turnReturns(
  { completion, reward }: Credited,
  { gamma, weight }: TurnCreditOptions,
): number[] {
  const turns = completion.episode?.turns ?? [];
  const rewards = turns.map((turn) => weight * turn.reward);
  if (rewards.length > 0) {
    rewards[rewards.length - 1]! += reward - rewards.reduce((sum, one) => sum + one, 0);
  }
  let next = 0;
  return rewards
    .reverse()
    .map((one) => {
      next = one + gamma * next;
      return next;
    })
    .reverse();
}

/** @param group the completions of one prompt */
export function turnCredit(group: readonly Credited[], options: TurnCreditOptions): TurnAdvantages[] {
  const compared = group.flatMap((one, g) =>
    one.takesPart
      ? turnReturns(one, options).map((value, k) => ({ g, value, turn: one.completion.episode!.turns[k]! }))
      : [],
  );
  const all = group.map(({ completion }) => ({
    values: new Float64Array(completion.tokens.length),
    sampled: 0,
  }));
  const enough = options.advantage.baseline === "none" ? 1 : 2;
  const taking = group.filter(({ takesPart }) => takesPart).length;
  if (taking < enough || compared.length < enough) return all;
  const [advantages] = groupAdvantages([compared.map(({ value }) => value)], options.advantage, [
    compared.map(({ turn }) => turn.to - turn.from),
  ]);
  for (const [i, { g, turn }] of compared.entries()) {
    all[g]!.values.fill(advantages![i]!, turn.from, turn.to);
    all[g]!.sampled += turn.to - turn.from;
  }
  return all;
}

/** What a completion's advantage is in records and metrics. */
export function meanOverSampled({ values, sampled }: TurnAdvantages): number {
  return sampled === 0 ? 0 : values.reduce((sum, one) => sum + one, 0) / sampled;
}
