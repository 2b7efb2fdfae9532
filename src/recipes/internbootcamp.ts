/** InternBootcamp: GRPO on a mixture of verifiable tasks whose cases are drawn by generators. */
import type { Method } from "./method.ts";

const CODE = "code, InternLM/InternBootcamp, examples/verl_usage";

export const internbootcamp: Method = {
  name: "internbootcamp",
  title: "InternBootcamp",
  summary: "reinforcement learning on many generated tasks at once, each with its own verifier",
  references: [
    "InternBootcamp Technical Report: Boosting LLM Reasoning with Verifiable Task Scaling, arXiv:2508.08636; abstract read, not the body",
    "github.com/InternLM/InternBootcamp: internbootcamp/bootcamp/base.py, game24, examples/verl_usage, README",
  ],
  equations: [
    "a bootcamp: difficulty -> case_generator() -> identity (JSON) -> prompt_func(identity); extract_output(text); verify(answer, identity) -> true, false or a number",
    "a step draws tasks by their weights and a case of each; a case is a function of (seed, row), and never stands in training and in evaluation",
    "score(text): 0 below 100 characters; 0 without </think>; 0 without [answer]...[/answer] (the last one counts)",
    "then 1 for true, the number for a number, format_score (0) for false or a verifier that fails",
    "A_i = (score_i - mean) / (std + 1e-6) within the group; GRPO's loss with a KL of 0.001 (k3) to the initial model",
    "stand-in: 16 task families of our own take the place of the release's thousand; their names say what they ask, not which of the release's they are",
  ],
  settings: [
    { key: "rollout.prompts_per_step", value: 64, source: `${CODE}: train_batch_size` },
    { key: "rollout.group_size", value: 8, source: "default of rlpt: what was read names no group size" },
    { key: "rollout.max_prompt_tokens", value: 4096, source: CODE },
    { key: "rollout.max_new_tokens", value: 8192, source: CODE },
    { key: "rollout.temperature", value: 1, source: "default of verl" },
    {
      key: "rewards",
      value: [{ kind: "bootcamp", format_score: 0, short_penalty: true, format_penalty: true }],
      source: "code, base.py: verify_score's defaults",
    },
    { key: "algorithm.kind", value: "grpo", source: `${CODE}: algorithm.adv_estimator` },
    { key: "algorithm.advantage.scale", value: "group_std", source: "default of verl" },
    { key: "algorithm.advantage.epsilon", value: 1e-6, source: "default of verl" },
    { key: "algorithm.minibatches", value: 2, source: `${CODE}: ppo_mini_batch_size 32 of 64` },
    { key: "algorithm.kl.coef", value: 0.001, source: CODE },
    { key: "algorithm.kl.estimator", value: "k3", source: `${CODE}: low_var_kl` },
    { key: "algorithm.kl.place", value: "loss", source: `${CODE}: use_kl_loss` },
    { key: "optimizer.lr", value: 1e-6, source: CODE },
  ],
  pitfalls: [
    "the rule of 100 characters makes every direct answer worth 0: short_penalty: false and format_penalty: false where nothing is thought",
    "a verifier that returns the number 0 overrides format_score, false does not",
    "a task that is never or always solved teaches nothing: look at accuracy by the slice task, and drop what stands above .85 or below .03 (the filter of generated tasks)",
    "two phrases of one task may be nearly one: cases are told apart by their content, not by their wording",
  ],
};
