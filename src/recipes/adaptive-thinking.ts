/** Adaptive-Thinking: one prompt, two layouts, both worth the same. */
import {
  clsRlAccuracy,
  clsRlReferences,
  clsRlTraining,
  containsLabel,
  contradiction,
  layoutRule,
} from "./cls-rl.ts";
import type { Method } from "./method.ts";

/** Shares of the two modes, measured only: what neither matches is malformed. */
const modes = [
  { ...layoutRule(["think", "answer"]), name: "mode_think", weight: 0 },
  { ...layoutRule(["answer"]), name: "mode_direct", weight: 0 },
];

export const adaptiveThinking: Method = {
  name: "adaptive-thinking",
  title: "Adaptive-Thinking",
  summary: "the model chooses between thinking and answering at once; both layouts earn the same",
  references: [...clsRlReferences, "appendix E.3; the paper's repository has no code for it"],
  equations: [
    "R_i = R_acc + R_fmt",
    "R_fmt = 1 if the whole completion matches <think>.*?</think>\\s*<answer>.*?</answer>, or <answer>.*?</answer>; else 0",
    "R_acc as in recipe cls-rl; a right thought and a right direct answer both earn 2",
    "mode: think if the first pattern matches, direct if the second does, else malformed",
    "no bonus for a mode, no balance, no length term: only accuracy (and the KL) moves the choice",
    "advantages, KL, loss, optimizer: as recipe cls-rl",
  ],
  settings: [
    {
      key: "prompt.template",
      value: [
        "{prompt}. Please first identify whether this problem requires intermediate thinking or calculation.",
        "If the problem requires thinking or calculation, output the thinking and calculation process inside <think> </think> tags and the final answer inside <answer> </answer> tags.",
        "If no thinking or calculation is required, directly output the final answer inside <answer> </answer> tags.",
        "Your output should follow one of two cases: (1) '<answer> ... </answer>', (2) '<think> ... </think> <answer> ... </answer>'.",
      ].join(" "),
      source: "paper, appendix E.3",
    },
    {
      key: "rewards",
      value: [
        clsRlAccuracy,
        layoutRule([["think", "answer"], ["answer"]]),
        containsLabel,
        contradiction,
        ...modes,
      ],
      source:
        "paper, appendix E.3: both rewards as in CLS-RL; the patterns are a default of rlpt: the paper gives none",
    },
    ...clsRlTraining,
  ],
  pitfalls: [
    "it collapses to one mode per task (the paper: 0% or about 100% thinking): reward/part/mode_think and mode_direct",
    "once no group holds both modes the choice has no gradient left",
    "all right and well-formed: a group of both modes has advantage 0 everywhere",
  ],
};
