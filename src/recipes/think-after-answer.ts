/** Think-After-Answer: the rationale stands after the answer, so the verified tokens are not conditioned on it. */
import { clsRlAccuracy, clsRlReferences, clsRlTraining, containsLabel, layoutRule } from "./cls-rl.ts";
import type { Method } from "./method.ts";

export const thinkAfterAnswer: Method = {
  name: "think-after-answer",
  title: "Think-After-Answer (TAA)",
  summary: "the answer first, then the reason: what thinking costs when it cannot help",
  references: [...clsRlReferences, "appendix E.2; the paper's repository has no code for it"],
  equations: [
    "R_i = R_acc + R_fmt",
    "R_fmt = 1 if the whole completion matches <answer>.*?</answer>\\s*<reason>.*?</reason> (dot matches newlines), else 0",
    "R_acc as in recipe cls-rl: the first answer block, else the whole completion, is the label",
    "advantages, KL, loss, optimizer: as recipe cls-rl",
  ],
  settings: [
    {
      key: "prompt.template",
      value:
        "{prompt} Please first output the answer in <answer> </answer> tags and then output a brief reasoning process in <reason> </reason> tags.",
      source: "paper, appendix E.2",
    },
    {
      key: "rewards",
      value: [clsRlAccuracy, layoutRule(["answer", "reason"]), containsLabel],
      source:
        "paper, appendix E.2: both rewards as in CLS-RL; the layout's pattern is a default of rlpt: the paper gives none",
    },
    ...clsRlTraining,
  ],
  pitfalls: [
    "the reason is still generated, so little time is saved (408 minutes against 599 in the paper)",
    "the reason is never verified and drifts: read samples.jsonl",
  ],
};
