import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { dpoLoss } from "../../src/losses/dpo.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

interface Case {
  beta: number;
  policy: number[];
  reference: number[];
  loss: number;
  gradient: number[];
  accuracy: number;
  chosen: number;
  rejected: number;
}

/** From TRL's own DPOTrainer: tools/goldens/dpo.py. Logprobs of whole texts, chosen and rejected in turn. */
const golden = JSON.parse(readFileSync("tests/golden/dpo.json", "utf8")) as { cases: Case[] };

const lossOf = (policy: readonly number[], reference: readonly number[], beta: number, eps = 0) =>
  dpoLoss(
    tf.tensor1d([...policy]),
    tf.tensor1d([...reference]),
    { beta, label_smoothing: eps },
    2 / policy.length,
  );

describe("the DPO loss", () => {
  it.each(golden.cases)("is TRL's, and its gradient too: beta $beta", (one) => {
    const pairs = one.policy.length / 2;
    const { loss, statistics } = lossOf(one.policy, one.reference, one.beta);
    expect(Math.abs(loss.dataSync()[0]! - one.loss)).toBeLessThan(1e-6);
    const [preferred, chosen, rejected] = [...statistics.dataSync()].map((sum) => sum / pairs);
    expect(preferred).toBeCloseTo(one.accuracy, 6);
    expect(chosen).toBeCloseTo(one.chosen, 5);
    expect(rejected).toBeCloseTo(one.rejected, 5);
    const gradient = tf.grad((policy) => {
      const reference = tf.tensor1d(one.reference);
      const options = { beta: one.beta, label_smoothing: 0 };
      return dpoLoss(policy as tf.Tensor1D, reference, options, 1 / pairs).loss;
    })(tf.tensor1d(one.policy));
    for (const [i, value] of [...gradient.dataSync()].entries())
      expect(Math.abs(value - one.gradient[i]!)).toBeLessThan(1e-6);
  });

  it("with smoothed labels is the mean of both ways round", () => {
    const [one] = golden.cases;
    const loss = (eps: number) => lossOf(one!.policy, one!.reference, 0.5, eps).loss.dataSync()[0]!;
    // the other way round: chosen and rejected change places
    const swapped = (values: number[]) => values.map((_, i) => values[i ^ 1]!);
    const other = lossOf(swapped(one!.policy), swapped(one!.reference), 0.5).loss.dataSync()[0]!;
    expect(loss(0.1)).toBeCloseTo(0.9 * loss(0) + 0.1 * other, 5);
  });

  it("is log 2 where the policy is the reference, and finite far away", () => {
    expect(lossOf([-3, -4], [-3, -4], 0.1).loss.dataSync()[0]).toBeCloseTo(Math.log(2), 6);
    expect(lossOf([-900, 0], [0, -900], 1).loss.dataSync()[0]).toBeCloseTo(1800, 2);
  });
});
