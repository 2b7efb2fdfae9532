import { z } from "zod";
import { covariances, drawnBetween } from "../covariance.ts";
import { definePolicyLoss } from "./kind.ts";

/**
 * The clipped surrogate without some of the tokens whose logprob and advantage go together most, which are those that make
 * the entropy fall: a share of all, drawn among the tokens whose covariance lies between two bounds.
 */
export const clipCov = definePolicyLoss({
  kind: "clip-cov",
  title: "Clip-Cov",
  summary: "the clipped surrogate without a share of the tokens of high covariance",
  source: "arXiv:2505.22617 eq. 10 to 12",
  clips: true,
  options: z.strictObject({
    kind: z.literal("clip-cov"),
    share: z
      .number()
      .gt(0)
      .max(1)
      .default(2e-4)
      .describe("tokens that lose their gradient / tokens of the update, at least one"),
    above: z.number().default(1).describe("they are drawn among tokens whose covariance is above this"),
    below: z.number().default(5).describe("and below this (verl's clip_cov_lb and clip_cov_ub)"),
  }),
  select: {
    drop: true,
    of: (tokens, { share, above, below }, draw) =>
      drawnBetween(covariances(tokens), { share, above, below }, draw),
  },
});
