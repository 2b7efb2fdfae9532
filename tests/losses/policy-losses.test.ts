import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { tokenWeights } from "../../src/losses/aggregation.ts";
import { covariances, drawnBetween, largest } from "../../src/losses/covariance.ts";
import { type Aggregation, clipOptions, klOptions } from "../../src/losses/options.ts";
import { policyLosses, policyLossOf, policyLossOptions } from "../../src/losses/policy-kinds.ts";
import { type FamilyLossInput, policyLoss, statisticsOf } from "../../src/losses/policy-loss.ts";
import { truncatedWeights } from "../../src/losses/sampler-correction.ts";
import { expectEach, testBackends, useBackend } from "../helpers/tensors.ts";

interface Golden {
  lengths: number[];
  logprobs: number[];
  old: number[];
  row_advantages: number[];
  cases: {
    source: string;
    options: unknown;
    aggregation: Aggregation;
    on_policy: boolean;
    loss: number;
    gradient: number[];
    clip_share: number | null;
  }[];
}
/** From verl's registered losses and TRL's trainer: tools/goldens/policy-losses.py. */
const golden = JSON.parse(readFileSync("tests/golden/policy-losses.json", "utf8")) as Golden;
const perToken = (values: readonly number[]) =>
  golden.lengths.flatMap((n, i) => Array<number>(n).fill(values[i]!));
const advantages = perToken(golden.row_advantages);
const count = golden.logprobs.length;

const members = () =>
  tf.tensor2d(golden.lengths.map((_, i) => perToken(golden.lengths.map((_, j) => (i === j ? 1 : 0)))));

function evaluate(
  options: ReturnType<typeof policyLossOptions.parse>,
  weights: readonly number[],
  {
    logprobs = golden.logprobs,
    old = golden.old,
    kl = klOptions.parse({}),
    ...rest
  }: {
    logprobs?: number[];
    old?: number[];
    kl?: ReturnType<typeof klOptions.parse>;
    reference?: number[];
  } = {},
) {
  const { select } = policyLossOf(options);
  // as the reference code does: by the logprobs of the policy that learns
  const marks = select?.of({ advantages, logprobs }, options, () => 0);
  const input = (x: tf.Tensor): FamilyLossInput => ({
    logprobs: x as tf.Tensor1D,
    oldLogprobs: tf.tensor1d(old),
    referenceLogprobs: rest.reference === undefined ? null : tf.tensor1d(rest.reference),
    advantages: tf.tensor1d(advantages.map((value, i) => (select?.drop && marks![i] === 1 ? 0 : value))),
    weights: tf.tensor1d([...weights]),
    members: members(),
    selected: marks === undefined ? null : tf.tensor1d(Array.from(marks)),
  });
  let statistics: Float32Array = new Float32Array();
  const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => {
    const made = policyLoss(input(x), { loss: options, clip: clipOptions.parse({}), kl });
    statistics = made.statistics.dataSync<"float32">();
    return made.loss;
  })(tf.tensor1d(logprobs));
  const named = Object.fromEntries(statisticsOf(options).map((name, i) => [name, statistics[i]!]));
  return { value: value.dataSync()[0]!, gradient: [...grad.dataSync()], named };
}

describe.each(testBackends)("policy losses on %s", (backend) => {
  beforeAll(async () => {
    await useBackend(backend);
  });

  it.each(golden.cases)(
    "$source, $aggregation, on policy $on_policy: value, gradient, clipped tokens",
    (one) => {
      const weights = perToken(tokenWeights(golden.lengths, one.aggregation, 8));
      const options = policyLossOptions.parse(one.options);
      const old = one.on_policy ? golden.logprobs : golden.old;
      const { value, gradient, named } = evaluate(options, weights, { old });
      expectEach(gradient, one.gradient, 1e-6);
      // dropped tokens that the clip holds as well keep their constant in verl
      if (options.kind !== "clip-cov" || one.on_policy) expectEach([value], [one.loss], 1e-6);
      if (one.clip_share === null || options.kind === "clip-cov" || options.kind === "gmpo") return;
      expect(named["clipped_low"]! + named["clipped_high"]!).toBeCloseTo(one.clip_share * count, 4);
    },
  );
});

describe("the family", () => {
  beforeAll(async () => {
    await useBackend("cpu");
  });

  it("has cases of every loss, on and off policy", () => {
    const kinds = new Set(golden.cases.map(({ options }) => policyLossOptions.parse(options).kind));
    expect([...kinds, "clipped"].sort()).toEqual(policyLosses.map(({ kind }) => kind).sort());
    expect(golden.cases.length).toBe(38);
  });

  it("is one policy gradient where the policy is the one that sampled: -w A, with every weight 1", () => {
    const weights = perToken(tokenWeights(golden.lengths, "sequence", 8));
    for (const { kind } of policyLosses) {
      if (kind === "clip-cov") continue; // it drops tokens at any ratio
      const options = policyLossOptions.parse({ kind });
      const { gradient, named } = evaluate(options, weights, { old: golden.logprobs });
      expectEach(
        gradient,
        weights.map((weight, i) => -weight * advantages[i]!),
        1e-6,
      );
      if (policyLossOf(options).of === undefined) continue;
      expectEach([named["importance"]!, named["importance_squared"]!], [count, count], 1e-5);
      expect(named["clipped_low"]! + named["clipped_high"]!).toBe(0);
    }
  });

  it("says by what it weighs the policy gradient: importance is -gradient / (w A)", () => {
    const weights = perToken(tokenWeights(golden.lengths, "sequence", 8));
    for (const kind of ["gspo", "cispo", "sapo", "dppo", "gmpo"]) {
      const options = policyLossOptions.parse({ kind });
      const { gradient, named } = evaluate(options, weights);
      const importance = gradient.map((slope, i) => -slope / (weights[i]! * advantages[i]!));
      const sum = (of: (w: number) => number) => importance.reduce((total, w) => total + of(w), 0);
      expectEach(
        [named["importance"]!, named["importance_squared"]!],
        [sum((w) => w), sum((w) => w * w)],
        1e-4,
      );
    }
  });

  it("adds the KL term of the clipped loss, corrected where asked for", () => {
    const weights = perToken(tokenWeights(golden.lengths, "sequence", 8));
    const reference = golden.logprobs.map((x, i) => x + (i % 3) * 0.2 - 0.2);
    for (const bias_correction of [false, true]) {
      const kl = klOptions.parse({ coef: 0.3, bias_correction });
      const term = (kind: string) => {
        const options = policyLossOptions.parse({ kind });
        const [with_, without] = [evaluate(options, weights, { kl, reference }), evaluate(options, weights)];
        return [with_.value - without.value, ...with_.gradient.map((x, i) => x - without.gradient[i]!)];
      };
      const clipped = term("clipped");
      for (const { kind } of policyLosses) expectEach(term(kind), clipped, 1e-5);
      expect(Math.abs(clipped[1]!)).toBeGreaterThan(1e-4);
    }
  });

  it("kl-cov takes no direction from rounding: the penalty's slope begins where the policy has moved", () => {
    const options = policyLossOptions.parse({ kind: "kl-cov", share: 1 });
    const weights = perToken(tokenWeights(golden.lengths, "sequence", 8));
    const slopes = (by: number) => {
      const old = golden.logprobs.map((x, i) => x + (i % 2 === 0 ? by : -by));
      const { gradient } = evaluate(options, weights, { old });
      return gradient.map(
        (slope, i) => slope / weights[i]! + Math.exp(golden.logprobs[i]! - old[i]!) * advantages[i]!,
      );
    };
    expectEach(
      slopes(1e-6),
      golden.logprobs.map(() => 0),
      1e-4,
    );
    expectEach(
      slopes(1e-2),
      golden.logprobs.map((_, i) => (i % 2 === 0 ? -1 : 1)),
      1e-4,
    );
  });

  it("ignores padding whatever it holds", () => {
    for (const { kind } of policyLosses) {
      const options = policyLossOptions.parse({ kind });
      const loss = (extra: number[]) =>
        tf.tidy(
          () =>
            policyLoss(
              {
                logprobs: tf.tensor1d([-1, -0.3, ...extra]),
                oldLogprobs: tf.tensor1d([-1.5, -0.2, ...extra.map(() => 0)]),
                referenceLogprobs: null,
                advantages: tf.tensor1d([1, 1, ...extra.map(() => 7)]),
                weights: tf.tensor1d([0.5, 0.5, ...extra.map(() => 0)]),
                members: tf.tensor2d([
                  [1, 1, ...extra.map(() => 0)],
                  [0, 0, ...extra.map(() => 0)],
                ]),
                selected: tf.tensor1d([0, 1, ...extra.map(() => 0)]),
              },
              { loss: options, clip: clipOptions.parse({}), kl: klOptions.parse({}) },
            ).loss.dataSync()[0],
        );
      expect(loss([-0.1, -9]), kind).toBe(loss([]));
    }
  });
});

describe("covariance", () => {
  // by hand: means 0.5 and -1.5
  const tokens = { advantages: [1, 0, 1, 0], logprobs: [-0.5, -2.5, -2, -1] };
  it("is the product of what logprob and advantage differ from their means", () => {
    expect([...covariances(tokens)]).toEqual([0.5, 0.5, -0.25, -0.25]);
  });
  it("chooses the largest, at least one", () => {
    expect([...largest(covariances(tokens), 0.5)]).toEqual([1, 1, 0, 0]);
    expect([...largest(covariances(tokens), 1e-4)]).toEqual([1, 0, 0, 0]);
    expect([...largest(new Float64Array(), 0.5)]).toEqual([]);
  });
  it("draws among those between the bounds, the same with the same seed", () => {
    const covariance = Float64Array.from({ length: 1000 }, (_, i) => (i % 10) / 2);
    const draws = (seed: number) => {
      const rng = createRng(seed);
      return drawnBetween(covariance, { share: 0.05, above: 1, below: 3 }, (i) => rng.uniform(i));
    };
    const chosen = [...draws(1).entries()].flatMap(([i, mark]) => (mark === 1 ? [i] : []));
    expect(chosen.length).toBe(50);
    expect(chosen.every((i) => covariance[i]! > 1 && covariance[i]! < 3)).toBe(true);
    // of 300 tokens between the bounds, by chance and not by place
    expect(chosen.at(-1)! - chosen[0]!).toBeGreaterThan(500);
    expect([...draws(1)]).toEqual([...draws(1)]);
    expect([...draws(2)]).not.toEqual([...draws(1)]);
  });
});

describe("truncated importance sampling", () => {
  it("is the ratio of learner to sampler, at most max", () => {
    const weights = truncatedWeights([-1, -1, -1], [-1, Math.log(0.5) - 1, 5], { max: 2 });
    expectEach(weights, [1, 0.5, 2], 1e-12);
  });
});
