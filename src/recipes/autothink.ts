/** AutoThink: an R1-style model learns, in three stages of GRPO, for which problems thinking is worth its tokens. */
import type { Method, Setting } from "./method.ts";

const CODE = "code, main_ppo.py";
const TABLE = "paper, Distill-1.5B";

/** The question, and after it the ellipsis that makes an untrained model close the block now and then. */
const ELLIPSIS_TEMPLATE =
  "<｜User｜>{prompt} Let's think step by step and output the final answer within \\boxed{{}}." +
  "<｜Assistant｜><think>\n...\n";

function stage(
  index: number,
  name: string,
  steps: number,
  [prompts, tokens, minibatches]: readonly [number, number, number],
): Setting[] {
  const at = `stages.${index}`;
  const script = `code, train_stage${index + 1}.sh`;
  return [
    { key: `${at}.name`, value: name, source: "default of rlpt: named after what the stage is for" },
    { key: `${at}.steps`, value: steps, source: `${TABLE}: chosen by hand on convergence` },
    { key: `${at}.rollout.prompts_per_step`, value: prompts, source: script },
    { key: `${at}.rollout.max_new_tokens`, value: tokens, source: `paper, and ${script}` },
    {
      key: `${at}.algorithm.minibatches`,
      value: minibatches,
      source: `${script}: minibatches of 64 prompts`,
    },
  ];
}

export const autothink: Method = {
  name: "autothink",
  title: "Learning When to Think: Shaping Adaptive Reasoning in R1-Style Models via Multi-Stage RL",
  summary: "AutoThink: three stages of GRPO that teach when to think, from an ellipsis after <think>",
  references: [
    "arXiv:2505.10832 (v3)",
    "code: github.com/TU2021/AutoThink at be0bcb0, a fork of DeepScaleR on verl: scripts/train/train_stage{1,2,3}.sh, verl/verl/trainer/main_ppo.py and ppo/core_algos.py, deepscaler/rewards/math_reward.py; the formulas are the code's",
  ],
  equations: [
    "Mode: direct iff the completion starts with '</think>\\n\\n', or prompt and completion hold",
    "      '<think>\\n...\\n</think>\\n\\n'; else thinking. One line break only is thinking.",
    "",
    "1. Base reward (reward part mode-answer)",
    "     thinking: right +1, wrong 0        direct: right +2, wrong -1",
    "     no </think>, or no \\boxed{} after it: 0       direct, wrong and degenerate: -2",
    "   degenerate: an n-gram of 1 to 30 words 10 times in a row, or a word of 120 characters",
    "",
    "2. Length within a group, stage 3 (shaping group-length), right and wrong apart, both modes pooled",
    "     y_i = (L_i - mean L) / max(std L, 1e-6), std with ddof 1; parts of 2 or more",
    "     right: r += -1 + exp(-alpha y)     wrong: r += 1 - exp(-beta y)",
    "",
    "3. Balance over the batch, stage 1 (shaping mode-balance), z = share of thinking in all P * G completions",
    "     d_thinking = clip((z - gamma) lambda, 0, 1)       d_direct = clip((1 - z - gamma) lambda, 0, 1)",
    "     r <- (1 - d) r + d target;  targets: thinking right 0, wrong -1; direct right 1, wrong -2",
    "",
    "4. Advantage: A_i = (r_i - mean_group) / (std_group + 1e-6), ddof 1, the same for every token",
    "5. Loss: mean over all tokens of max(-A ratio, -A clip(ratio, 0.8, 1.2)) - 0.001 mean token entropy",
    "",
    "6. E-F1 = 2ab / (a + b), against the base with its standard prompt (std) and made to answer directly (no);",
    "     a = max(0, (Acc - Acc_std) / (Acc_std - Acc_no)), b = max(0, (Tok_std - Tok) / (Tok_std - Tok_no));",
    "     from the paper's numbers, which print no formula: rlpt report <run> --efficiency standard.csv,direct.csv",
    "",
    "Stage 1 keeps both modes alive (1, 3); stage 2 learns to answer rightly (1); stage 3 shortens (1, 2).",
    "Weights go from stage to stage, the optimizer starts anew. Evaluations use the base reward.",
  ],
  settings: [
    {
      key: "prompt.template",
      value: ELLIPSIS_TEMPLATE,
      source:
        "paper, section 3, and code: for training and evaluation; the begin token comes from the tokenizer",
    },
    { key: "prompt.chat", value: false, source: "default of rlpt: the template above is written out" },
    {
      key: "rewards",
      value: [
        {
          kind: "mode-answer",
          compare: "math",
          extract: "last-boxed",
          direct_opening: "</think>\n\n",
          thinking: { right: 1, wrong: 0 },
          direct: { right: 2, wrong: -1 },
          format_error: { thinking: 0, direct: 0 },
          degenerate: { enabled: true, value: -2, repeats: 10, longest: 30, word_chars: 120 },
        },
      ],
      source: "paper, section 4 (values); code, math_reward.py (format errors, degenerate text)",
    },
    ...stage(0, "balance", 220, [128, 8192, 2]),
    {
      key: "stages.0.shaping",
      value: [
        {
          kind: "mode-balance",
          gamma: 0.5,
          lambda: 2,
          targets: { thinking_right: 0, thinking_wrong: -1, direct_right: 1, direct_wrong: -2 },
        },
      ],
      source: `${CODE}: batch_balance_rate 0.5, penalty_slope 2, one threshold for both sides`,
    },
    ...stage(1, "accuracy", 440, [64, 16384, 1]),
    { key: "stages.1.shaping", value: [], source: "code, train_stage2.sh: gamma 1, which is off" },
    ...stage(2, "length", 130, [64, 24576, 1]),
    {
      key: "stages.2.shaping",
      value: [{ kind: "group-length", alpha: 0.05, beta: 0.05 }],
      source: "paper, and code, train_stage3.sh; gamma 1, which is off",
    },
    { key: "rollout.group_size", value: 8, source: "paper, and code" },
    { key: "rollout.temperature", value: 0.6, source: "code, in training too" },
    { key: "rollout.top_p", value: 1, source: "code" },
    { key: "rollout.top_k", value: 0, source: "code: -1, which is off" },
    { key: "rollout.max_prompt_tokens", value: 1024, source: "code" },
    { key: "algorithm.kind", value: "grpo", source: "paper, section 4" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: "code, core_algos.py" },
    { key: "algorithm.advantage.scale", value: "group_std", source: "code, core_algos.py" },
    { key: "algorithm.advantage.std", value: "sample", source: "code: torch.std" },
    { key: "algorithm.advantage.epsilon", value: 1e-6, source: "code, core_algos.py" },
    { key: "algorithm.clip.low", value: 0.2, source: "code, verl's default" },
    { key: "algorithm.clip.high", value: 0.2, source: "code, verl's default" },
    { key: "algorithm.kl.coef", value: 0, source: "code: the KL loss is on with coefficient 0" },
    { key: "algorithm.entropy_coef", value: 0.001, source: "code, verl's default, not overridden" },
    {
      key: "algorithm.aggregation",
      value: "token",
      source: "code: one mean over tokens; its sum over micro-batches without division is not copied",
    },
    { key: "algorithm.epochs", value: 1, source: "code" },
    { key: "optimizer.lr", value: 1e-6, source: "paper, and code" },
    { key: "optimizer.schedule", value: "constant", source: "code, without warm-up" },
    { key: "optimizer.beta1", value: 0.9, source: "code: PyTorch's default" },
    { key: "optimizer.beta2", value: 0.999, source: "code: PyTorch's default" },
    { key: "optimizer.weight_decay", value: 0.01, source: "code" },
    { key: "optimizer.clip_norm", value: 1, source: "code" },
    { key: "run.checkpoint_every", value: 10, source: "code" },
  ],
  pitfalls: [
    "One mode dies: base reward alone ends in thinking always; with alpha .05, beta 0 in never. Watch completion/thinking, shaping/pull_thinking, shaping/pull_direct, and group/both_modes: at 0 nothing brings the lost mode back.",
    "The format loophole: a direct answer without a box gets 0, more than a wrong one (-1). Watch mode/direct/unparsed; format_error.direct: -1 closes it.",
    "Reasoning moves after </think>. Watch mode/direct/tokens.",
    "gamma is no target share: the same threshold acts on both sides, so 0.2 still settles near one half, 0.8 goes to thinking always (paper, table 8).",
    "A right thought can have a negative advantage beside a direct answer. Watch mode/thinking/advantage_right.",
    "Accuracy dips in stage 1: judge after stage 2. Without stage 2, length rebounds in stage 3 (47.6 against 51.7 points).",
    "Stage 3 hurts models that are optimised already (DeepScaleR 57.3 -> 55.7). Watch eval.csv.",
    "A model that hardly reacts to the ellipsis (0.5% direct for Skywork) has no second mode to learn from.",
  ],
};
