/** LASER-DE: LASER-D that also pays wrong completions for thinking on. */
import { laserReferences, laserTraining } from "./laser.ts";
import { adaptiveTargets, laserDEquations, laserDPitfalls, laserDSetting } from "./laser-d.ts";
import type { Method } from "./method.ts";

export const laserDE: Method = {
  name: "laser-de",
  title: "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping (LASER-DE)",
  summary:
    "LASER-D whose wrong completions earn the bonus for being long, so that hard problems are explored",
  references: laserReferences,
  equations: [
    "R(x, y) = C(y) + alpha [right] [L <= L_A(d)] + alpha [wrong] [L > L_A(d)] [no loop],  C as in recipe laser",
    "  (shaping laser-d, wrong_long: true)",
    "[no loop]: code: a detector of repeated token n-grams. STAND-IN of rlpt: its parameters were not read; a loop is",
    "  an n-gram of 1 to 30 words 10 times in a row, or a word of 120 characters",
    ...laserDEquations,
    "advantages and loss as in recipe laser; evaluations use C",
  ],
  settings: [laserDSetting({ ...adaptiveTargets, wrong_long: true }), ...laserTraining],
  pitfalls: [
    ...laserDPitfalls,
    "A long wrong completion (0) beats a short wrong one (-0.5): where nearly all are wrong, length alone is learnt. Watch shaping/long_wrong against group/equal_rewards.",
  ],
};
