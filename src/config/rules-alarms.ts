/** Rules about alarms that a run is to stop on. They look at all stages: one alarm may belong to the second stage alone. */
import { algorithmOf } from "../algorithms/kinds.ts";
import { alarmsOf } from "../run/alarm-kinds.ts";
import type { Fault, KeyPath, Origin } from "./faults.ts";
import type { RecipeStage } from "./load.ts";

/** @param origins of each stage, where a value was written */
export function alarmFaults(
  stages: readonly RecipeStage[],
  origins: readonly ((path: KeyPath) => Origin)[],
): Fault[] {
  const possible = new Set(
    stages.flatMap(({ recipe }) =>
      recipe.run.alarms ? alarmsOf(algorithmOf(recipe.algorithm)).map(({ name }) => name) : [],
    ),
  );
  const titles = [...new Set(stages.map(({ recipe }) => algorithmOf(recipe.algorithm).title))].join(" and ");
  const faults: Fault[] = [];
  const said = new Set<string>();
  for (const [stage, { recipe }] of stages.entries()) {
    for (const [index, name] of (recipe.run.stop_on ?? []).entries()) {
      if (possible.has(name) || said.has(name)) continue;
      said.add(name);
      const path = ["run", "stop_on", index];
      const off = stages.every(({ recipe: { run } }) => !run.alarms);
      faults.push({
        code: "rule",
        rule: "stop_on",
        path,
        value: name,
        origin: origins[stage]!(path),
        reason: off ? "run.alarms is false, so no alarm is ever raised" : `${titles} cannot raise it`,
        fix: off ? "remove run.alarms, or remove stop_on" : "remove it",
      });
    }
  }
  return faults;
}
