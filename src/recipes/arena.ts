/** ARENA: a generator over given passages that names the useful ones, analyses them, and answers. */
import type { Method } from "./method.ts";

const YAML = "code, configs/grpo.yaml";
const TRL = "code: its fork of TRL";

const answer = { kind: "exact", extract: "first-answer-tag", normalise: true, answers: "answers" };

export const arena: Method = {
  name: "arena",
  title:
    "Effective and Transparent RAG: Adaptive-Reward Reinforcement Learning for Decision Traceability (ARENA)",
  summary:
    "GRPO on answers from given passages: layout, answer, named passages, and a bonus of 10 for all at once",
  references: [
    "arXiv:2505.13258 (May 2025); of the paper the abstract was read",
    "code: github.com/ren258/ARENA, src/evaluate.py, src/rewards.py, src/data_generator.py, configs/grpo.yaml, trl/trainer/grpo_trainer.py",
  ],
  equations: [
    "completion: <relevance>[1,5]</relevance> <analysis>...</analysis> <answer>...</answer>, nothing else, no `<` in a block",
    "R = format + accuracy + relevance + bonus, in 0..13",
    "  format    1 if laid out like this, else 0",
    "  accuracy  1 if the answer is a gold one without case, punctuation, articles and double spaces, else 0",
    "  relevance 1 if the ids, sorted and without doubles, are the gold ones; 0.5 if some are; else 0, and where it is no JSON",
    "  bonus     10 if the three are 1",
    "A_i = (R_i - mean_group) / (std_group + 1e-4), ddof 1",
    "loss = mean over all tokens of -min(ratio A, clip(ratio, 0.8, 1.2) A) + 0.04 k2,  k2 = (log pi_ref - log pi)^2 / 2",
    "ids are 1-based places in the list of passages that the prompt shows",
  ],
  settings: [
    {
      key: "rewards",
      value: [
        { kind: "tag-format", name: "format", tags: ["relevance", "analysis", "answer"], plain: true },
        { ...answer, name: "accuracy" },
        { kind: "id-list", name: "relevance", tag: "relevance", column: "supporting_ids", partial: 0.5 },
        {
          ...answer,
          name: "bonus",
          weight: 10,
          correct: false,
          requires: ["format", "accuracy", "relevance"],
        },
      ],
      source: "code, src/rewards.py and src/evaluate.py: all weigh 1",
    },
    {
      key: "rollout.prompts_per_step",
      value: 256,
      source: `${YAML}: 7 processes x 4 rows x 64 accumulated / 7`,
    },
    { key: "rollout.group_size", value: 7, source: YAML },
    { key: "rollout.max_new_tokens", value: 256, source: YAML },
    { key: "algorithm.kind", value: "grpo", source: "paper" },
    { key: "algorithm.advantage.std", value: "sample", source: TRL },
    { key: "algorithm.advantage.epsilon", value: 1e-4, source: TRL },
    { key: "algorithm.clip.low", value: 0.2, source: TRL },
    { key: "algorithm.clip.high", value: 0.2, source: TRL },
    { key: "algorithm.kl.coef", value: 0.04, source: TRL },
    { key: "algorithm.kl.estimator", value: "k2", source: `${TRL}, changed from k3: "stable KL"` },
    { key: "algorithm.kl.place", value: "loss", source: TRL },
    { key: "algorithm.aggregation", value: "token", source: TRL },
    { key: "algorithm.epochs", value: 1, source: TRL },
    { key: "optimizer.lr", value: 3e-6, source: YAML },
    { key: "optimizer.schedule", value: "cosine", source: YAML },
    { key: "optimizer.warmup_steps", value: 10, source: `${YAML}: a tenth of one epoch, 98 steps` },
    { key: "optimizer.weight_decay", value: 0, source: "default of the code's trainer" },
    { key: "optimizer.clip_norm", value: 1, source: "default of the code's trainer" },
  ],
  pitfalls: [
    "Once one completion of a group has the bonus, all others have negative advantages, those that are partly right among them: watch reward/part/bonus against the others.",
    "Gold ids are places in the list shown, from 1 on. Data that shuffles passages has to count after it.",
    "Naming every passage earns half a point: watch the share of 0.5 in reward/part/relevance.",
    "The analysis is not looked at: it may be empty or of no use. Read samples.jsonl.",
  ],
};
