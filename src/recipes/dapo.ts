/** DAPO: GRPO with a wider upper clip, groups without a difference redrawn, a mean over tokens, and a soft length limit. */
import type { Method } from "./method.ts";

const SCRIPT = "code, run_dapo_qwen2.5_32b.sh";
const FORK = "scripts of TreePO's fork";

export const dapo: Method = {
  name: "dapo",
  title: "DAPO: Decoupled Clip and Dynamic sAmpling Policy Optimization",
  summary: "four changes to GRPO: clip-higher, dynamic sampling, token mean, soft overlong punishment; no KL",
  references: [
    "arXiv:2503.14476 (March 2025), sections 3.1 to 3.4",
    "code: verl, recipe/dapo (README, run_dapo_qwen2.5_32b.sh, dapo_ray_trainer.py) and workers/reward_manager/dapo.py",
    "used by Patho-R1 (arXiv:2505.11404, third stage), whose repository has no settings of its own",
  ],
  equations: [
    "score: right +1, wrong -1, no answer -1; no KL, neither in the loss nor in the reward",
    "1. Dynamic sampling (algorithm.dynamic_sampling): groups whose scores are all equal are dropped and prompts drawn",
    "   until P groups are left. verl draws 3 P at once, at most 10 times, and then stops with an error; rlpt draws what",
    "   is missing, at most 30 P, and then fills up with dropped groups. verl filters by accuracy, rlpt by the reward",
    "   before shaping: here the same.",
    "2. Overlong (shaping overlong, after the filter): R += min(-f (L - (L_max - B)) / B, 0),  f = 1",
    "3. Advantage: A_i = (R_i - mean_group) / (std_group + 1e-6), ddof 1",
    "4. Clip-higher: l = -min(ratio A, clip(ratio, 1 - 0.2, 1 + 0.28) A); where A < 0, l at most -c A, c = 10 (dual clip)",
    "5. Loss: sum of l over all tokens of the batch / their number (aggregation: token)",
    "evaluations use the score: avg@32 on AIME24",
  ],
  settings: [
    {
      key: "rewards",
      value: [{ kind: "math", extract: ["answer-is", "last-boxed"], right: 1, wrong: -1, unparsed: -1 }],
      source: "code, verl's math_dapo scorer: the last `Answer:` line; comparing as mathematics is rlpt's",
    },
    {
      key: "shaping",
      value: [{ kind: "overlong", max_tokens: 20480, buffer: 4096, factor: 1 }],
      source: `paper, section 3.4, and ${SCRIPT}`,
    },
    { key: "rollout.prompts_per_step", value: 512, source: SCRIPT },
    { key: "rollout.group_size", value: 16, source: SCRIPT },
    { key: "rollout.temperature", value: 1, source: SCRIPT },
    { key: "rollout.top_p", value: 1, source: SCRIPT },
    { key: "rollout.max_prompt_tokens", value: 2048, source: SCRIPT },
    { key: "rollout.max_new_tokens", value: 20480, source: SCRIPT },
    { key: "algorithm.kind", value: "grpo", source: "paper, section 3" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: "paper: as GRPO" },
    { key: "algorithm.advantage.scale", value: "group_std", source: "paper: as GRPO" },
    { key: "algorithm.advantage.std", value: "sample", source: "code: torch.std" },
    { key: "algorithm.advantage.epsilon", value: 1e-6, source: "code: verl" },
    {
      key: "algorithm.dynamic_sampling.oversampling",
      value: 30,
      source: `${SCRIPT}: at most 10 batches of 1536 prompts for 512`,
    },
    { key: "algorithm.clip.low", value: 0.2, source: `paper, and ${SCRIPT}` },
    { key: "algorithm.clip.high", value: 0.28, source: `paper, section 3.1, and ${SCRIPT}` },
    { key: "algorithm.clip.dual", value: 10, source: "code: scripts that set clip_ratio_c" },
    { key: "algorithm.kl.coef", value: 0, source: "paper, section 2.3: no KL" },
    { key: "algorithm.entropy_coef", value: 0, source: SCRIPT },
    { key: "algorithm.aggregation", value: "token", source: "paper, section 3.3" },
    { key: "algorithm.epochs", value: 1, source: SCRIPT },
    { key: "algorithm.minibatches", value: 16, source: `${SCRIPT}: 512 prompts in minibatches of 32` },
    { key: "optimizer.lr", value: 1e-6, source: `paper, and ${SCRIPT}` },
    { key: "optimizer.schedule", value: "constant", source: "paper: constant after the warm-up" },
    { key: "optimizer.warmup_steps", value: 10, source: FORK },
    { key: "optimizer.weight_decay", value: 0.1, source: FORK },
    { key: "optimizer.clip_norm", value: 1, source: FORK },
    { key: "eval.temperature", value: 1, source: SCRIPT },
    { key: "eval.top_p", value: 0.7, source: `${SCRIPT}: in validation only` },
  ],
  pitfalls: [
    "The length penalty as a reward part would come before the filter and keep groups alive that are all right or all wrong: it is a shaping here.",
    "A small pool cannot fill a step with live groups: watch group/drawn, which is what a step costs, and group/filled, above 0 when the bound was reached.",
    "A step samples more than GRPO's: compare at equal completions too (group/drawn times group_size).",
    "Clip-higher acts on tokens that have become likelier by the second minibatch on: with one minibatch a step nothing clips. Watch policy/clip_high and policy/clip_low.",
    "Entropy that rises without end, with completions that grow: watch policy/entropy and shaping/overlong.",
    "Multiple choice has a floor: few groups are all wrong, so late in training the filter drops mainly those that are all right.",
  ],
};
