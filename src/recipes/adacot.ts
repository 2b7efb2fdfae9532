/** AdaCoT: reinforcement learning with a price on thinking too little and on thinking too much. */
import type { Method } from "./method.ts";

const PAPER = "paper";
const SILENT = "default of rlpt, the paper does not say";

export const adacot: Method = {
  name: "adacot",
  title: "AdaCoT: Pareto-Optimal Adaptive Chain-of-Thought Triggering via Reinforcement Learning",
  summary:
    "thinks where labels say that it pays: penalties for missed and for needless thought, after a masked math stage",
  references: [
    "Lou et al., arXiv:2505.11896v2 (ByteDance Seed, May 2025), full text with appendices A to E",
    "no code, data or weights were published: predicates, scales and every RL setting marked so below are ours",
  ],
  equations: [
    "T = share of completions that think (content between <think> and </think> that is not blank); P = mean score",
    "theta* = argmax lambda_P P - lambda_T T, in practice the Pareto front over (alpha1, alpha2): rlpt sweep",
    "stage 0, labels: rlpt label writes column needs_thinking by an auxiliary model and a fixed prompt",
    "stage 1, SFT warm-up: targets <think>...</think>answer, or <think></think>answer where the label says no",
    "stage 2, RL-Math: R = R_base - gamma P_fmt (alpha1 = alpha2 = 0), selective loss masking:",
    "   L = sum over k != k_decision of l_k, k_decision the first token after <think> (algorithm.mask_decision)",
    "stage 3, RL-General (the settings below): R = R_base - alpha1 P_miss - alpha2 P_over - gamma P_fmt",
    "   P_miss = 1 if the label asks for thought and there is none       (rewards: trigger, counts: miss, weight -alpha1)",
    "   P_over = 1 if the label asks for none and there is thought       (counts: over, weight -alpha2)",
    "   P_fmt  = 1 unless one think block stands first and an answer follows (counts: format, weight -gamma)",
    "Exp1..Exp4: (alpha1, alpha2) = (.1, .3), (.2, .3), (.3, .3), (.3, .1)",
    "weights go from stage to stage, the optimizer starts afresh, the critic is kept (ours: the paper does not say)",
    "with group advantages instead of PPO: scale batch_std and rollout.mode_samples, as in configs/adacot.yaml",
  ],
  settings: [
    {
      key: "rewards",
      value: [
        { kind: "math", name: "base", after: "</think>", extract: ["last-boxed", "answer-is", "whole"] },
        { kind: "trigger", name: "miss", counts: "miss", weight: -0.2 },
        { kind: "trigger", name: "over", counts: "over", weight: -0.3 },
        { kind: "trigger", name: "format-fault", counts: "format", weight: -1 },
      ],
      source: `${PAPER}, section 3.2.1: alpha1 and alpha2 of Exp2, gamma 1 in all runs; base: a verifier of scale 0 to 1 (a reward model needs that scale too, as a file part)`,
    },
    { key: "algorithm.kind", value: "ppo", source: `${PAPER}: PPO for all RL updates` },
    { key: "algorithm.gae.gamma", value: 1, source: SILENT },
    { key: "algorithm.gae.lambda", value: 0.95, source: SILENT },
    { key: "algorithm.clip.low", value: 0.2, source: SILENT },
    { key: "algorithm.clip.high", value: 0.2, source: SILENT },
    {
      key: "algorithm.kl.coef",
      value: 0.01,
      source: `${SILENT}; the reference is the policy at the start of the stage`,
    },
    {
      key: "algorithm.mask_decision.enabled",
      value: false,
      source: `${PAPER}: masking is described for RL-Math only; true there`,
    },
    {
      key: "algorithm.mask_decision.divisor",
      value: "drop",
      source: `${SILENT}: a mean over tokens averages those that carry loss`,
    },
    { key: "rollout.temperature", value: 1, source: `${SILENT}; 1 as in its evaluation` },
    {
      key: "rollout.top_p",
      value: 1,
      source: `${SILENT}; its evaluation has 0.7, which is eval.top_p`,
    },
    { key: "optimizer.lr", value: 1e-6, source: `${SILENT}: usual for PPO on models of 7B` },
    { key: "eval.temperature", value: 1, source: `${PAPER}, appendix E` },
    { key: "eval.samples", value: 5, source: `${PAPER}, appendix E: 5 or more a case, averaged` },
  ],
  pitfalls: [
    "decision boundary collapse: problems that all need thought teach to think always (recall 1, precision the base rate, accuracy near .5 on a balanced probe): trigger_f1 of eval.csv, completion/thinking; mask_decision is the remedy",
    "masking is one token: later tokens still move the shared weights, so the trigger drifts; keep evaluating it",
    "division by the group's std keeps only the sign of a mode's advantage, so most penalties become equal: scale batch_std",
    "alpha means something against R_base's scale only: bring a reward model to 0..1 first",
    "a think block of one character evades P_over's spirit and earns P_miss's absence: tokens of mode=thinking in eval.csv",
    "the trigger rate is not monotone in alpha1: in the paper Exp4 has the lowest recall but one on daily queries and the highest rate on benchmarks; evaluate both",
    "gamma 1 dwarfs the alphas, so a broken format hides them: reward/part/format-fault near 0 first",
    "a system prompt that asks for always or never thinking (appendix C) is not in this recipe: give such rows their label by hand",
  ],
};
