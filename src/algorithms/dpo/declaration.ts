import { leafSets } from "../../data/dataset-options.ts";
import { preferenceMetrics } from "../../metrics/preference.ts";
import type { AlgorithmRule, DeclaredAlgorithm } from "../declaration.ts";
import { unevenMicroBatch } from "../rules.ts";
import { type DpoOptions, dpoOptions } from "./options.ts";

/** The two rows of a pair stay together. */
const wholePairs: AlgorithmRule<DpoOptions> = ({ algorithm }, { report }) => {
  if (!algorithm) return;
  const { micro_batch_rows: micro, pairs_per_step: pairs } = algorithm;
  const uses = ["algorithm.pairs_per_step"];
  if (micro !== undefined && micro % 2 === 1) {
    report({
      rule: "micro_batch",
      path: "algorithm.micro_batch_rows",
      uses,
      reason: "a pair is two rows, which go through the model together",
      fix: `use ${micro + 1}`,
    });
    return;
  }
  const finding = unevenMicroBatch(micro, 2 * pairs, `the ${2 * pairs} rows of pairs_per_step = ${pairs}`);
  if (finding !== null) report({ ...finding, uses });
};

const pairs: AlgorithmRule<DpoOptions> = ({ data }, { report }) => {
  if (!data) return;
  for (const { at, set } of leafSets({ train: data.train })) {
    const isFile = set.kind === "file";
    if (isFile && set.pair !== undefined) continue;
    const path = at.join(".");
    report({
      rule: "dpo_pairs",
      path: isFile ? path : `${path}.kind`,
      uses: ["algorithm.kind", `${path}.pair`],
      reason: "DPO learns from pairs of a chosen and a rejected text, and there are none",
      fix: isFile
        ? 'add `pair: {}` for the columns chosen and rejected, or `pair: {chosen: "{better}", rejected: "{worse}"}`'
        : "use a file with such columns",
    });
  }
};

/** Log-ratios to random weights say nothing of a preference. */
const trainedReference: AlgorithmRule<DpoOptions> = ({ model }, { report }) => {
  if (model?.init === undefined) return;
  report({
    rule: "kl_reference",
    path: "model.init",
    uses: ["algorithm.kind"],
    reason:
      "DPO measures how far the policy moves from where it began, and model.init has only random weights",
    fix: "start from model.path, or put a stage before that learns from targets",
  });
};

export const dpo: DeclaredAlgorithm<typeof dpoOptions> = {
  kind: "dpo",
  title: "DPO",
  summary: "direct preference optimisation on pairs of texts",
  options: dpoOptions,
  learnsFrom: "pairs",
  samples: false,
  critic: false,
  loss: () => null,
  usesReference: () => true,
  batch: ({ pairs_per_step: units }) => ({
    units,
    unit: "pairs",
    rowsPerUnit: 2,
    passes: 1,
    minibatches: 1,
    rowLength: null,
  }),
  metrics: preferenceMetrics,
  measures: () => [],
  rules: [wholePairs, pairs, trainedReference],
  describe: ({ beta }) => [`the chosen text is preferred to the rejected one, beta ${beta}`],
  measuring: {
    leavesOut: () => false,
    withUnits: (options, units) => ({ ...options, pairs_per_step: units }),
    onePass: (options) => options,
    ungrouped: (options) => options,
  },
  trainer: async () => (await import("./train.ts")).trainDpo,
};
