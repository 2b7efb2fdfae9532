import type { RolloutOptions } from "../../rollouts/options.ts";
import type { AlgorithmRule, DeclaredAlgorithm, StepBatch } from "../declaration.ts";
import { correctedKlInReward, evenSampledBatches, klToRandomWeights } from "../rules.ts";
import { sampledBatch } from "../shared-options.ts";
import { type GrpoOptions, grpoOptions } from "./options.ts";

const batch = (options: GrpoOptions, rollout: RolloutOptions): StepBatch => sampledBatch(options, rollout);

const groupSize: AlgorithmRule<GrpoOptions> = ({ algorithm, rollout }, { report }) => {
  if (!algorithm || !rollout || rollout.group_size >= 2) return;
  const { baseline, scale } = algorithm.advantage;
  if (baseline === "none" && scale !== "group_std") return;
  report({
    rule: "group_size",
    path: "rollout.group_size",
    uses: ["algorithm.kind", "algorithm.advantage"],
    reason: "GRPO compares the completions of one prompt, and one alone has advantage 0",
    fix: "use 2 or more, or algorithm.advantage {baseline: none, scale: batch_std}",
  });
};

/** Without a comparison inside the group every group has a gradient, or none has one. */
const redrawnGroups: AlgorithmRule<GrpoOptions> = ({ algorithm, rollout }, { report }) => {
  if (algorithm?.dynamic_sampling === undefined || !rollout) return;
  const uses = ["rollout.group_size", "algorithm.advantage"];
  if (rollout.group_size < 2) {
    const reason =
      "it redraws groups whose completions all have the same reward, and a group of one always has";
    const fix = "use rollout.group_size 2 or more, or remove it";
    report({ rule: "dynamic_sampling", path: "algorithm.dynamic_sampling", uses, reason, fix });
  } else if (algorithm.advantage.baseline === "none") {
    const reason = "with baseline none a group has a gradient although all its rewards are equal";
    const fix = "use baseline group_mean or leave_one_out, or remove it";
    report({ rule: "dynamic_sampling", path: "algorithm.dynamic_sampling", uses, reason, fix });
  }
};

export const grpo: DeclaredAlgorithm<typeof grpoOptions> = {
  kind: "grpo",
  title: "GRPO",
  summary: "group-relative policy optimisation",
  options: grpoOptions,
  learnsFrom: "rewards",
  samples: true,
  critic: false,
  usesReference: ({ kl }) => kl.coef > 0,
  batch,
  metrics: null,
  measures: ({ kl, dynamic_sampling }) => [
    "live",
    ...(dynamic_sampling === undefined ? [] : (["redrawing"] as const)),
    ...(kl.coef > 0 ? (["reference"] as const) : []),
  ],
  rules: [groupSize, redrawnGroups, evenSampledBatches(batch), klToRandomWeights, correctedKlInReward],
  describe: ({ dynamic_sampling }) =>
    dynamic_sampling === undefined
      ? []
      : [
          `groups without a difference in reward are redrawn, up to ${dynamic_sampling.oversampling} times the step's prompts`,
        ],
  measuring: {
    leavesOut: ({ kl, entropy_coef }) => !(kl.coef > 0 && kl.place === "loss") && entropy_coef === 0,
    withUnits: (options) => options,
    onePass: (options) => ({ ...options, epochs: 1 }),
    ungrouped: (options) => ({
      ...options,
      dynamic_sampling: undefined,
      advantage: { ...options.advantage, baseline: "none", scale: "none" },
    }),
  },
  trainer: async () => (await import("./train.ts")).trainGrpo,
};
