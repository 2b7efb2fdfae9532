import { fileSets } from "../../data/dataset-options.ts";
import { supervisedMetrics } from "../../metrics/loop.ts";
import type { AlgorithmRule, DeclaredAlgorithm } from "../declaration.ts";
import { unevenMicroBatch } from "../rules.ts";
import { type SftOptions, sftOptions } from "./options.ts";

const evenMicroBatches: AlgorithmRule<SftOptions> = ({ algorithm }, { report }) => {
  if (!algorithm) return;
  const rows = algorithm.rows_per_step;
  const finding = unevenMicroBatch(algorithm.micro_batch_rows, rows, `rows_per_step = ${rows}`);
  if (finding !== null) report({ ...finding, uses: ["algorithm.rows_per_step"] });
};

const packing: AlgorithmRule<SftOptions> = ({ algorithm }, { report }) => {
  if (!algorithm) return;
  const { packing, row_length: length } = algorithm;
  if (packing && length === undefined) {
    const reason = "packing fills rows of a fixed length, and there is no row_length";
    const fix = "add `row_length: 64`";
    report({ rule: "packing", path: "algorithm.packing", uses: ["algorithm.row_length"], reason, fix });
  }
  if (!packing && length !== undefined) {
    const reason = "rows have a fixed length only when examples are packed";
    const fix = "add `packing: true`, or remove it";
    report({ rule: "packing", path: "algorithm.row_length", uses: ["algorithm.packing"], reason, fix });
  }
};

const rowLength: AlgorithmRule<SftOptions> = ({ algorithm }, { report, positions }) => {
  const most = positions();
  if (most === null || algorithm?.row_length === undefined || algorithm.row_length <= most.count) return;
  report({
    rule: "positions",
    path: "algorithm.row_length",
    uses: ["model.max_positions", "model.path", "rollout.max_prompt_tokens"],
    reason: `the model takes ${most.limit}`,
    fix: `use ${most.count} or less`,
  });
};

/** Every prompt has a text to learn. */
const targets: AlgorithmRule<SftOptions> = ({ algorithm, data }, { report }) => {
  if (!algorithm || !data) return;
  const { train } = data;
  for (const { at, set } of fileSets({ train })) {
    if (set.target !== null || set.messages?.learn !== undefined) continue;
    report({
      rule: "sft_target",
      path: at.join("."),
      uses: ["algorithm.kind", `${at.join(".")}.target`],
      reason: "supervised training needs a target text for every prompt, and there is none",
      fix: 'add one from the file\'s columns, such as `target: "{answer}"`, or `messages: {learn: all}` for conversations',
    });
  }
  if (train.kind === "items" && train.use === "few_shot" && train.mode !== "direct") {
    report({
      rule: "sft_target",
      path: "data.train.mode",
      uses: ["data.train.use", "algorithm.kind"],
      reason: "supervised training needs a target, and few-shot items come with a label but no thoughts",
      fix: "use mode: direct, or reinforcement learning",
    });
  }
};

export const sft: DeclaredAlgorithm<typeof sftOptions> = {
  kind: "sft",
  title: "supervised training",
  summary: "supervised fine-tuning on targets",
  options: sftOptions,
  learnsFrom: "targets",
  samples: false,
  critic: false,
  loss: () => null,
  usesReference: () => false,
  batch: ({ rows_per_step: rows, row_length: length }) => ({
    units: rows,
    unit: "rows",
    rowsPerUnit: 1,
    passes: 1,
    minibatches: 1,
    rowLength: length ?? null,
  }),
  metrics: supervisedMetrics,
  measures: () => [],
  rules: [evenMicroBatches, packing, rowLength, targets],
  describe: () => [],
  measuring: {
    leavesOut: () => false,
    withUnits: (options, rows) => ({ ...options, rows_per_step: rows }),
    onePass: (options) => options,
    ungrouped: (options) => options,
  },
  trainer: async () => (await import("./train.ts")).trainSft,
};
