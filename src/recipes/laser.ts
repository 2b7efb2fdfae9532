/** LASER: a right answer earns a bonus when it is no longer than a target length. */
import type { Method, Setting } from "./method.ts";

const CODE = "code, hkust-nlp/Laser, scripts/training";
const VERL = "default of verl, which the code builds on";

/** Sampler, loss and optimizer: the same for LASER, LASER-D and LASER-DE. */
export const laserTraining: readonly Setting[] = [
  {
    key: "rewards",
    value: [{ kind: "math", extract: "last-boxed", right: 1, wrong: -0.5, unparsed: -1 }],
    source: "code, length_penalty.py: right, boxed but wrong, no box",
  },
  { key: "rollout.prompts_per_step", value: 128, source: CODE },
  { key: "rollout.group_size", value: 8, source: CODE },
  { key: "rollout.temperature", value: 0.6, source: `${CODE}, in training too` },
  { key: "rollout.max_new_tokens", value: 16384, source: "paper, and code: far above every target" },
  { key: "rollout.max_prompt_tokens", value: 1024, source: CODE },
  { key: "algorithm.kind", value: "grpo", source: "paper, section 6" },
  { key: "algorithm.advantage.baseline", value: "group_mean", source: "paper: GRPO" },
  { key: "algorithm.advantage.scale", value: "group_std", source: "paper: GRPO" },
  { key: "algorithm.advantage.std", value: "sample", source: VERL },
  { key: "algorithm.advantage.epsilon", value: 1e-6, source: VERL },
  { key: "algorithm.clip.low", value: 0.2, source: CODE },
  { key: "algorithm.clip.high", value: 0.28, source: `${CODE}: clip-higher` },
  { key: "algorithm.kl.coef", value: 0.001, source: CODE },
  { key: "algorithm.kl.estimator", value: "k3", source: `${CODE}: low_var_kl` },
  { key: "algorithm.kl.place", value: "loss", source: CODE },
  { key: "algorithm.entropy_coef", value: 0.001, source: CODE },
  { key: "algorithm.aggregation", value: "token", source: VERL },
  { key: "algorithm.epochs", value: 1, source: VERL },
  { key: "algorithm.minibatches", value: 2, source: `${CODE}: 128 prompts in minibatches of 64` },
  { key: "optimizer.lr", value: 1e-6, source: CODE },
  { key: "optimizer.schedule", value: "constant", source: VERL },
  { key: "optimizer.weight_decay", value: 0.01, source: VERL },
  { key: "optimizer.clip_norm", value: 1, source: VERL },
];

export const laserReferences: readonly string[] = [
  "arXiv:2505.15612 (May 2025), Learn to Reason Efficiently with Adaptive Length-based Reward Shaping: tables 2 to 4, sections 4 to 6",
  "code: github.com/hkust-nlp/Laser, verl/utils/reward_score/length_penalty.py and scripts/training",
];

export const laserPitfalls: readonly string[] = [
  "Lengths are tokens. A count of characters moves every target.",
  "A target near the token limit trains against truncation: keep max_new_tokens at twice the target or more, and watch completion/truncated.",
  "A target below what a right answer takes pays nobody: shaping/short at 0. Above all of them it pays everybody and teaches nothing: at 1. Begin at about the median right length.",
  "The released reward manager writes all scores to the place of the last sample's end; that fault is not copied.",
];

export const laser: Method = {
  name: "laser",
  title: "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping (LASER)",
  summary: "GRPO with a bonus for right completions up to one target length",
  references: laserReferences,
  equations: [
    "R(x, y) = C(y) + lambda(y) S(y), L the completion's length in tokens",
    "  C: right 1, boxed but wrong -0.5, no box -1 (rewards: math)",
    "  lambda = [right],  S = alpha [L <= L_T],  alpha = 0.5 (shaping laser; mode: reward)",
    "  the code has two more modes: penalty, -alpha [L > L_T]; hybrid, both",
    "A_i = (R_i - mean_group) / (std_group + 1e-6), ddof 1, the same for every token",
    "loss = mean over all tokens of max(-A ratio, -A clip(ratio, 0.8, 1.28)) + 0.001 k3 - 0.001 entropy",
    "evaluations use the base score C",
  ],
  settings: [
    {
      key: "shaping",
      value: [{ kind: "laser", alpha: 0.5, mode: "reward", target_tokens: 8192 }],
      source: "paper: 2048, 4096 and 8192 were tried, the last has the best accuracy; alpha: code",
    },
    ...laserTraining,
  ],
  pitfalls: laserPitfalls,
};
