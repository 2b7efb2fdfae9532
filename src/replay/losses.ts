/** Policy losses compared on one step's batch: what each would have made of the step's updates. */
import { algorithmOf } from "../algorithms/kinds.ts";
import { comparedLosses, type LossProbe, type LossReading, openLossProbe } from "../algorithms/loss-probe.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { type PolicyLossOptions, policyLosses } from "../losses/policy-kinds.ts";

/** A loss over the updates of a step. */
export interface ComparedLoss {
  loss: PolicyLossOptions["kind"];
  /** The loss that the step was made by. */
  own: boolean;
  updates: number;
  /** Mean over updates. */
  value: number;
  /** Of the gradient before clipping, over all trained weights; mean over updates. */
  gradientNorm: number;
  /** Cosine of the angle to the own loss's gradient, all updates taken as one vector; null where one of them is 0. */
  cosine: number | null;
  /** Tokens that a bound of the loss holds, or that it leaves out / tokens with an advantage; 0..1. */
  held: number;
  /** (sum of w)^2 / (tokens * sum of w^2), w the weights of the tokens' policy gradients; 0..1, null without tokens. */
  effectiveSampleSize: number | null;
}

/** @throws ConfigError for a name that no loss has */
export function lossNames(text: string): readonly PolicyLossOptions["kind"][] | null {
  if (text === "all") return null;
  const known = policyLosses.map(({ kind }) => kind);
  return text.split(",").map((name) => {
    const found = known.find((kind) => kind === name.trim());
    if (found === undefined) {
      throw new ConfigError(
        `--losses ${text}: ${name.trim() || "(empty)"} is no loss; use all, or some of ${known.join(", ")}`,
      );
    }
    return found;
  });
}

/** @throws ConfigError where the stage's policy loss is no choice */
export function compareLosses(
  { algorithm }: Recipe,
  kinds: readonly PolicyLossOptions["kind"][] | null,
): { probe: LossProbe; read(): ComparedLoss[] } {
  const { loss, title } = algorithmOf(algorithm);
  const own = loss(algorithm);
  if (own === null) {
    throw new ConfigError(`--losses: ${title} has no algorithm.loss that others could be compared with`);
  }
  const losses = comparedLosses(own, kinds);
  const updates: LossReading[][] = [];
  return {
    probe: openLossProbe(losses, (readings) => updates.push(readings)),
    read: () =>
      losses.map((_, i) =>
        compared(
          updates.map((readings) => readings[i]!),
          updates.map(([first]) => first!),
        ),
      ),
  };
}

function compared(readings: readonly LossReading[], own: readonly LossReading[]): ComparedLoss {
  const sum = (of: (reading: LossReading) => number, over = readings) =>
    over.reduce((total, reading) => total + of(reading), 0);
  const squares = sum(({ square }) => square);
  const ownSquares = sum(({ square }) => square, own);
  const tokens = sum((reading) => reading.tokens);
  const importanceSquared = sum((reading) => reading.importanceSquared);
  return {
    loss: readings[0]!.loss,
    own: readings[0]!.own,
    updates: readings.length,
    value: sum(({ value }) => value) / readings.length,
    gradientNorm: sum(({ square }) => Math.sqrt(square)) / readings.length,
    cosine:
      squares === 0 || ownSquares === 0
        ? null
        : sum(({ product }) => product) / Math.sqrt(squares * ownSquares),
    held: tokens === 0 ? 0 : sum(({ held }) => held) / tokens,
    effectiveSampleSize:
      tokens === 0
        ? null
        : importanceSquared === 0
          ? 0
          : sum(({ importance }) => importance) ** 2 / (tokens * importanceSquared),
  };
}
