import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { tokenWeights } from "../../src/losses/aggregation.ts";
import { clippedPolicyLoss, POLICY_LOSS_STATISTICS } from "../../src/losses/clipped-policy.ts";
import { crossEntropyLoss } from "../../src/losses/cross-entropy.ts";
import { klEstimate, klEstimateNumber } from "../../src/losses/kl.ts";
import { type Aggregation, clipOptions, type KlOptions, klOptions } from "../../src/losses/options.ts";
import { expectEach } from "../helpers/tensors.ts";

interface Golden {
  lengths: number[];
  limit: number;
  logprobs: number[];
  old: number[];
  reference: number[];
  row_advantages: number[];
  cases: {
    aggregation: Aggregation;
    low: number;
    high: number;
    coef: number;
    estimator: KlOptions["estimator"];
    loss: number;
    gradient: number[];
    clipped_low: number;
    clipped_high: number;
    approx_kl: number;
    reference_kl: number;
  }[];
}
const golden = JSON.parse(readFileSync("tests/golden/losses.json", "utf8")) as Golden;
const perToken = (values: readonly number[]) =>
  golden.lengths.flatMap((n, i) => Array<number>(n).fill(values[i]!));

beforeAll(async () => {
  await tf.setBackend("cpu");
});

describe("clipped policy loss", () => {
  it("equals PyTorch in value, gradient and statistics for every aggregation, clip and KL", () => {
    expect(golden.cases.length).toBe(36);
    for (const c of golden.cases) {
      const weights = perToken(tokenWeights(golden.lengths, c.aggregation, golden.limit));
      let statistics: Float32Array = new Float32Array();
      const { value, grad } = tf.valueAndGrad((logprobs: tf.Tensor) => {
        const result = clippedPolicyLoss(
          {
            logprobs: logprobs as tf.Tensor1D,
            oldLogprobs: tf.tensor1d(golden.old),
            referenceLogprobs: tf.tensor1d(golden.reference),
            advantages: tf.tensor1d(perToken(golden.row_advantages)),
            weights: tf.tensor1d(weights),
          },
          { low: c.low, high: c.high, dual: null },
          { coef: c.coef, estimator: c.estimator, place: "loss", bias_correction: false },
        );
        statistics = result.statistics.dataSync<"float32">();
        return result.loss;
      })(tf.tensor1d(golden.logprobs));
      expectEach(value.dataSync(), [c.loss]);
      expectEach(grad.dataSync(), c.gradient);
      const n = golden.logprobs.length;
      const named = Object.fromEntries(POLICY_LOSS_STATISTICS.map((name, i) => [name, statistics[i]!]));
      expect(named["clipped_low"]).toBe(c.clipped_low);
      expect(named["clipped_high"]).toBe(c.clipped_high);
      expectEach([named["approx_kl"]! / n, named["reference_kl"]! / n], [c.approx_kl, c.reference_kl]);
    }
    expect(golden.cases.some((c) => c.clipped_low > 0) && golden.cases.some((c) => c.clipped_high > 0)).toBe(
      true,
    );
  });

  it("on policy: ratio 1, KL 0, nothing clipped, gradient -A w", () => {
    const logprobs = tf.tensor1d([-1, -2, -0.5]);
    const same = tf.tensor1d([-1, -2, -0.5]);
    const advantages = tf.tensor1d([1, -2, 0.5]);
    const weights = tf.tensor1d([0.5, 0.25, 0.25]);
    let statistics: ArrayLike<number> = [];
    const gradient = tf.grad((lp: tf.Tensor) => {
      const result = clippedPolicyLoss(
        { logprobs: lp as tf.Tensor1D, oldLogprobs: same, referenceLogprobs: same, advantages, weights },
        clipOptions.parse({}),
        klOptions.parse({ coef: 1 }),
      );
      statistics = result.statistics.dataSync();
      return result.loss;
    })(logprobs);
    expectEach(gradient.dataSync(), [-0.5, 0.5, -0.125]);
    expectEach(statistics, [0, 0, 3, 0, 0, 1, 0]);
  });

  it("ignores padding whatever it holds", () => {
    const loss = (extra: number[]) =>
      tf.tidy(
        () =>
          clippedPolicyLoss(
            {
              logprobs: tf.tensor1d([-1, ...extra]),
              oldLogprobs: tf.tensor1d([-1.5, ...extra.map(() => -3)]),
              referenceLogprobs: null,
              advantages: tf.tensor1d([1, ...extra.map(() => 7)]),
              weights: tf.tensor1d([1, ...extra.map(() => 0)]),
            },
            clipOptions.parse({}),
            klOptions.parse({}),
          ).loss.dataSync()[0],
      );
    expect(loss([-0.1, -9])).toBe(loss([]));
  });
});

interface TrlGolden extends Omit<Golden, "cases"> {
  cases: {
    loss_type: "dapo" | "grpo" | "dr_grpo";
    coef: number;
    bias_correction: boolean;
    dual: number | null;
    on_policy: boolean;
    loss: number;
    gradient: number[];
  }[];
}
/** From TRL's own GRPOTrainer: tools/goldens/grpo-kl.py. Its `delta` is the dual clip. */
const trl = JSON.parse(readFileSync("tests/golden/grpo-kl.json", "utf8")) as TrlGolden;

describe("TRL's GRPO loss", () => {
  const aggregations = { dapo: "token", grpo: "sequence", dr_grpo: "constant" } as const;
  const spread = (values: readonly number[]) =>
    trl.lengths.flatMap((n, i) => Array<number>(n).fill(values[i]!));
  const advantages = spread(trl.row_advantages);

  it.each(trl.cases)(
    "$loss_type, KL $coef corrected $bias_correction, dual $dual, on policy $on_policy: value and gradient",
    (one) => {
      const weights = spread(tokenWeights(trl.lengths, aggregations[one.loss_type], trl.limit));
      const old = one.on_policy ? trl.logprobs : trl.old;
      let statistics: ArrayLike<number> = [];
      const { value, grad } = tf.valueAndGrad((logprobs: tf.Tensor) => {
        const result = clippedPolicyLoss(
          {
            logprobs: logprobs as tf.Tensor1D,
            oldLogprobs: tf.tensor1d(old),
            referenceLogprobs: tf.tensor1d(trl.reference),
            advantages: tf.tensor1d(advantages),
            weights: tf.tensor1d(weights),
          },
          { low: 0.2, high: 0.28, dual: one.dual },
          klOptions.parse({ coef: one.coef, bias_correction: one.bias_correction }),
        );
        statistics = result.statistics.dataSync();
        return result.loss;
      })(tf.tensor1d(trl.logprobs));
      expectEach(value.dataSync(), [one.loss]);
      expectEach(grad.dataSync(), one.gradient);
      const ratios = trl.logprobs.map((logprob, i) => Math.exp(logprob - old[i]!));
      const above = (bound: number, sign: number) =>
        ratios.filter((ratio, i) => ratio > bound && Math.sign(advantages[i]!) === sign).length;
      const high = above(1.28, 1) + (one.dual === null ? 0 : above(one.dual, -1));
      expect(statistics[POLICY_LOSS_STATISTICS.indexOf("clipped_high")]).toBe(high);
      if (!one.on_policy && one.dual !== null) expect(above(one.dual, -1)).toBeGreaterThan(0);
    },
  );

  it("was computed with and without the correction and the dual clip", () => {
    expect(trl.cases.length).toBe(48);
  });

  it("has the gradient of KL(policy || reference) only with the correction, on policy too", () => {
    // two tokens to choose from, every one of them with its probability: expectations, no draws
    const [theta, reference] = [1.5, [-1.2, Math.log(1 - Math.exp(-1.2))]];
    const logprobsOf = (x: tf.Tensor) => tf.logSoftmax(tf.concat([x, tf.zerosLike(x)])) as tf.Tensor1D;
    const probabilities = tf.softmax(tf.tensor1d([theta, 0]));
    const gradient = (f: (logprobs: tf.Tensor1D) => tf.Scalar) =>
      tf
        .grad((x: tf.Tensor) => f(logprobsOf(x)))(tf.tensor1d([theta]))
        .dataSync()[0]!;
    const ofLoss = (bias_correction: boolean) =>
      gradient(
        (logprobs) =>
          clippedPolicyLoss(
            {
              logprobs,
              oldLogprobs: tf.log(probabilities),
              referenceLogprobs: tf.tensor1d(reference),
              advantages: tf.zeros([2]),
              weights: probabilities as tf.Tensor1D,
            },
            clipOptions.parse({}),
            klOptions.parse({ coef: 1, bias_correction }),
          ).loss,
      );
    const q = tf.exp(tf.tensor1d(reference));
    const reverse = gradient((logprobs) => tf.sum(tf.mul(tf.exp(logprobs), tf.sub(logprobs, tf.log(q)))));
    const forward = gradient((logprobs) => tf.sum(tf.mul(q, tf.sub(tf.log(q), logprobs))));
    expectEach([ofLoss(true), ofLoss(false)], [reverse, forward], 1e-5);
    expect(Math.abs(forward - reverse)).toBeGreaterThan(0.01);
  });
});

describe("aggregation", () => {
  it("weights sum to one where it is a mean, and drop masked completions", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 }), (lengths) => {
        for (const how of ["token", "sequence"] as const) {
          const total = tokenWeights(lengths, how, 9).reduce((sum, w, i) => sum + w * lengths[i]!, 0);
          expect(total).toBeCloseTo(lengths.some((n) => n > 0) ? 1 : 0, 10);
        }
      }),
    );
    expect(tokenWeights([2, 0, 4], "token", 8)).toEqual([1 / 6, 0, 1 / 6]);
    expect(tokenWeights([2, 0, 4], "sequence", 8)).toEqual([1 / 4, 0, 1 / 8]);
    expect(tokenWeights([2, 0, 4], "constant", 8)).toEqual([1 / 16, 0, 1 / 16]);
  });
});

describe("KL estimators", () => {
  it("agree with their numeric form; k2 and k3 are never negative", () => {
    fc.assert(
      fc.property(
        fc.float({ min: -5, max: 0, noNaN: true }),
        fc.float({ min: -5, max: 0, noNaN: true }),
        (a, b) => {
          for (const estimator of ["k1", "k2", "k3"] as const) {
            const [value] = klEstimate(tf.tensor1d([a]), tf.tensor1d([b]), estimator).dataSync();
            expectEach([value!], [klEstimateNumber(a, b, estimator)], 1e-4);
            if (estimator !== "k1") expect(value!).toBeGreaterThanOrEqual(-1e-6);
            const [none] = klEstimate(tf.tensor1d([a]), tf.tensor1d([a]), estimator).dataSync();
            expect(Math.abs(none!)).toBe(0);
          }
        },
      ),
    );
  });
});

it("cross-entropy is the weighted negative log-likelihood", () => {
  expectEach(crossEntropyLoss(tf.tensor1d([-1, -2, -9]), tf.tensor1d([0.5, 0.5, 0])).dataSync(), [1.5]);
});
