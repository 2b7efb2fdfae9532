/** CLS-RL: few-shot image classification by GRPO with a format and an accuracy rule, straight on the instruct model. */
import type { Method, Setting } from "./method.ts";

const PAPER = "arXiv:2503.16188";
const CODE = "code, minglllli/CLS-RL";

/** The loss, the sampler and the optimizer: the same for CLS-RL, No-Thinking, Think-After-Answer, Adaptive-Thinking. */
export const clsRlTraining: readonly Setting[] = [
  { key: "rollout.prompts_per_step", value: 16, source: "paper and code: 8 GPUs x 1 prompt x 2 accumulated" },
  {
    key: "rollout.group_size",
    value: 4,
    source: "paper, D.2: classification and SAT (8 for the 2B model on math and puzzles)",
  },
  {
    key: "rollout.temperature",
    value: 1,
    source: "code: fixed in the trainer, the library's 0.9 is not read",
  },
  {
    key: "rollout.top_k",
    value: 50,
    source: "default of transformers' generation, which the code leaves as it is",
  },
  { key: "rollout.max_new_tokens", value: 1024, source: "paper and code" },
  { key: "rollout.max_prompt_tokens", value: 1024, source: "paper and code (2048 on StanfordCars)" },
  { key: "algorithm.kind", value: "grpo", source: "paper, section 3" },
  { key: "algorithm.advantage.baseline", value: "group_mean", source: "code" },
  { key: "algorithm.advantage.scale", value: "group_std", source: "code" },
  { key: "algorithm.advantage.std", value: "sample", source: "code: torch.std, which divides by G - 1" },
  { key: "algorithm.advantage.epsilon", value: 1e-4, source: "code" },
  {
    key: "algorithm.aggregation",
    value: "sequence",
    source: "code: mean over a completion's tokens, then over completions",
  },
  { key: "algorithm.kl.coef", value: 0.04, source: "paper, and the default of TRL 0.14 in the code" },
  { key: "algorithm.kl.estimator", value: "k3", source: "code" },
  {
    key: "algorithm.kl.place",
    value: "loss",
    source: "code; the reference is the initial model, never refreshed",
  },
  {
    key: "algorithm.epochs",
    value: 1,
    source: "code: one pass per rollout, so the ratio is 1 and nothing clips",
  },
  { key: "algorithm.minibatches", value: 1, source: "code: as above" },
  { key: "optimizer.lr", value: 1e-6, source: "paper" },
  {
    key: "optimizer.schedule",
    value: "linear",
    source: "default of the code's trainer: to 0, without warm-up",
  },
  { key: "optimizer.beta1", value: 0.9, source: "default of the code's trainer" },
  { key: "optimizer.beta2", value: 0.999, source: "default of the code's trainer" },
  { key: "optimizer.weight_decay", value: 0, source: "default of the code's trainer" },
  { key: "optimizer.clip_norm", value: 1, source: "default of the code's trainer" },
  {
    key: "eval.temperature",
    value: 1,
    source: "paper; the code decodes greedily on CVBench, so report `rlpt eval --temperature 0` too",
  },
];

/** R_acc of CLS-RL: the first answer block on one line, else the whole completion, both trimmed and lower-cased. */
export const clsRlAccuracy = {
  kind: "exact",
  name: "accuracy",
  extract: ["first-answer-tag", "whole"],
  single_line: true,
  ignore_case: true,
  correct: false,
};

/** What evaluations count: the label is, or stands in, the answer block, else the output. Weighs nothing. */
export const containsLabel = {
  kind: "exact",
  name: "contains",
  weight: 0,
  match: "contains",
  extract: ["first-answer-tag", "whole"],
  ignore_case: true,
  underscores: true,
  correct: true,
};

/** Does the think block speak for another candidate than the answer? Measured only. */
export const contradiction = { kind: "contradiction", name: "contradiction", weight: 0 };

/** A format rule as the paper's code writes it: a full match that lets tags be doubled. */
export function layoutRule(tags: readonly string[] | readonly (readonly string[])[]) {
  return { kind: "tag-format", name: "format", tags, once: false, prompt_opens: "never" };
}

export const clsRlReferences: readonly string[] = [
  "Ming Li et al., arXiv:2503.16188; first titled CLS-RL: Image Classification with Rule-Based Reinforcement Learning",
  "github.com/minglllli/CLS-RL at 0dc42e0, on TRL 0.14.0",
];

export const clsRl: Method = {
  name: "cls-rl",
  title: "CLS-RL (later Thinking-RFT)",
  summary: "few-shot classification with think and answer tags, rewarded for the layout and for the label",
  references: clsRlReferences,
  equations: [
    "for each prompt: G completions o_1..o_G from the current policy, R_i = R_acc + R_fmt in {0, 1, 2}",
    "R_fmt = 1 if the whole completion matches <think>.*?</think>\\s*<answer>.*?</answer> (dot matches newlines), else 0",
    "R_acc = 1 if the first <answer>(.*?)</answer> on one line, else the whole completion, trimmed and lower-cased, is the label",
    "A_i = (R_i - mean(R)) / (std(R) + 1e-4), std with G - 1, for every token of o_i",
    "k3_t = exp(ref_t - lp_t) - (ref_t - lp_t) - 1 against the initial model",
    "loss = mean_i mean_t [ -(ratio_t A_i - 0.04 k3_t) ], one optimizer step per rollout",
    "evaluation: the label is contained in the answer block, else in the output; H = 2 B N / (B + N) of averaged base B and new N",
  ],
  settings: [
    {
      key: "prompt.template",
      value:
        "{prompt}\n Please output the thinking process in <think> </think> and final answer in <answer> </answer> tags.",
      source: `${CODE}, training script (a newline, then a space; the paper prints it on one line)`,
    },
    {
      key: "rewards",
      value: [clsRlAccuracy, layoutRule(["think", "answer"]), containsLabel, contradiction],
      source: `${PAPER}, section 3, equal weights; contains: the code's evaluation, and contradiction are measured only`,
    },
    ...clsRlTraining,
  ],
  pitfalls: [
    "the code asks a symbolic checker first, which finds the year in `BMW M3 Coupe 2012` and grants any car of 2012: left out here; use a math part for tasks with numeric answers",
    "doubled answer blocks pass the format rule while accuracy reads the first: compare reward/part/format and reward/part/accuracy",
    "a bare label earns the accuracy point without any tag, and an answer block with a newline inside earns none",
    "length does not grow as in math; it drops abruptly while accuracy jumps: tokens/completion_mean",
    "rewards in {0, 1, 2} with G = 4 leave many groups without a gradient late in training: group/equal_rewards",
    "SFT on few shots can fall below zero-shot on new classes: evaluate base and new apart",
  ],
};
