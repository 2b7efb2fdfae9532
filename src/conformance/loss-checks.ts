/** Policy losses on tensors against their closed forms: values, gradients through a tiny policy, and planted faults. */
import * as tf from "@tensorflow/tfjs";
import { createRng } from "../lib/rng.ts";
import { tokenWeights } from "../losses/aggregation.ts";
import { type Aggregation, clipOptions, type KlOptions, klOptions } from "../losses/options.ts";
import { type PolicyLossOptions, policyLosses, policyLossOf } from "../losses/policy-kinds.ts";
import { type FamilyLossInput, importanceOf, policyLoss } from "../losses/policy-loss.ts";
import { perToken, randomLengths, spans, type TokenNumbers } from "./batch.ts";
import { type Check, caught, largestError, within } from "./check.ts";
import { closedForm, closedKl } from "./closed-forms.ts";
import { differences, logprobsOf, type TinyPolicy, tableGradient, tinyPolicy } from "./tiny-policy.ts";

/** Slots behind the completions' tokens, as batches have them. */
const PADDING = 3;
const ROWS = 5;
const GROUP = 4;
/** Largest error against the equation in float64, of a loss near 1. */
const BOUND = 1e-6;

const CLIP = clipOptions.parse({ low: 0.2, high: 0.28, dual: 1.6 });
const NO_KL = klOptions.parse({});

interface Case {
  policy: TinyPolicy;
  batch: TokenNumbers;
  loss: PolicyLossOptions;
  kl: KlOptions;
}

/** @param aggregation weights of the mean */
function randomCase(
  seed: number,
  loss: PolicyLossOptions,
  aggregation: Aggregation,
  kl: KlOptions = NO_KL,
): Case {
  const rng = createRng(seed).fork("conformance");
  const lengths = randomLengths(rng, ROWS);
  const count = lengths.reduce((sum, length) => sum + length, 0);
  const policy = tinyPolicy(seed, count + PADDING);
  const logprobs = logprobsOf(policy, policy.table);
  // below 0, and far enough that ratios pass every bound
  const near = (name: string) =>
    logprobs.map((x, k) => Math.fround(Math.min(-0.02, x + 0.5 * rng.fork(name).normal(k))));
  const advantages = Array.from({ length: ROWS }, (_, i) => Math.fround(rng.fork("advantage").normal(i)));
  const padding = Array<number>(PADDING).fill(0);
  const batch: TokenNumbers = {
    lengths,
    logprobs,
    old: near("old"),
    reference: near("reference"),
    // what padding holds must not matter
    advantages: [...perToken(lengths, advantages), ...padding.map((_, i) => i + 5)],
    weights: [...perToken(lengths, tokenWeights(lengths, aggregation, 8)), ...padding],
    selected: [],
  };
  const { select } = policyLossOf(loss);
  const marks = select?.of(
    { advantages: batch.advantages.slice(0, count), logprobs: batch.old.slice(0, count) },
    loss,
    (token) => rng.fork("draw").uniform(token),
  );
  batch.selected = logprobs.map((_, k) => marks?.[k] ?? 0);
  return { policy, batch, loss, kl };
}

/** Of the equation, as a function of the policy's table. */
const equation = ({ policy, batch, loss, kl }: Case) => {
  const frozen = batch.logprobs;
  return (table: readonly number[]) => {
    const moved = { ...batch, logprobs: logprobsOf(policy, table) };
    return closedForm(moved, loss, CLIP, frozen) + (kl.coef === 0 ? 0 : closedKl(moved, kl));
  };
};

/** The tensors of a batch, faults included. */
function inputOf({ batch, loss, kl }: Case, logprobs: tf.Tensor1D): FamilyLossInput {
  const drops = policyLossOf(loss).select?.drop === true;
  return {
    logprobs,
    oldLogprobs: tf.tensor1d(batch.old),
    referenceLogprobs: kl.coef === 0 ? null : tf.tensor1d(batch.reference),
    advantages: tf.tensor1d(
      batch.advantages.map((value, k) => (drops && batch.selected[k] === 1 ? 0 : value)),
    ),
    weights: tf.tensor1d(batch.weights),
    members: tf.tensor2d(
      spans(batch.lengths).map(({ from, to }) => batch.logprobs.map((_, k) => (k >= from && k < to ? 1 : 0))),
    ),
    selected: tf.tensor1d(batch.selected),
  };
}

const tensorLoss = (one: Case) => (logprobs: tf.Tensor1D) =>
  policyLoss(inputOf(one, logprobs), { loss: one.loss, clip: CLIP, kl: one.kl }).loss;

/** Errors of value and gradient of a tensor loss against the equation of a case. */
async function errors(
  truth: Case,
  lossOf: (logprobs: tf.Tensor1D) => tf.Scalar,
): Promise<{ value: number; gradient: number }> {
  const exact = equation(truth);
  const { value, gradient } = await tableGradient(truth.policy, lossOf);
  return {
    value: largestError([value], [exact(truth.policy.table)]),
    gradient: largestError(gradient, differences(exact, truth.policy.table)),
  };
}

/** What is done to a batch, and how the fault is called. The losses are those that could have it. */
interface Fault {
  name: string;
  plant(one: Case): Case;
}

const changed = (one: Case, batch: Partial<TokenNumbers>): Case => ({
  ...one,
  batch: { ...one.batch, ...batch },
});

const faults: readonly Fault[] = [
  {
    name: "a factor G too many",
    plant: (one) => changed(one, { weights: one.batch.weights.map((weight) => GROUP * weight) }),
  },
  {
    name: "the mask shifted by one",
    plant: (one) => changed(one, { weights: [0, ...one.batch.weights.slice(0, -1)] }),
  },
  {
    name: "the mean over tokens for that over completions",
    plant: (one) => {
      const { lengths, weights } = one.batch;
      const tokens = perToken(lengths, tokenWeights(lengths, "token", 8));
      return changed(one, { weights: weights.map((_, k) => tokens[k] ?? 0) });
    },
  },
  {
    name: "the ratio to the reference policy",
    plant: (one) => changed(one, { old: one.batch.reference }),
  },
];

/** Options that let every branch be reached on these batches. */
function optionsFor(kind: PolicyLossOptions["kind"]): PolicyLossOptions {
  const wide: Record<string, object> = {
    gspo: { low: 0.1, high: 0.15 },
    cispo: { low: 0.3, high: 0.4 },
    dppo: { max_ratio: 1.3 },
    "clip-cov": { share: 0.3, above: 0, below: 9 },
    "kl-cov": { share: 0.3 },
  };
  return policyLosses.find((one) => one.kind === kind)!.options.parse({ kind, ...wide[kind] });
}

/** @param batches random batches of each check */
export async function lossChecks(seed: number, batches: number): Promise<Check[]> {
  const checks: Check[] = [];
  const seeds = Array.from({ length: batches }, (_, i) => seed + i);
  for (const { kind } of policyLosses) {
    const loss = optionsFor(kind);
    const cases = seeds.map((one) => randomCase(one, loss, "sequence"));
    const found = [];
    for (const one of cases) found.push(await errors(one, tensorLoss(one)));
    checks.push(
      within(
        `${kind}, value`,
        found.map(({ value }) => value),
        BOUND,
      ),
    );
    checks.push(
      within(
        `${kind}, gradient against differences`,
        found.map(({ gradient }) => gradient),
        BOUND,
      ),
    );
    for (const { name, plant } of faults) {
      checks.push(await plantedCheck(`${kind}, ${name}`, cases, (one) => tensorLoss(plant(one))));
    }
    if (kind === "cispo") {
      checks.push(await plantedCheck(`${kind}, a missing detach`, cases, undetached));
    }
  }
  return [...checks, ...(await klChecks(seeds))];
}

/** The weight with its gradient. */
const undetached = (one: Case) => (logprobs: tf.Tensor1D) => {
  const input = inputOf(one, logprobs);
  const weight = tf.mul(importanceOf(input, { loss: one.loss, clip: CLIP }), input.weights);
  return tf.neg(tf.sum<tf.Scalar>(tf.mul(tf.mul(weight, input.advantages), logprobs)));
};

async function klChecks(seeds: readonly number[]): Promise<Check[]> {
  const checks: Check[] = [];
  const loss = optionsFor("clipped");
  for (const estimator of ["k1", "k2", "k3"] as const) {
    for (const bias_correction of [false, true]) {
      const kl = klOptions.parse({ coef: 0.5, estimator, bias_correction });
      const cases = seeds.map((seed) => randomCase(seed, loss, "token", kl));
      const found = [];
      for (const one of cases) found.push(await errors(one, tensorLoss(one)));
      const name = `KL ${estimator}${bias_correction ? ", corrected" : ""}`;
      checks.push(
        within(
          name,
          found.map(({ value, gradient }) => Math.max(value, gradient)),
          BOUND,
        ),
      );
      if (bias_correction) {
        const plain = { ...kl, bias_correction: false };
        checks.push(
          await plantedCheck(`${name}, the correction left out`, cases, (one) =>
            tensorLoss({ ...one, kl: plain }),
          ),
        );
      }
    }
  }
  return checks;
}

/** The fault must be seen on at least one batch. */
async function plantedCheck(
  name: string,
  cases: readonly Case[],
  faulty: (one: Case) => (logprobs: tf.Tensor1D) => tf.Scalar,
): Promise<Check> {
  const found = [];
  for (const one of cases) {
    const { value, gradient } = await errors(one, faulty(one));
    found.push(Math.max(value, gradient));
  }
  return caught(name, found, BOUND);
}
