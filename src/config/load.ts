/** A YAML file and flags to a checked, fully resolved recipe. Every fault at once, before anything is loaded. */
import { existsSync } from "node:fs";
import { basename, extname, isAbsolute, join, relative } from "node:path";
import { z } from "zod";
import { packageRoot } from "../lib/version.ts";
import { mergeTrees, readChain, type SourceFile } from "./extends.ts";
import { ConfigFaultsError, type Fault, type KeyPath, type Origin } from "./faults.ts";
import { issuesToFaults, suggestedPath } from "./issues.ts";
import { builtInMethods, type MethodRecipe } from "./methods.ts";
import { applyOverride, flagOverride, type Override, parseSet } from "./overrides.ts";
import { resolvePaths } from "./path-rules.ts";
import { shareChat, sharePrompt } from "./prompt.ts";
import { checkRules, overlap } from "./rules.ts";
import { alarmFaults } from "./rules-alarms.ts";
import {
  type Recipe,
  type RecipeInput,
  recipeJsonSchema,
  recipeSchema,
  type StageOptions,
} from "./schema.ts";
import { acceptsNull, schemaAt } from "./schema-tree.ts";
import { expandShorthand } from "./shorthand.ts";
import { fromValue, type MapNode, type Node, originAt, toValue } from "./source.ts";
import { nearest } from "./suggest.ts";
import { type SweepOptions, sweepOptions } from "./sweep-options.ts";
import { faultWords, sortFaults } from "./words.ts";

export interface LoadOptions {
  /** `key.path=value` each, as given to --set; later ones win. */
  set?: readonly string[];
  /** Flags that are short for a key; they win over `set`. */
  steps?: number | string;
  seed?: number | string;
  backend?: string;
  name?: string;
  /** Method recipes that `recipe:` may name. */
  methods?: ReadonlyMap<string, MethodRecipe>;
}

/** A stage of a run: the recipe with the stage's own sections laid over it. */
export interface RecipeStage {
  name: string;
  recipe: Recipe;
  until: StageOptions["until"];
}

export interface ResolvedRecipe {
  /** The first stage's: what is said once (model, seed, run, evaluation data) is said here. */
  recipe: Recipe;
  /** In order; a recipe without `stages` has one, named after its algorithm. */
  stages: readonly RecipeStage[];
  /** Variants that `rlpt sweep` runs; null without the section. */
  sweep: SweepOptions | null;
  /** As the user named it; where it lies, for a config that comes with rlpt. */
  file: string;
  /** model.path as it was given, before it became absolute; null for a model with random weights. */
  givenModel: string | null;
  /** The config and what it extends, nearest first. */
  sources: readonly SourceFile[];
  /** Where a value of a stage was written. */
  originOf(stage: number, path: KeyPath): Origin;
}

/** What is wrong with a config whose values can be read: what they name can be looked at all the same. */
export class RecipeFaultsError extends ConfigFaultsError {
  readonly loaded: ResolvedRecipe | null;
  constructor(message: string, faults: readonly Fault[], loaded: ResolvedRecipe | null) {
    super(message, faults);
    this.loaded = loaded;
  }
}

/** Folder of the configs that come with rlpt. */
export function shippedConfigs(): string {
  return join(packageRoot(), "configs");
}

/**
 * Where a config lies: the file that is named, or, where there is none, a config that comes with rlpt, named as it is in a
 * checkout or shorter (`configs/quickstart.yaml`, `quickstart.yaml`, `quickstart`). What is found nowhere comes back as it is.
 */
export function findConfig(named: string): string {
  if (isAbsolute(named) || existsSync(named)) return named;
  const shipped = [join(shippedConfigs(), named), join(packageRoot(), named)].filter(
    (path) => !relative(shippedConfigs(), path).startsWith(".."),
  );
  const files = shipped.flatMap((path) => (/\.ya?ml$/i.test(path) ? [path] : [`${path}.yaml`]));
  return files.find((path) => existsSync(path)) ?? named;
}

/**
 * Reads a config with all that it extends, lays the options over it, and fills in every default.
 * @param named a file, or a config that comes with rlpt ({@link findConfig})
 * @throws ConfigFaultsError with all that is wrong, exit status 2
 */
export function loadRecipe(named: string, options: LoadOptions = {}): ResolvedRecipe {
  const path = findConfig(named);
  const faults: Fault[] = [];
  const chain = readChain(path, [shippedConfigs(), packageRoot()], faults);
  const fail = (all: readonly Fault[], loaded: ResolvedRecipe | null = null): never => {
    const sorted = sortFaults(all, [path, ...chain.files.map((file) => file.name)]);
    throw new RecipeFaultsError(sorted.map(faultWords).join("\n"), sorted, loaded);
  };
  const overrides = readOverrides(options, faults);
  if (chain.tree === null) return fail(faults);
  for (const override of overrides) applyOverride(chain.tree, override, faults);
  const tree = withMethod(expandShorthand(chain.tree), options.methods ?? builtInMethods, faults);
  const { layered, faults: misplaced } = layStages(tree);
  faults.push(...misplaced);
  const stages: RecipeStage[] = [];
  const seen = new Set<string>();
  for (const [index, { name, until, tree: each }] of layered.entries()) {
    dropUnset(each);
    addDerivedDefaults(each, path);
    const { recipe, faults: found } = checkTree(each);
    for (const fault of found) {
      // a later stage starts from what the one before has learnt, not from random weights
      if (index > 0 && fault.code === "rule" && fault.rule === "kl_reference") continue;
      // what is wrong at the top level is wrong in every stage, and said once
      const words = faultWords(fault);
      if (!seen.has(words)) faults.push(fault);
      seen.add(words);
    }
    if (recipe !== null) stages.push({ name: name ?? recipe.algorithm.kind, recipe, until });
  }
  if (stages.length === layered.length) {
    const origins = layered.map(
      ({ tree: each }) =>
        (path: KeyPath) =>
          originAt(each, path),
    );
    faults.push(...alarmFaults(stages, origins));
  }
  const whole = stages.length === layered.length && stages.length > 0;
  if (!whole) return fail(faults);
  const { sweep, model } = toValue(tree) as { sweep?: unknown; model?: { path?: unknown } };
  const loaded: ResolvedRecipe = {
    recipe: stages[0]!.recipe,
    stages,
    sweep: sweep === undefined || sweep === null ? null : (sweepOptions.safeParse(sweep).data ?? null),
    file: path,
    givenModel: typeof model?.path === "string" ? model.path : null,
    sources: chain.files,
    originOf: (stage, path) => originAt(path[0] === "stages" ? tree : layered[stage]!.tree, path),
  };
  return faults.length > 0 ? fail(faults, loaded) : loaded;
}

/** One tree per stage: the top level with the stage's sections laid over it. Without stages: the tree itself. */
function layStages(tree: MapNode): {
  layered: { name: string | null; until: StageOptions["until"]; tree: MapNode }[];
  faults: Fault[];
} {
  const list = tree.entries.get("stages");
  if (list === undefined) return { layered: [{ name: null, until: undefined, tree }], faults: [] };
  const value = toValue(tree) as { stages?: unknown };
  const parsed = z.strictObject({ stages: recipeSchema.shape.stages }).safeParse({ stages: value.stages });
  if (!parsed.success || list.type !== "list") {
    const issues = parsed.success ? [] : parsed.error.issues;
    return { layered: [], faults: issuesToFaults(issues, tree, value, recipeJsonSchema()) };
  }
  const faults: Fault[] = [];
  const names = new Set<string>();
  const steps = tree.entries.get("steps");
  // `steps: null` takes those of an extended file away
  if (steps !== undefined && !(steps.type === "scalar" && steps.explicitNull === true)) {
    const reason = "each stage has steps of its own";
    const fix = "leave it out, and set stages.0.steps";
    faults.push({
      code: "rule",
      rule: "stage_steps",
      path: ["steps"],
      value: toValue(steps),
      origin: steps.origin,
      reason,
      fix,
    });
  }
  const layered = list.items.map((item, index) => {
    const { name, until } = parsed.data.stages![index]!;
    if (names.has(name)) {
      const reason = "another stage has that name, and would draw the same random numbers";
      faults.push({
        code: "rule",
        rule: "stage_names",
        path: ["stages", index, "name"],
        value: name,
        origin: item.origin,
        reason,
        fix: "give each stage its own",
      });
    }
    names.add(name);
    const base: MapNode = { ...tree, entries: new Map(tree.entries) };
    base.entries.delete("stages");
    const over = item as MapNode;
    const entries = new Map(over.entries);
    entries.delete("name");
    entries.delete("until");
    const merged = mergeTrees(base, { ...over, entries }) as MapNode;
    return { name, until, tree: expandShorthand(merged) };
  });
  return { layered, faults };
}

function readOverrides(options: LoadOptions, faults: Fault[]): Override[] {
  const set = (options.set ?? []).map((text) => parseSet(text, faults)).filter((one) => one !== null);
  const flags: [string, string, number | string | undefined][] = [
    ["--steps", "steps", options.steps],
    ["--seed", "seed", options.seed],
    ["--backend", "backend.kind", options.backend],
    ["--name", "run.name", options.name],
  ];
  for (const [flag, key, value] of flags) {
    if (value === undefined) continue;
    // what commander hands over is text: "3" is a number here
    const number = typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) && key !== "run.name";
    set.push(flagOverride(flag, key, number ? Number(value) : value));
  }
  return set;
}

/** Lays the settings of the method that `recipe:` names beneath the file's. */
function withMethod(tree: MapNode, methods: ReadonlyMap<string, MethodRecipe>, faults: Fault[]): MapNode {
  const name = tree.entries.get("recipe");
  if (name?.type !== "scalar" || typeof name.value !== "string") return tree;
  const method = methods.get(name.value);
  if (!method) {
    const options = [...methods.keys()];
    const suggestion = nearest(name.value, options);
    const value = name.value;
    faults.push({ code: "choice", path: ["recipe"], value, origin: name.origin, options, suggestion });
    return tree;
  }
  const placed = { origin: { flag: `recipe: ${name.value}` }, base: null };
  return mergeTrees(expandShorthand(fromValue(method.defaults, placed) as MapNode), tree) as MapNode;
}

/** `key: null` takes an inherited key away again, where null is not a value of its own. */
function dropUnset(tree: MapNode): void {
  const schema = recipeJsonSchema();
  const value = toValue(tree);
  const visit = (node: Node, path: KeyPath): void => {
    if (node.type === "list") for (const [index, item] of node.items.entries()) visit(item, [...path, index]);
    if (node.type !== "map") return;
    for (const [key, child] of node.entries) {
      if (child.type !== "scalar" || child.unsets !== true) {
        visit(child, [...path, key]);
        continue;
      }
      const at = schemaAt(schema, value, [...path, key]);
      if (at !== null && !acceptsNull(at) && isOptional(schema, value, path, key)) node.entries.delete(key);
    }
  };
  visit(tree, []);
}

function isOptional(
  root: ReturnType<typeof recipeJsonSchema>,
  value: unknown,
  path: KeyPath,
  key: string,
): boolean {
  const parent = schemaAt(root, value, path);
  const maps = parent === null ? [] : [parent, ...(parent.oneOf ?? []), ...(parent.anyOf ?? [])];
  return !maps.some((map) => map.required?.includes(key));
}

/** Defaults that depend on other keys: the run's name, and evaluation as soon as there is something to evaluate on. */
function addDerivedDefaults(tree: MapNode, path: string): void {
  const placed = { origin: { file: path, line: 1 }, base: null };
  const data = tree.entries.get("data");
  if (data?.type === "map" && data.entries.has("eval") && !tree.entries.has("eval")) {
    tree.entries.set("eval", { type: "map", entries: new Map(), ...placed });
  }
  const run = tree.entries.get("run") ?? fromValue({}, placed);
  if (run.type !== "map" || run.entries.has("name")) return;
  const stem = basename(path, extname(path))
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  run.entries.set("name", fromValue(stem.slice(0, 100) || "run", placed));
  tree.entries.set("run", run);
}

function checkTree(tree: MapNode): { recipe: Recipe | null; faults: Fault[] } {
  const value = toValue(tree);
  const parsed = recipeSchema.safeParse(value);
  const faults = parsed.success ? [] : issuesToFaults(parsed.error.issues, tree, value, recipeJsonSchema());
  const recipe: Partial<RecipeInput> = parsed.success ? parsed.data : validSections(value, faults);
  // what a rule would say about a value that is wrong anyway is noise
  const wrong = faults.flatMap((fault) =>
    fault.code === "unknown_key" && fault.suggestion !== null
      ? [fault.path, suggestedPath(fault)]
      : [fault.path],
  );
  const misplaced = resolvePaths(recipe, tree);
  faults.push(...misplaced.filter((fault) => !wrong.some((path) => overlap(path, fault.path))));
  shareChat(recipe, tree);
  faults.push(...checkRules(recipe, tree, wrong));
  return { recipe: parsed.success ? sharePrompt(recipe as RecipeInput) : null, faults };
}

/** The sections that are valid once the wrong values are taken out: what rules can still look at. */
function validSections(value: unknown, faults: readonly Fault[]): Partial<RecipeInput> {
  const copy = structuredClone(value) as Record<string, unknown>;
  for (const fault of faults) {
    // without a kind the map around it means nothing; taking an entry out of a list would renumber the rest
    const whole = fault.path.at(-1) === "kind" ? fault.path.slice(0, -1) : fault.path;
    const listAt = whole.findIndex((key) => typeof key === "number");
    const path = listAt >= 0 && listAt === whole.length - 1 ? whole.slice(0, listAt) : whole;
    let parent: unknown = copy;
    for (const key of path.slice(0, -1))
      parent = (parent as Record<string | number, unknown> | undefined)?.[key];
    const last = path.at(-1);
    if (last !== undefined && parent !== null && typeof parent === "object") {
      delete (parent as Record<string | number, unknown>)[last];
    }
  }
  const valid: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(recipeSchema.shape)) {
    const section = schema.safeParse(copy[key]);
    if (section.success && section.data !== undefined) valid[key] = section.data;
  }
  return valid as Partial<RecipeInput>;
}
