/** DIP-R1: think, look, answer, for crowded scenes. Its rewards are stand-ins: no public text at hand has their formulas. */
import type { Method } from "./method.ts";

const STAND_IN = "default of rlpt, a stand-in: not found in public texts";

export const dipR1: Method = {
  name: "dip-r1",
  title:
    "DIP-R1: Deep Inspection and Perception with RL Looking Through and Understanding Complex Scenes (stand-in rewards)",
  summary: "STAND-IN: boxes after a look at what is uncertain; layout, look and precision-recall by GRPO",
  references: [
    "arXiv:2505.23179 (v1 May 2025, v2 October 2025): both abstracts and summaries by others; no code was found",
  ],
  equations: [
    "known: R = layout + look + accuracy; the loss is GRPO's, summed over all tokens of the group and divided by their number",
    "STAND-IN, layout: 1 if <think>, <look> and <answer> stand once each, in this order, none of them empty; else 0",
    "STAND-IN, look: mean of 4 p (1 - p) over the cells that <look> names, p the share of the group whose answers' boxes cover the",
    "  cell, the completion's own left out; no cell: 0. The paper's is guided by a variance, of what was not found",
    "STAND-IN, accuracy: 0.5 precision + 0.5 recall of the answer's boxes, matched one to one from an overlap of .5; no box: 0.",
    "  The paper's weights and threshold were not found",
    "A_i = (R_i - mean_group) / (std_group + 1e-4)",
    "loss = sum over tokens of -min(ratio A, clip(ratio, 0.8, 1.2) A) + 0.04 k3, divided by the tokens",
  ],
  settings: [
    {
      key: "prompt.template",
      value:
        "{prompt} Understand the scene inside <think> </think>, name the cells that are hard to tell inside <look> </look>, then give every box as [x1, y1, x2, y2] inside <answer> </answer>.",
      source: "paper, abstract: the three steps; the sentence is a stand-in of rlpt",
    },
    {
      key: "rewards",
      value: [
        {
          kind: "box-precision-recall",
          name: "accuracy",
          iou: 0.5,
          precision_weight: 0.5,
          max_boxes: 100,
          correct: true,
        },
        {
          kind: "tag-format",
          name: "format",
          tags: ["think", "look", "answer"],
          nonempty: ["think", "look", "answer"],
        },
        { kind: "look-uncertainty", name: "look", grid: 8, leave_own_out: true },
      ],
      source: `${STAND_IN}; weights 1, 1, 1`,
    },
    { key: "rollout.group_size", value: 8, source: STAND_IN },
    { key: "rollout.temperature", value: 1, source: STAND_IN },
    { key: "algorithm.kind", value: "grpo", source: "paper" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: "paper" },
    { key: "algorithm.advantage.scale", value: "group_std", source: "paper" },
    { key: "algorithm.clip.low", value: 0.2, source: STAND_IN },
    { key: "algorithm.clip.high", value: 0.2, source: STAND_IN },
    { key: "algorithm.kl.coef", value: 0.04, source: STAND_IN },
    { key: "algorithm.kl.place", value: "loss", source: "paper: beta times KL is taken off" },
    { key: "algorithm.aggregation", value: "token", source: "paper: by all tokens of the group" },
  ],
  pitfalls: [
    "The look needs disagreement: where all completions agree it is 0 for all, and a policy may go on disagreeing to be paid. Lower its weight and watch reward/part/accuracy.",
    "Boxes are held down by precision alone: 16 boxes with all 4 right earn .625. max_boxes is the bound.",
    "A completion is a G-th of its group: with leave_own_out: false it makes the disagreement that it names.",
    "Set grid and cell so that the cells cover the picture; cells outside have p = 0 and earn nothing.",
  ],
};
