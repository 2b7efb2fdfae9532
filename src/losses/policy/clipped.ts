import { z } from "zod";
import { definePolicyLoss } from "./kind.ts";

/** L = -min(r A, clip(r, 1 - low, 1 + high) A), with dual clip max(L', dual A) where A < 0: clipped-policy.ts. */
export const clipped = definePolicyLoss({
  kind: "clipped",
  title: "PPO, GRPO, DAPO",
  summary: "the clipped surrogate, with the bounds of algorithm.clip",
  source: "arXiv:1707.06347 eq. 7; bounds apart: DAPO, arXiv:2503.14476 eq. 10; dual: arXiv:1912.09729 eq. 5",
  options: z.strictObject({ kind: z.literal("clipped") }),
  clips: true,
});
