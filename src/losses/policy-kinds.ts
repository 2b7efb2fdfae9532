/** Every policy loss. A new one is a file in policy/ and a line here. */
import type { z } from "zod";
import { optionUnion } from "../lib/option-union.ts";
import { cispo } from "./policy/cispo.ts";
import { clipCov } from "./policy/clip-cov.ts";
import { clipped } from "./policy/clipped.ts";
import { dppo } from "./policy/dppo.ts";
import { gmpo } from "./policy/gmpo.ts";
import { gspo } from "./policy/gspo.ts";
import type { PolicyLossKind } from "./policy/kind.ts";
import { klCov } from "./policy/kl-cov.ts";
import { sapo } from "./policy/sapo.ts";

export const policyLosses = [clipped, gspo, cispo, sapo, dppo, gmpo, clipCov, klCov] as const;

export const policyLossOptions = optionUnion(policyLosses);
export type PolicyLossOptions = z.infer<typeof policyLossOptions>;

/** What the loss of these options says of itself. */
export function policyLossOf({ kind }: Pick<PolicyLossOptions, "kind">): PolicyLossKind {
  const found = policyLosses.find((one) => one.kind === kind);
  if (found === undefined) throw new Error(`unknown policy loss ${kind}`);
  return found as unknown as PolicyLossKind;
}
