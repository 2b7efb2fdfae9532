/** Rules about shaping: what compares completions of a group needs a group. */
import type { Rule } from "./rules.ts";

const groupLength: Rule = ({ shaping, rollout }, { report }) => {
  if (!shaping || !rollout || rollout.group_size >= 2) return;
  for (const [index, { kind }] of shaping.entries()) {
    if (kind !== "group-length") continue;
    report({
      rule: "shaping_group",
      path: `shaping.${index}.kind`,
      uses: ["rollout.group_size"],
      reason: "it compares a completion's length with the others of its group, and rollout.group_size is 1",
      fix: "use a group of 2 or more, or remove it",
    });
  }
};

export const shapingRules: readonly Rule[] = [groupLength];
