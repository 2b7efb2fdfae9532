/** Patho-R1: captions, chains of thought, then GRPO or DAPO on multiple choice over pictures. */
import { layoutRule } from "./cls-rl.ts";
import { dapo } from "./dapo.ts";
import type { Method } from "./method.ts";

const STAND_IN =
  "default of rlpt, a stand-in: the repository has no code of this stage, and the paper was not read";
/** What makes DAPO of GRPO, beside the overlong shaping and with sizes of its own. */
const DAPO_KEYS = ["algorithm.clip.low", "algorithm.clip.high", "algorithm.kl.coef", "algorithm.aggregation"];

export const pathoR1: Method = {
  name: "patho-r1",
  title: "Patho-R1: A Multimodal Reinforcement Learning-Based Pathology Expert Reasoner",
  summary:
    "multiple choice over pictures after a thought: layout and letter, by DAPO or GRPO (settings are stand-ins)",
  references: [
    "arXiv:2505.11404 (May 2025): the abstract",
    "github.com/Wenchuan-Zhang/Patho-R1: README with its prompts; evaluation and data extraction, no reinforcement learning",
  ],
  equations: [
    "Three stages: 1. language-model loss on 3.5 million captions; 2. supervised chains of thought, 500 thousand; 3. this recipe",
    "STAND-IN, rewards: R = format + accuracy",
    "  format = 1 if the whole completion is <think>...</think>, then <answer>...</answer>, else 0",
    "  accuracy = 1 if the first lone letter of the answer block is the gold one, else 0: `C or D` is C (strict: true: no answer)",
    "The DAPO arm, which these settings are: groups of equal rewards redrawn, clip 0.2 and 0.28, mean over tokens, no KL,",
    "  and shaping overlong: R += min(-(L - (L_max - B)) / B, 0)",
    "The GRPO arm: algorithm.dynamic_sampling: null, algorithm.clip.high: 0.2, algorithm.aggregation: sequence, shaping: []",
    "Whether the paper has both as alternatives or in a row, its abstract does not say.",
  ],
  settings: [
    {
      key: "prompt.template",
      value:
        "{prompt} Think step by step inside <think> </think>, then give the letter of the answer inside <answer> </answer>.",
      source: "code, README: what its system prompt asks for, in our words",
    },
    {
      key: "rewards",
      value: [
        { kind: "choice", name: "accuracy", letters: "ABCD", strict: false, correct: true },
        layoutRule(["think", "answer"]),
      ],
      source: STAND_IN,
    },
    {
      key: "shaping",
      value: [{ kind: "overlong", max_tokens: 1024, buffer: 256, factor: 1 }],
      source: `recipe dapo, lengths are ${STAND_IN}`,
    },
    { key: "rollout.group_size", value: 8, source: STAND_IN },
    { key: "rollout.temperature", value: 1, source: STAND_IN },
    { key: "rollout.max_new_tokens", value: 1024, source: STAND_IN },
    { key: "algorithm.kind", value: "grpo", source: "paper, abstract: GRPO and DAPO" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: "recipe dapo" },
    { key: "algorithm.advantage.scale", value: "group_std", source: "recipe dapo" },
    { key: "algorithm.dynamic_sampling.oversampling", value: 4, source: STAND_IN },
    ...dapo.settings.filter(({ key }) => DAPO_KEYS.includes(key)),
    { key: "optimizer.lr", value: 1e-6, source: STAND_IN },
  ],
  pitfalls: [
    "Stage 3 sharpens what stages 1 and 2 know: report pass@k of the start (eval.samples), or reinforcement learning is credited for nothing.",
    "One in four is right by chance, so few groups are all wrong: the filter drops mainly those that are all right, late in training; group/drawn.",
    "The layout is near 1 after stage 2 and then the same for all; within a group that differs in it, std scales accuracy down. Weigh it less, or drop it: reward/part/format.",
    "An answer in words without its letter earns nothing, and `A plasma cell` reads as A: strict: true where the prompt asks for the letter alone.",
  ],
};
