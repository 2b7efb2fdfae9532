/** Open-RS: GRPO for a 1.5B reasoner on four cards in a day, with a cosine of the length in the place of accuracy. */
import type { Method } from "./method.ts";

const YAML = "code, recipes/grpo.yaml";
const TRL = "default of TRL at that time, not overridden";

export const openRs: Method = {
  name: "open-rs",
  title: "Reinforcement Learning for Reasoning in Small LLMs: What Works and What Doesn't (Open-RS3)",
  summary: "GRPO on a distilled 1.5B model: a closing tag, and right answers worth less the longer they are",
  references: [
    "arXiv:2503.16219 (March 2025): three experiments; their settings by a reader's note on version 2",
    "code: github.com/knoveleng/open-rs, src/open_r1/rewards.py, grpo.py and recipes/grpo.yaml",
  ],
  equations: [
    "R = 1.0 format + 2.0 cosine",
    "format = 1 if the text holds exactly one '\\n</think>\\n', else 0",
    "cosine, L characters of the completion, M = 3584, c = cos(pi L / M):",
    "  right: 0.5 + 0.5 (1 - 0.5) (1 + c)       1 at L = 0, 0.5 at M",
    "  wrong: -0.5 + 0.5 (0 + 0.5) (1 + c)      0 at L = 0, -0.5 at M: as the training script has it",
    "  the function's own defaults are the reverse for wrong ones, -1 at L = 0 and -0.5 at M, as the paper says it",
    "  L is not clamped: beyond M the cosine turns back up",
    "A_i = (R_i - mean_group) / (std_group + 1e-4), ddof 1",
    "loss = mean per completion, then over completions, of -min(ratio A, clip(ratio, 0.8, 1.2) A) + 0.04 k3",
    "",
    "Experiment 1 and 2 have accuracy (1 or 0) in the place of cosine, weight 1; this recipe is experiment 3.",
  ],
  settings: [
    {
      key: "rewards",
      value: [
        { kind: "math", weight: 0, extract: "last-boxed" },
        { kind: "tag-format", name: "format", tags: [], strings: ["\n</think>\n"] },
        {
          kind: "cosine-length",
          name: "cosine",
          weight: 2,
          unit: "chars",
          max_len: 3584,
          right: [1, 0.5],
          wrong: [0, -0.5],
          clamp: false,
        },
      ],
      source:
        "code, rewards.py and recipes/grpo.yaml (weights 1 and 2); experiment 3 sets cosine_max_len 3584",
    },
    {
      key: "rollout.prompts_per_step",
      value: 12,
      source: `${YAML}: 3 processes x 6 rows x 4 accumulated / 6`,
    },
    { key: "rollout.group_size", value: 6, source: YAML },
    { key: "rollout.temperature", value: 0.7, source: YAML },
    { key: "rollout.max_prompt_tokens", value: 512, source: YAML },
    { key: "rollout.max_new_tokens", value: 3584, source: YAML },
    { key: "algorithm.kind", value: "grpo", source: "paper: GRPO" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: TRL },
    { key: "algorithm.advantage.scale", value: "group_std", source: TRL },
    { key: "algorithm.advantage.std", value: "sample", source: TRL },
    { key: "algorithm.advantage.epsilon", value: 1e-4, source: TRL },
    { key: "algorithm.clip.low", value: 0.2, source: TRL },
    { key: "algorithm.clip.high", value: 0.2, source: TRL },
    { key: "algorithm.kl.coef", value: 0.04, source: TRL },
    { key: "algorithm.kl.estimator", value: "k3", source: TRL },
    { key: "algorithm.kl.place", value: "loss", source: TRL },
    { key: "algorithm.aggregation", value: "sequence", source: TRL },
    { key: "algorithm.epochs", value: 1, source: TRL },
    { key: "optimizer.lr", value: 1e-6, source: YAML },
    { key: "optimizer.schedule", value: "cosine", source: YAML },
    { key: "optimizer.final_lr_share", value: 0.1, source: `${YAML}: min_lr_rate` },
    { key: "optimizer.warmup_steps", value: 50, source: `${YAML}: a tenth of 500 steps` },
    { key: "optimizer.weight_decay", value: 0, source: TRL },
    { key: "optimizer.clip_norm", value: 1, source: TRL },
    { key: "run.checkpoint_every", value: 50, source: YAML },
  ],
  pitfalls: [
    "It peaks after 50 to 100 steps and falls apart by 150 to 200 (experiments 1 and 2: the KL jumps, other languages appear). Choose the checkpoint by eval.csv; watch policy/kl.",
    "Wrong answers: the paper says that long ones are punished less, the script punishes them more. wrong: [-1, -0.5] is the paper's sentence.",
    "Characters, not tokens, and unclamped: a completion 1.5 times max_len long earns what one of half max_len does. clamp: true closes that; unit: tokens counts what generation costs.",
    "The length of right completions only matters within a group: where all are right it is all that is left, and std blows it up.",
    "A gold answer that cannot be read scores 1 in the code, which takes the sample out of the comparison; here it is a failed reward (no score, max_error_share).",
  ],
};
