/** No-Thinking: the prompt asks for the label alone, and only the exact string is rewarded. */
import { clsRlReferences, clsRlTraining, containsLabel } from "./cls-rl.ts";
import type { Method } from "./method.ts";

export const noThinking: Method = {
  name: "no-thinking",
  title: "No-Thinking-CLS-RL (later No-Thinking-RFT)",
  summary: "the label alone, rewarded only when the completion is exactly that string",
  references: clsRlReferences,
  equations: [
    "R_i = 1 if the completion, its end token left away, is the label character for character; else 0",
    "no trimming, no lower-casing, no tag removal, no format reward",
    "advantages, KL, loss, optimizer: as recipe cls-rl",
    "evaluation: the label is contained in the output",
  ],
  settings: [
    {
      key: "prompt.template",
      value: "{prompt}\n Please directly output the answer.",
      source:
        "code, training script (the paper prints no newline; the code evaluates with `answer name` on one line)",
    },
    {
      key: "rewards",
      value: [
        { kind: "exact", name: "accuracy", extract: "whole", trim: false, correct: false },
        {
          kind: "exact",
          name: "near",
          extract: "whole",
          trim: true,
          ignore_case: true,
          weight: 0,
          correct: false,
        },
        containsLabel,
      ],
      source:
        "code: strict equality; near (equal once trimmed and lower-cased) and contains (the code's evaluation) are measured only",
    },
    ...clsRlTraining,
  ],
  pitfalls: [
    "any preamble scores 0: where the base never says a bare label training cannot start; watch group/all_wrong and reward/part/accuracy",
    "synonyms, plurals and case are punished: reward/part/near against reward/part/accuracy is the near-miss rate",
    "tasks that need several steps still need thoughts (MathVista 7B: 59.1 against 64.6; chain in the laboratory)",
    "for labels with underscores set underscores: true on the accuracy part (the code's Pets variant)",
  ],
};
