/** R1-AQA: GRPO on multiple-choice questions, the option's text in an answer tag and no thought before it. */
import { layoutRule } from "./cls-rl.ts";
import type { Method } from "./method.ts";

const CODE = "code, xiaomi-research/r1-aqa, src/train.py";
const TRL = "default of TRL at that time: the script does not set it";

export const r1Aqa: Method = {
  name: "r1-aqa",
  title:
    "Reinforcement Learning Outperforms Supervised Fine-Tuning: A Case Study on Audio Question Answering (R1-AQA)",
  summary:
    "multiple choice by GRPO: the option in <answer> tags, at once; a point for the tags, one for the option",
  references: [
    "arXiv:2503.11197 (March 2025)",
    "code: github.com/xiaomi-research/r1-aqa, src/utils/rewards.py, src/train.py, src/dataset/dataset.py, README",
  ],
  equations: [
    "R = accuracy + format, both 0 or 1",
    "format = 1 if the whole completion matches <answer>.*?</answer> (dot matches newlines), else 0",
    "accuracy = 1 if the text of the first <answer>...</answer> on one line, or the whole completion without one, trimmed,",
    "  is the option's text, case and all; else 0. The code asks a parser of mathematics first, which texts of options do",
    "  not need: left out",
    "A_i = (R_i - mean_group) / (std_group + 1e-4), ddof 1",
    "loss = mean per completion, then over completions, of -min(ratio A, clip(ratio, 0.8, 1.2) A) + 0.04 k3",
    "",
    "The variant with thought asks for <think> </think> before the answer; it did not help the paper's model.",
    "STAND-IN: rlpt reads no audio. The question comes with a description of what is heard, in words.",
  ],
  settings: [
    {
      key: "prompt.template",
      value: "{prompt} Output the final answer in <answer> </answer>.",
      source:
        "code, dataset.py; the data's prompt ends `Please choose the answer from the following options: [...].`",
    },
    {
      key: "rewards",
      value: [
        {
          kind: "exact",
          name: "accuracy",
          extract: ["first-answer-tag", "whole"],
          single_line: true,
        },
        layoutRule(["answer"]),
      ],
      source: "code, rewards.py: both weigh 1",
    },
    {
      key: "rollout.prompts_per_step",
      value: 2,
      source: `${CODE}: 1 prompt a device, 2 accumulated; devices unknown`,
    },
    { key: "rollout.group_size", value: 8, source: CODE },
    { key: "rollout.temperature", value: 1, source: CODE },
    { key: "rollout.max_prompt_tokens", value: 512, source: CODE },
    { key: "rollout.max_new_tokens", value: 256, source: TRL },
    { key: "algorithm.kind", value: "grpo", source: "paper" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: TRL },
    { key: "algorithm.advantage.scale", value: "group_std", source: TRL },
    { key: "algorithm.advantage.std", value: "sample", source: TRL },
    { key: "algorithm.advantage.epsilon", value: 1e-4, source: TRL },
    { key: "algorithm.kl.coef", value: 0.04, source: TRL },
    { key: "algorithm.kl.estimator", value: "k3", source: TRL },
    { key: "algorithm.kl.place", value: "loss", source: TRL },
    { key: "algorithm.aggregation", value: "sequence", source: TRL },
    { key: "algorithm.epochs", value: 1, source: TRL },
    { key: "optimizer.lr", value: 1e-6, source: TRL },
    {
      key: "optimizer.schedule",
      value: "linear",
      source: "default of the code's trainer: to 0, without warm-up",
    },
    { key: "optimizer.weight_decay", value: 0, source: "default of the code's trainer" },
    { key: "optimizer.clip_norm", value: 1, source: "default of the code's trainer" },
  ],
  pitfalls: [
    "A bare option earns the accuracy point without a tag, a tag with a line break inside earns none: compare reward/part/accuracy and reward/part/format.",
    "Case counts: Motorboat is not motorboat.",
    "A guess among four options is right in a quarter of the cases, so groups that are all wrong are rare, and the advantage of a lone lucky guess is large: group/equal_rewards.",
    "Once the tags are learnt the format point is the same for all and drops out of the advantage.",
    "Report the split by kind of question (sound, music, speech): gains differ, so data.eval.slices.",
  ],
};
