/** LASER-D: LASER with a target length for each band of difficulty, which follows what the policy can do. */
import { laserPitfalls, laserReferences, laserTraining } from "./laser.ts";
import type { Method, Setting } from "./method.ts";

export const adaptiveTargets = {
  kind: "laser-d",
  alpha: 0.5,
  mode: "reward",
  target_tokens: 4096,
  longest_tokens: 16384,
  interval: 1024,
  round: "ceil",
  monitor: { every: 20, prompts: 500, samples: 8 },
};

export const laserDEquations: readonly string[] = [
  "difficulty d of a prompt, from its own G completions: easy at least 2/3 right, hard fewer than 1/3, else medium",
  "L_A(d), every 20 steps, from 8 completions each of 500 training prompts, by the prompts' bands:",
  "  ECR_d(l) = P(L <= l) |C_d|,  |C_d| the least number of right ones in the band: 6, 3, 1 of 8 (round: ceil)",
  "  L_A(d) = the smallest l of L_T, L_T + I, ..., 16384 with ECR_d(l) >= 1; none: the longest completion",
  "  before the first look: L_T",
];

export const laserDSetting = (value: Record<string, unknown>): Setting => ({
  key: "shaping",
  value: [value],
  source:
    "paper, sections 4 and 6: targets from 4096 in steps of 1024; code: alpha, a look every 20 steps at 500 rows",
});

export const laserDPitfalls: readonly string[] = [
  ...laserPitfalls,
  "Targets cost samples: a look takes 8 completions of each monitored prompt. Watch shaping/target/{band}; one that stays at the longest means that the band is seldom right.",
  "The code's monitor bins the other way round at the edges (1/3 is hard, 2/3 medium) and rounds |C| down (5, 2, 1); round: floor is the latter.",
  "A group decides its band by 8 completions, so the same prompt changes bands by chance.",
];

export const laserD: Method = {
  name: "laser-d",
  title: "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping (LASER-D)",
  summary: "LASER with a target length by difficulty that is measured anew while the policy learns",
  references: laserReferences,
  equations: [
    "R(x, y) = C(y) + [right] alpha [L <= L_A(d)],  C as in recipe laser (shaping laser-d)",
    ...laserDEquations,
    "advantages and loss as in recipe laser; evaluations use C",
  ],
  settings: [laserDSetting(adaptiveTargets), ...laserTraining],
  pitfalls: laserDPitfalls,
};
