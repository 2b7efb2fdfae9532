import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { generalizedAdvantages } from "../../src/advantages/gae.ts";
import { whiten } from "../../src/advantages/whiten.ts";
import { tokenRewards } from "../../src/algorithms/ppo/train.ts";
import { nextKlCoefficient } from "../../src/losses/adaptive-kl.ts";
import { maskDecision, tokenWeights } from "../../src/losses/aggregation.ts";
import { clippedPolicyLoss } from "../../src/losses/clipped-policy.ts";
import type { Aggregation, KlOptions } from "../../src/losses/options.ts";
import { clippedValueLoss } from "../../src/losses/value.ts";
import { expectEach } from "../helpers/tensors.ts";

interface Golden {
  lengths: number[];
  limit: number;
  coef: number;
  score_clip: number;
  scores: number[];
  logprobs: number[];
  old: number[];
  reference: number[];
  values: number[];
  old_values: number[];
  estimates: {
    estimator: KlOptions["estimator"];
    gamma: number;
    lam: number;
    rewards: number[][];
    advantages: number[][];
    returns: number[][];
    whitened: number[][];
  }[];
  cases: {
    aggregation: Aggregation;
    mask: "none" | "decision";
    full_count: boolean;
    low: number;
    high: number;
    value_clip: number | null;
    policy_loss: number;
    policy_gradient: number[];
    value_loss: number;
    value_gradient: number[];
    value_clipped: number;
  }[];
  adaptive: {
    start: number;
    target: number;
    horizon: number;
    completions: number;
    steps: { kl: number; coef: number }[];
  };
}
const golden = JSON.parse(readFileSync("tests/golden/ppo.json", "utf8")) as Golden;
const starts = golden.lengths.map((_, i) => golden.lengths.slice(0, i).reduce((a, b) => a + b, 0));
const split = (flat: readonly number[]) =>
  golden.lengths.map((n, i) => flat.slice(starts[i], starts[i]! + n));

beforeAll(async () => {
  await tf.setBackend("cpu");
});

describe("advantages", () => {
  it("equal PyTorch from the score to the whitened advantage", () => {
    expect(golden.estimates.length).toBe(4);
    expect(golden.scores.some((score) => Math.abs(score) > golden.score_clip)).toBe(true);
    for (const e of golden.estimates) {
      const advantages = split(golden.old).map((old, i) => {
        const rewards = tokenRewards(
          golden.scores[i]!,
          Float32Array.from(old),
          Float32Array.from(split(golden.reference)[i]!),
          golden.coef,
          { reward_clip: golden.score_clip, kl: { coef: golden.coef, estimator: e.estimator } },
        );
        expectEach(rewards, e.rewards[i]!);
        const got = generalizedAdvantages(e.rewards[i]!, split(golden.old_values)[i]!, {
          gamma: e.gamma,
          lambda: e.lam,
        });
        expectEach(got.advantages, e.advantages[i]!, 1e-12);
        expectEach(got.returns, e.returns[i]!, 1e-12);
        return got.advantages;
      });
      for (const [i, row] of whiten(advantages).entries()) expectEach(row, e.whitened[i]!, 1e-10);
    }
  });

  it("equal LIMR's example", () => {
    const { advantages, returns } = generalizedAdvantages([-0.001, 0.999], [0.2, 0.5], {
      gamma: 1,
      lambda: 0.95,
    });
    expectEach(advantages, [0.77305, 0.499], 1e-12);
    expectEach(returns, [0.97305, 0.999], 1e-12);
  });

  it("are refused for unequal lengths and numbers that are none", () => {
    const options = { gamma: 1, lambda: 0.95 };
    expect(() => generalizedAdvantages([1], [1, 2], options)).toThrow("1 rewards and 2 values");
    expect(() => generalizedAdvantages([0, Number.NaN], [1, 2], options)).toThrow("token 1: reward NaN");
  });

  it("a constant batch whitens to 0, and a batch of nothing to nothing", () => {
    expect(whiten([[0.3, 0.3], [0.3]]).map((row) => [...row])).toEqual([[0, 0], [0]]);
    expect(whiten([])).toEqual([]);
    // a spread below the bound is not blown up to 1
    expectEach(whiten([[0.5e-6, -0.5e-6]])[0]!, [0.005, -0.005], 1e-9);
  });
});

describe("policy and value loss", () => {
  it("equal PyTorch in value and gradient for every aggregation, clip and mask of the decision token", () => {
    expect(golden.cases.length).toBe(27);
    const { whitened, returns } = golden.estimates[0]!;
    for (const c of golden.cases) {
      const masks = golden.lengths.map((length) =>
        maskDecision(length, 0, { enabled: c.mask === "decision", divisor: c.full_count ? "keep" : "drop" }),
      );
      const perToken = (lengths: number[], masked: (number | null)[]) =>
        tokenWeights(lengths, c.aggregation, golden.limit).flatMap((weight, i) =>
          Array.from({ length: golden.lengths[i]! }, (_, t) => (t === masked[i] ? 0 : weight)),
        );
      const policy = tf.valueAndGrad(
        (logprobs: tf.Tensor) =>
          clippedPolicyLoss(
            {
              logprobs: logprobs as tf.Tensor1D,
              oldLogprobs: tf.tensor1d(golden.old),
              referenceLogprobs: null,
              advantages: tf.tensor1d(whitened.flat()),
              weights: tf.tensor1d(
                perToken(
                  masks.map(({ length }) => length),
                  masks.map(({ masked }) => masked),
                ),
              ),
            },
            { low: c.low, high: c.high, dual: null },
            { coef: 0, estimator: "k1", place: "reward", bias_correction: false },
          ).loss,
      )(tf.tensor1d(golden.logprobs));
      expectEach(policy.value.dataSync(), [c.policy_loss]);
      expectEach(policy.grad.dataSync(), c.policy_gradient);

      let statistics: ArrayLike<number> = [];
      const value = tf.valueAndGrad((values: tf.Tensor) => {
        const result = clippedValueLoss(
          {
            values: values as tf.Tensor1D,
            oldValues: tf.tensor1d(golden.old_values),
            returns: tf.tensor1d(returns.flat()),
            weights: tf.tensor1d(
              perToken(
                golden.lengths,
                golden.lengths.map(() => null),
              ),
            ),
          },
          c.value_clip,
        );
        statistics = result.statistics.dataSync();
        return result.loss;
      })(tf.tensor1d(golden.values));
      expectEach(value.value.dataSync(), [c.value_loss]);
      expectEach(value.grad.dataSync(), c.value_gradient);
      expect(statistics[0]).toBe(c.value_clipped);
    }
    expect(golden.cases.some((c) => c.value_clipped > 0)).toBe(true);
  });

  it("AdaCoT's example: the masked token leaves the sum and the count", () => {
    const losses = [0.5, -0.2, 0.1, 0.4];
    const total = (enabled: boolean, divisor: "drop" | "keep") => {
      const { length, masked } = maskDecision(4, 0, { enabled, divisor });
      const [weight] = tokenWeights([length], "token", 8);
      return losses.reduce((sum, loss, t) => sum + (t === masked ? 0 : weight! * loss), 0);
    };
    expect(total(false, "drop")).toBeCloseTo(0.2, 12);
    expect(total(true, "drop")).toBeCloseTo(0.1, 12);
    expect(total(true, "keep")).toBeCloseTo(0.075, 12);
  });
});

describe("adaptive KL", () => {
  it("follows the target as PyTorch computes it, its error bounded on both sides", () => {
    const { start, target, horizon, completions, steps } = golden.adaptive;
    let coef = start;
    for (const { kl, coef: expected } of steps) {
      coef = nextKlCoefficient(coef, { target, horizon }, kl, completions);
      expect(coef).toBeCloseTo(expected, 12);
    }
    expect(nextKlCoefficient(0.2, { target, horizon }, 1e9, completions)).toBeCloseTo(0.2 * 1.00256, 12);
  });

  it("stays where there is no target, and has Ziegler's horizon where none is given", () => {
    expect(nextKlCoefficient(0.01, {}, 100, 128)).toBe(0.01);
    expect(nextKlCoefficient(1, { target: 1 }, 3, 100)).toBeCloseTo(1.002, 12);
  });
});
