/** Rules between fields. Each looks at a whole recipe and says which value is impossible, why, and what to write. */
import type { RuleSections } from "../algorithms/declaration.ts";
import { type AlgorithmOptions, algorithmOf } from "../algorithms/kinds.ts";
import type { RuleContext, RuleOf } from "../lib/rules.ts";
import type { Fault, KeyPath } from "./faults.ts";
import { dataRules } from "./rules-data.ts";
import { environmentRules } from "./rules-environment.ts";
import { limitRules } from "./rules-limits.ts";
import { modelPositions, modelRules } from "./rules-model.ts";
import { shapingRules } from "./rules-shaping.ts";
import { trainingRules } from "./rules-training.ts";
import type { RecipeInput } from "./schema.ts";
import { type MapNode, nodeAt, originAt, toValue } from "./source.ts";

export type Rule = RuleOf<RecipeInput>;

const rules: readonly Rule[] = [
  ...modelRules,
  ...dataRules,
  ...trainingRules,
  ...shapingRules,
  ...environmentRules,
  algorithmRules,
];

/** What the algorithm itself says. */
function algorithmRules(recipe: Partial<RecipeInput>, context: RuleContext): void {
  if (recipe.algorithm === undefined) return;
  for (const rule of algorithmOf(recipe.algorithm).rules)
    rule(recipe as Partial<RuleSections<AlgorithmOptions>>, context);
}

function parsePath(path: string): KeyPath {
  return path.split(".").map((key) => (/^\d+$/.test(key) ? Number(key) : key));
}

/** Is one path the other, or inside it? */
export function overlap(a: KeyPath, b: KeyPath): boolean {
  const length = Math.min(a.length, b.length);
  return a.slice(0, length).every((key, index) => String(key) === String(b[index]));
}

function valueAt(recipe: Partial<RecipeInput>, path: KeyPath): unknown {
  let value: unknown = recipe;
  for (const key of path) value = (value as Record<string | number, unknown> | undefined)?.[key];
  return value;
}

/** @param wrong paths of values that are faulty by themselves */
export function checkRules(recipe: Partial<RecipeInput>, tree: MapNode, wrong: readonly KeyPath[]): Fault[] {
  const faults: Fault[] = [];
  let known = wrong;
  const context: RuleContext = {
    written: (path) => nodeAt(tree, parsePath(path)) !== undefined,
    positions: () => (recipe.model === undefined ? null : modelPositions(recipe.model)),
    report(finding) {
      const path = parsePath(finding.path);
      const touched = [path, ...(finding.uses ?? []).map(parsePath)];
      if (touched.some((each) => known.some((bad) => overlap(each, bad)))) return;
      const { rule, reason, fix } = finding;
      // the user's own spelling where there is one: a path is absolute by now
      const node = nodeAt(tree, path);
      const value = finding.value ?? (node ? toValue(node) : valueAt(recipe, path));
      const shown = value !== null && typeof value === "object" ? undefined : value;
      const origin = originAt(tree, path);
      faults.push({
        code: "rule",
        rule,
        path,
        origin,
        reason,
        fix,
        ...(shown === undefined ? {} : { value: shown }),
      });
    },
  };
  for (const rule of limitRules) rule(recipe, context);
  // what other rules would compute from a number beyond all bounds is noise
  known = [...wrong, ...faults.map(({ path }) => path)];
  for (const rule of rules) rule(recipe, context);
  return faults;
}
