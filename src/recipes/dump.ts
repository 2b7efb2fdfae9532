/** DUMP: a bandit draws the training mix towards the distributions whose completions have large advantages. */
import type { Method } from "./method.ts";

const CODE = "code, ZhentingWang/DUMP";
const VERL = "default of verl, which the code builds on";

export const dump: Method = {
  name: "dump",
  title: "DUMP: Automated Distribution-Level Curriculum Learning for RL-based LLM Post-training",
  summary: "GRPO on a mix of distributions that a UCB bandit draws by the size of their advantages",
  references: [
    "arXiv:2504.09710 (April 2025), sections 3 and 4",
    "code: github.com/ZhentingWang/DUMP, verl/utils/curriculum_learning.py, verl/trainer/ppo/ray_trainer.py",
  ],
  equations: [
    "distributions d by a column of the rows: source or difficulty (sampler ucb)",
    "  L(d) = mean |A| over the newest k = 300 completions from d; 0 when there are none",
    "  UCB(d) = L(d) + sqrt(2 ln(n + 1) / (n_d + 1)),  n_d completions from d so far, n their sum",
    "  P(d) = softmax(UCB / tau), tau = 0.1; uniform at the start",
    "each step: of every prompt the distribution by P, then the prompt uniformly in it; after the advantages are known, n_d and L(d)",
    "  The code draws with replacement. Here no prompt comes twice in a step, since it would get the same completions.",
    "  The code also updates on validation batches; here on what is trained alone.",
    "reward: format +1 or -1, answer +2 right, -1.5 wrong, -2 missing: in [-3, 3]",
    "A_i = (r_i - mean_group) / (std_group + 1e-6), ddof 1; loss: clipped surrogate, mean over tokens, + 0.001 k3",
  ],
  settings: [
    { key: "sampler.kind", value: "ucb", source: "paper, section 3" },
    { key: "sampler.window", value: 300, source: `paper and ${CODE}` },
    { key: "sampler.tau", value: 0.1, source: `paper and ${CODE}` },
    { key: "sampler.exploration", value: 1, source: CODE },
    {
      key: "rewards",
      value: [
        {
          kind: "exact",
          name: "answer",
          extract: "last-answer-tag",
          right: 2,
          wrong: -1.5,
          unparsed: -2,
        },
        {
          kind: "tag-format",
          name: "format",
          tags: ["think", "answer"],
          before: "any",
          between: "any",
          after: "any",
          mismatch: -1,
        },
      ],
      source: "paper, section 4: rules of Logic-RL",
    },
    { key: "rollout.prompts_per_step", value: 128, source: `paper and ${CODE}` },
    { key: "rollout.group_size", value: 16, source: `paper and ${CODE}` },
    { key: "rollout.temperature", value: 1, source: VERL },
    { key: "rollout.max_prompt_tokens", value: 4096, source: CODE },
    { key: "rollout.max_new_tokens", value: 20480, source: `${CODE}: 7B; 4096 for 3B` },
    { key: "algorithm.kind", value: "grpo", source: "paper, section 3.3" },
    { key: "algorithm.advantage.std", value: "sample", source: VERL },
    { key: "algorithm.advantage.epsilon", value: 1e-6, source: VERL },
    { key: "algorithm.clip.low", value: 0.2, source: VERL },
    { key: "algorithm.clip.high", value: 0.2, source: VERL },
    { key: "algorithm.kl.coef", value: 0.001, source: CODE },
    { key: "algorithm.kl.estimator", value: "k3", source: `${CODE}: low_var_kl` },
    { key: "algorithm.kl.place", value: "loss", source: CODE },
    { key: "algorithm.aggregation", value: "token", source: VERL },
    { key: "algorithm.minibatches", value: 4, source: `${CODE}: 128 prompts in minibatches of 32` },
    { key: "optimizer.lr", value: 1e-6, source: `paper and ${CODE}` },
    { key: "optimizer.schedule", value: "constant", source: VERL },
    { key: "optimizer.weight_decay", value: 0.01, source: VERL },
    { key: "optimizer.clip_norm", value: 1, source: VERL },
  ],
  pitfalls: [
    "A group of equal rewards has advantages of 0, so what is never solved looks like what always is: only the bonus brings either back. Watch slice/{slice}/accuracy of both.",
    "At tau 0.1 a difference of 0.5 in L is already 148 : 1. Watch sampler/largest_share, and sampler/learnability, which falls when nothing is left to learn.",
    "Dividing by the group's std makes a lone lucky success loud: distributions that are guessed right now and then draw the sampler. Watch the slice's accuracy, which then does not rise.",
    "With dynamic sampling (DAPO) dropped groups count for nothing here, so a distribution that is always dropped keeps its bonus and is tried again and again.",
  ],
};
