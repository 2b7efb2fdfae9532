import { z } from "zod";
import { optionUnion } from "../lib/option-union.ts";
import type { RewardKind } from "./define.ts";
import { rewardKinds } from "./kinds.ts";

export const rewardPartOptions = optionUnion(rewardKinds);

export type RewardSpec = z.infer<typeof rewardPartOptions>;

/** The name under which a part is logged. */
export function partName(spec: Pick<RewardSpec, "kind" | "name">): string {
  return spec.name ?? spec.kind;
}

const byKind = new Map(rewardKinds.map((kind) => [kind.kind, kind]));

/** The declaration behind a part. */
export function kindOf({ kind }: Pick<RewardSpec, "kind">): RewardKind<string, z.ZodType, RewardSpec> {
  return byKind.get(kind) as unknown as RewardKind<string, z.ZodType, RewardSpec>;
}

/** Index of the part that decides `correct`: the one that says so, else the first that compares; -1: none does. */
export function decidingPart(specs: readonly RewardSpec[]): number {
  const named = specs.findIndex((spec) => "correct" in spec && spec.correct === true);
  if (named >= 0) return named;
  return specs.findIndex((spec) => kindOf(spec).judges && !("correct" in spec && spec.correct === false));
}

export function requiredNames(spec: Pick<RewardSpec, "requires">): readonly string[] {
  return spec.requires === undefined
    ? []
    : typeof spec.requires === "string"
      ? [spec.requires]
      : spec.requires;
}

/** The part list, with the rules between parts. */
export const rewardPartsOptions = z
  .array(rewardPartOptions)
  .min(1)
  .superRefine((specs, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const names = new Map<string, number>();
    let deciders = 0;
    specs.forEach((spec, index) => {
      const name = partName(spec);
      const earlier = names.get(name);
      if (earlier !== undefined) {
        fault(
          [index, spec.name === undefined ? "kind" : "name"],
          `part ${earlier} is called ${name} too; give this one a name of its own`,
        );
      }
      for (const required of requiredNames(spec)) {
        const other = specs[names.get(required) ?? -1];
        if (other !== undefined && kindOf(other).phase === "verdict") {
          fault(
            [index, "requires"],
            `${required} is a ${other.kind} part, which is worked out last; require another`,
          );
        }
        if (!names.has(required)) {
          const known = [...names.keys()].join(", ") || "none";
          fault(
            [index, "requires"],
            `${required} is not the name of an earlier part (${known}); order the parts or correct the name`,
          );
        }
      }
      if (!names.has(name)) names.set(name, index);
      if ("correct" in spec && spec.correct === true && ++deciders > 1) {
        fault([index, "correct"], "another part decides correctness already; leave it true on one part");
      }
      kindOf(spec).check?.(spec, (key, message) => fault([index, key], message));
    });
    specs.forEach((spec, index) => {
      if (kindOf(spec).phase === "verdict" && decidingPart(specs) < 0) {
        fault(
          [index, "kind"],
          `${spec.kind} must know whether the answer is right; add an exact, number, math or file part (weight: 0 only measures)`,
        );
      }
    });
  });

export const rewardOptions = z.strictObject({
  parts: rewardPartsOptions.describe("reward parts; the reward is their weighted sum"),
  max_error_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe(
      "the run stops when more than this share of a batch's completions failed to be scored. 0.1: one prompt in ten may have an unreadable gold answer, a faulty reward fails nearly all",
    ),
});
