/** Rules about environments: what episodes can be trained by, and on which data. */
import { algorithmOf, algorithms } from "../algorithms/kinds.ts";
import { leafSets } from "../data/dataset-options.ts";
import type { Rule } from "./rules.ts";

const environmentAbsent: Rule = ({ environment, data, rewards }, { report, written }) => {
  if (environment !== undefined || written("environment")) return;
  const fix = "add environment, such as `environment: { kind: guess }`";
  for (const { at, set } of leafSets(data)) {
    if (set.kind !== "episodes") continue;
    const reason = "its rows are seeds, of which an environment makes problems, and there is none";
    report({ rule: "episodes_alone", path: at.join("."), uses: ["environment"], reason, fix });
  }
  const index = rewards?.findIndex(({ kind }) => kind === "environment") ?? -1;
  if (index >= 0) {
    const reason = "there is no environment that could reward";
    report({ rule: "environment_reward", path: `rewards.${index}.kind`, uses: ["environment"], reason, fix });
  }
};

const episodesLearnt: Rule = ({ environment, algorithm, rollout }, { report }) => {
  if (environment === undefined) return;
  if (algorithm && algorithmOf(algorithm).samples && !algorithmOf(algorithm).episodes) {
    const able = algorithms.filter(({ episodes }) => episodes).map(({ kind }) => kind);
    report({
      rule: "environment_algorithm",
      path: "algorithm.kind",
      uses: ["environment"],
      reason: `${algorithmOf(algorithm).title} does not know turns`,
      fix: `use ${able.join(" or ")}`,
    });
  }
  if (rollout?.mode_samples !== undefined) {
    const reason = "which turn of an episode should think is not said";
    const fix = "remove it, or the environment";
    report({ rule: "environment_modes", path: "rollout.mode_samples", uses: ["environment"], reason, fix });
  }
};

const discount: Rule = ({ environment }, { report, written }) => {
  if (environment?.credit !== "outcome" || !written("environment.gamma") || environment.gamma === 1) return;
  const reason = "credit outcome sums the rewards of all turns as they are";
  const fix = "use credit: turn-discount, or remove gamma";
  report({ rule: "environment_gamma", path: "environment.gamma", uses: ["environment.credit"], reason, fix });
};

export const environmentRules: readonly Rule[] = [environmentAbsent, episodesLearnt, discount];
