import { policyLossOf } from "../../losses/policy-kinds.ts";
import type { RolloutOptions } from "../../rollouts/options.ts";
import type { DeclaredAlgorithm, StepBatch } from "../declaration.ts";
import { correctedKlInReward, evenSampledBatches, klToRandomWeights } from "../rules.ts";
import { sampledBatch } from "../shared-options.ts";
import { type GrpoOptions, grpoOptions } from "./options.ts";
import {
  creditedTurns,
  decoupledParts,
  groupSize,
  keptCompletions,
  lossBounds,
  redrawnGroups,
  successRate,
  wholeCompletions,
} from "./rules.ts";

const batch = (options: GrpoOptions, rollout: RolloutOptions): StepBatch => sampledBatch(options, rollout);

export const grpo: DeclaredAlgorithm<typeof grpoOptions> = {
  kind: "grpo",
  title: "GRPO",
  summary: "group-relative policy optimisation",
  options: grpoOptions,
  learnsFrom: "rewards",
  samples: true,
  episodes: true,
  critic: false,
  loss: ({ loss }) => loss,
  usesReference: ({ kl }) => kl.coef > 0,
  batch,
  metrics: null,
  measures: ({ kl, dynamic_sampling, loss }) => [
    "live",
    ...(policyLossOf(loss).of === undefined ? [] : (["importance"] as const)),
    ...(policyLossOf(loss).select === undefined ? [] : (["selection"] as const)),
    ...(dynamic_sampling === undefined ? [] : (["redrawing"] as const)),
    ...(kl.coef > 0 ? (["reference"] as const) : []),
  ],
  rules: [
    groupSize,
    redrawnGroups,
    wholeCompletions,
    lossBounds,
    keptCompletions,
    successRate,
    decoupledParts,
    creditedTurns,
    evenSampledBatches(batch),
    klToRandomWeights,
    correctedKlInReward,
  ],
  describe: ({ dynamic_sampling }) =>
    dynamic_sampling === undefined
      ? []
      : [
          `groups without a difference in reward are redrawn, up to ${dynamic_sampling.oversampling} times the step's prompts`,
        ],
  measuring: {
    leavesOut: ({ kl, entropy_coef, loss }) =>
      !(kl.coef > 0 && kl.place === "loss") &&
      entropy_coef === 0 &&
      !policyLossOf(loss).movesWithoutAdvantage,
    withUnits: (options) => options,
    onePass: (options) => ({ ...options, epochs: 1 }),
    ungrouped: (options) => ({
      ...options,
      dynamic_sampling: undefined,
      filter: undefined,
      advantage: { ...options.advantage, baseline: "none", scale: "none", parts: "sum", whiten: false },
    }),
  },
  trainer: async () => (await import("./train.ts")).trainGrpo,
};
