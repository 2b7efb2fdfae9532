/** Rules that several algorithms share; each lists those that hold for it. */
import {
  type AlgorithmDeclaration,
  type AlgorithmRule,
  type AnyOptions,
  rowsOf,
  rowsOfUpdate,
} from "./declaration.ts";

/** Divisors of n nearest to `wanted`, smaller first: "8 or 16". */
export function nearestDivisors(n: number, wanted: number): string {
  const small = Array.from({ length: Math.floor(Math.sqrt(n)) }, (_, i) => i + 1).filter((d) => n % d === 0);
  const divisors = [...new Set([...small, ...small.map((d) => n / d).reverse()])];
  const below = divisors.filter((d) => d <= wanted).at(-1);
  const above = divisors.find((d) => d > wanted);
  return [below, above].filter((d) => d !== undefined).join(" or ");
}

/** Minibatches and micro-batches of sampled groups come out even. */
export const evenSampledBatches =
  <Options extends AnyOptions & { minibatches: number }>(
    batch: AlgorithmDeclaration<Options>["batch"],
  ): AlgorithmRule<Options> =>
  ({ algorithm, rollout }, { report }) => {
    if (!algorithm || !rollout) return;
    const shape = batch(algorithm, rollout);
    const product = `prompts_per_step * group_size = ${rowsOf(shape)}`;
    const uses = ["rollout.prompts_per_step", "rollout.group_size", "algorithm.minibatches"];
    if (rowsOf(shape) % shape.minibatches !== 0) {
      const reason = `it must divide ${product} rows evenly`;
      const fix = `try ${nearestDivisors(rowsOf(shape), shape.minibatches)}`;
      report({ rule: "minibatches", path: "algorithm.minibatches", uses, reason, fix });
      return;
    }
    const rows = rowsOfUpdate(shape);
    const what = shape.minibatches === 1 ? product : `the ${rows} rows of a minibatch`;
    const finding = unevenMicroBatch(algorithm.micro_batch_rows, rows, what);
    if (finding !== null) report({ ...finding, uses });
  };

/** What is wrong with micro-batches that do not divide an update's rows; null: nothing. */
export function unevenMicroBatch(micro: number | undefined, rows: number, what: string) {
  if (micro === undefined || rows % micro === 0) return null;
  return {
    rule: "micro_batch",
    path: "algorithm.micro_batch_rows",
    reason: `it must divide ${what}, so that all passes have one shape`,
    fix: `try ${nearestDivisors(rows, micro)}`,
  };
}

/** A KL to weights that say nothing. */
export const klToRandomWeights: AlgorithmRule<AnyOptions & { kl: { coef: number } }> = (
  { algorithm, model },
  { report },
) => {
  if (!algorithm || algorithm.kl.coef === 0 || model?.init === undefined) return;
  report({
    rule: "kl_reference",
    path: "algorithm.kl.coef",
    uses: ["model.init"],
    reason: "a KL needs a reference policy, and model.init has only random weights",
    fix: "use 0, or start from model.path",
  });
};

/** KL in the reward is taken of the sampled tokens once, and has no ratio to be corrected by. */
export const correctedKlInReward: AlgorithmRule<
  AnyOptions & { kl: { place: "loss" | "reward"; bias_correction: boolean } }
> = ({ algorithm }, { report }) => {
  if (!algorithm?.kl.bias_correction || algorithm.kl.place === "loss") return;
  report({
    rule: "kl_bias_correction",
    path: "algorithm.kl.bias_correction",
    uses: ["algorithm.kl.place"],
    reason:
      "only a KL in the loss has a ratio to be corrected by; one in the reward is of the sampling policy itself",
    fix: "use place: loss, or remove it",
  });
};
