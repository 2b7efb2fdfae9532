import type { RolloutOptions } from "../../rollouts/options.ts";
import type { AlgorithmRule, DeclaredAlgorithm } from "../declaration.ts";
import { evenSampledBatches, klToRandomWeights } from "../rules.ts";
import { sampledBatch } from "../shared-options.ts";
import { type PpoOptions, ppoOptions } from "./options.ts";

const batch = (options: PpoOptions, rollout: RolloutOptions) => sampledBatch(options, rollout);

const klTarget: AlgorithmRule<PpoOptions> = ({ algorithm }, { report }) => {
  if (!algorithm) return;
  const { coef, target, horizon } = algorithm.kl;
  if (target !== undefined && coef === 0) {
    const reason = "the coefficient is multiplied on its way to the target, and 0 stays 0";
    const fix = "use 0.2 (Ziegler et al.), or remove target";
    report({ rule: "kl_target", path: "algorithm.kl.coef", uses: ["algorithm.kl.target"], reason, fix });
  }
  if (target === undefined && horizon !== undefined) {
    const reason = "the coefficient is fixed where kl has no target";
    const fix = "add target, or remove it";
    report({ rule: "kl_target", path: "algorithm.kl.horizon", uses: ["algorithm.kl.target"], reason, fix });
  }
};

const criticWarmup: AlgorithmRule<PpoOptions> = ({ algorithm, steps }, { report }) => {
  if (!algorithm || steps === undefined || algorithm.critic.warmup_steps < steps) return;
  report({
    rule: "critic_warmup",
    path: "algorithm.critic.warmup_steps",
    uses: ["steps"],
    reason: `in all ${steps} steps only the critic would learn`,
    fix: `use less than ${steps}`,
  });
};

export const ppo: DeclaredAlgorithm<typeof ppoOptions> = {
  kind: "ppo",
  title: "PPO",
  summary: "proximal policy optimisation with a critic",
  options: ppoOptions,
  learnsFrom: "rewards",
  samples: true,
  critic: true,
  loss: () => null,
  usesReference: ({ kl }) => kl.coef > 0,
  batch,
  metrics: null,
  measures: ({ kl }) => ["critic", ...(kl.coef > 0 ? (["reference"] as const) : [])],
  rules: [klTarget, criticWarmup, evenSampledBatches(batch), klToRandomWeights],
  describe: ({ critic }) => [
    `a critic on the policy's architecture learns beside it${critic.warmup_steps === 0 ? "" : `, alone for ${critic.warmup_steps} steps`}`,
  ],
  measuring: {
    leavesOut: () => false,
    withUnits: (options) => options,
    onePass: (options) => ({ ...options, epochs: 1, critic: { ...options.critic, warmup_steps: 0 } }),
    ungrouped: (options) => options,
  },
  trainer: async () => (await import("./train.ts")).trainPpo,
};
