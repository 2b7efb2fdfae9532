/** Claims: files that say which arms train and what their results have to show. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { type ClaimArm, type ClaimOptions, claimOptions } from "../config/claim-options.ts";
import { ConfigFaultsError, type Fault, type KeyPath } from "../config/faults.ts";
import { issuesToFaults } from "../config/issues.ts";
import { loadRecipe, shippedConfigs } from "../config/load.ts";
import { displayPath, findPath, nearestFile } from "../config/paths.ts";
import { toJsonSchema } from "../config/schema-tree.ts";
import { type MapNode, nodeAt, originAt, parseSource, toValue } from "../config/source.ts";
import { nearest } from "../config/suggest.ts";
import { faultWords, sortFaults } from "../config/words.ts";
import { ConfigError, describeSystemError } from "../lib/errors.ts";
import { promptMetrics } from "../report/claim-values.ts";
import { evaluationColumns } from "../run/logs.ts";
import { filledSettings, holdsKey } from "./experiment.ts";

export interface Claim {
  /** The file's name without .yaml; results go to a folder of this name. */
  name: string;
  /** As messages name it. */
  file: string;
  options: ClaimOptions;
  /** By arm that trains: absolute path of its config. */
  configs: Readonly<Record<string, string>>;
  /** What --set gives, over every arm's own settings. */
  set: readonly string[];
}

/** Folder of the claims that come with rlpt. */
const shippedClaims = (): string => join(shippedConfigs(), "claims");

/** Files of the claims that come with rlpt, by name. */
export function claimFiles(): string[] {
  const folder = shippedClaims();
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".yaml")) : [];
  return names.sort().map((name) => join(folder, name));
}

/** @param named a file, or the name of a claim that comes with rlpt */
export function findClaim(named: string): string {
  if (/\.ya?ml$/i.test(named)) return named;
  const files = claimFiles();
  const found = files.find((file) => basename(file, ".yaml") === named);
  if (found !== undefined) return found;
  const names = files.map((file) => basename(file, ".yaml"));
  const near = nearest(named, names);
  throw new ConfigError(
    `claim ${named} does not exist; ${near === null ? `there are ${names.join(", ")}.` : `did you mean ${near}?`}`,
  );
}

/** Does this arm train, rather than look at what another one trained? */
export const trains = ({ start_of, evaluate }: ClaimArm): boolean =>
  start_of === undefined && evaluate === undefined;

/** Every combination of the claim's variants; one empty one where it has none. */
export function variantsOf({ variants }: ClaimOptions): Record<string, string | number>[] {
  return Object.entries(variants).reduce<Record<string, string | number>[]>(
    (all, [key, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [key]: value }))),
    [{}],
  );
}

/** Settings of an arm's training for one seed, draw and variant, as --set takes them. */
export function trainingSettings(
  { options, set }: Claim,
  arm: string,
  values: Readonly<Record<string, string | number>>,
): string[] {
  return [...filledSettings({ ...options.set, ...options.arms[arm]!.set }, values), ...set];
}

/** @throws ConfigFaultsError with every fault of the file and of each arm's recipe */
export function loadClaim(
  path: string,
  overrides: { seeds?: number[]; set?: readonly string[] } = {},
): Claim {
  const file = displayPath(path);
  const faults: Fault[] = [];
  const fail = (): never => {
    const sorted = sortFaults(faults, [file]);
    throw new ConfigFaultsError(sorted.map(faultWords).join("\n"), sorted);
  };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
  const tree = parseSource(text, file, dirname(resolve(path)), faults);
  if (tree === null) return fail();
  const value = toValue(tree);
  const parsed = claimOptions.safeParse(value);
  if (!parsed.success) {
    faults.push(...issuesToFaults(parsed.error.issues, tree, value, toJsonSchema(claimOptions)));
    return fail();
  }
  const options = { ...parsed.data, seeds: overrides.seeds ?? parsed.data.seeds };
  const claim: Claim = {
    name: basename(path, extname(path)),
    file,
    options,
    configs: findConfigs(options, tree, dirname(resolve(path)), faults),
    set: overrides.set ?? [],
  };
  checkArms(claim, tree, faults);
  checkConditions(options, tree, faults);
  if (faults.length > 0) return fail();
  checkRecipes(claim, tree, faults);
  return faults.length > 0 ? fail() : claim;
}

function rule(tree: MapNode, path: KeyPath, reason: string, fix: string): Fault {
  const node = nodeAt(tree, path);
  const value = node?.type === "scalar" ? node.value : undefined;
  return { code: "rule", rule: "claim", path, value, origin: originAt(tree, path), reason, fix };
}

function findConfigs(
  options: ClaimOptions,
  tree: MapNode,
  base: string,
  faults: Fault[],
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, arm] of Object.entries(options.arms)) {
    if (!trains(arm)) continue;
    const own = arm.config !== undefined;
    const config = arm.config ?? options.config;
    const path: KeyPath = own ? ["arms", name, "config"] : ["config"];
    if (config === undefined) {
      const fix = "add config to it or to the claim; or start_of, or evaluate";
      faults.push(rule(tree, ["arms", name], "nothing says what it trains", fix));
      continue;
    }
    const at = findPath(config, base);
    if (at !== null) found[name] = at;
    else {
      const near = nearestFile(config, base);
      const fix =
        near === null ? "give the path of a config, relative to this file" : `did you mean ${near}?`;
      faults.push(rule(tree, path, "this file does not exist", fix));
    }
  }
  return found;
}

/** Arms that look at others or train on what they select: they exist, they train, and nobody waits in a circle. */
function checkArms({ options: { arms } }: Claim, tree: MapNode, faults: Fault[]): void {
  for (const [name, arm] of Object.entries(arms)) {
    const at = (...path: string[]): KeyPath => ["arms", name, ...path];
    const { start_of, evaluate, select, draws, config } = arm;
    if (start_of !== undefined && evaluate !== undefined)
      faults.push(rule(tree, at("evaluate"), "the arm has start_of already", "keep one of the two"));
    if (!trains(arm)) {
      const key =
        config !== undefined ? "config" : select !== undefined ? "select" : draws > 1 ? "draws" : null;
      if (key !== null) {
        const reason = `an arm with ${start_of === undefined ? "evaluate" : "start_of"} trains nothing`;
        faults.push(rule(tree, at(key), reason, "leave one of the two out"));
      }
    }
    if (start_of !== undefined && Object.keys(arm.set).length > 0)
      faults.push(
        rule(tree, at("set"), "start_of runs nothing", "use evaluate of an arm that does not train"),
      );
    const others: [KeyPath, string | undefined][] = [
      [at("start_of"), start_of],
      [at("evaluate"), evaluate],
      [at("select", "from"), select?.from],
    ];
    for (const [path, other] of others) {
      if (other === undefined) continue;
      const found = arms[other];
      if (found === undefined) faults.push(unknownArm(tree, path, other, Object.keys(arms)));
      else if (!trains(found))
        faults.push(rule(tree, path, `${other} trains nothing`, "name an arm with a config"));
      else if (path[2] === "select" && found.draws > 1)
        faults.push(rule(tree, path, `${other} has ${found.draws} draws`, "select from an arm with one"));
      else if (path[2] === "select" && found.select !== undefined)
        faults.push(
          rule(
            tree,
            path,
            `${other} trains on a selection itself`,
            "select from an arm that trains on its data",
          ),
        );
    }
  }
}

function unknownArm(tree: MapNode, path: KeyPath, name: string, known: readonly string[]): Fault {
  const near = nearest(name, known);
  const fix = near === null ? `there are ${known.join(", ")}` : `did you mean ${near}?`;
  return rule(tree, path, "there is no such arm", fix);
}

function checkConditions({ arms, conditions }: ClaimOptions, tree: MapNode, faults: Fault[]): void {
  const known: readonly string[] = [
    ...promptMetrics,
    ...evaluationColumns.filter((name) => !notNumbers.has(name)),
  ];
  for (const [index, { of, minus, metric }] of conditions.entries()) {
    const at = (key: string): KeyPath => ["conditions", index, key];
    for (const [key, arm] of [
      ["of", of],
      ["minus", minus],
    ] as const) {
      if (arm !== undefined && arms[arm] === undefined)
        faults.push(unknownArm(tree, at(key), arm, Object.keys(arms)));
    }
    if (!known.includes(metric)) {
      const near = nearest(metric, known);
      const fix = near === null ? `there are ${known.join(", ")}` : `did you mean ${near}?`;
      faults.push(rule(tree, at("metric"), "it is no metric of an evaluation", fix));
    }
  }
}

/** Columns of eval.csv that are no results, and those that a metric by prompt stands for. */
const notNumbers = new Set<string>([
  ...["step", "stage", "dataset", "slice", "prompts", "completions", "correct", "interval", "k"],
  ...["tokens_mean", "reward_mean", "accuracy_low", "accuracy_high"],
]);

/** Is this YAML file a claim, rather than a recipe? */
export const isClaim = (path: string): boolean => holdsKey(path, "claim");

/** What each arm trains, of each seed, variant and draw. */
export function claimRuns(claim: Claim): { config: string; options: { set: string[]; seed: number } }[] {
  const { arms, seeds } = claim.options;
  return Object.entries(arms).flatMap(([name, arm]) =>
    !trains(arm)
      ? []
      : seeds.flatMap((seed) =>
          variantsOf(claim.options).map((variant) => ({
            config: claim.configs[name]!,
            options: { set: trainingSettings(claim, name, { ...variant, seed, draw: 1 }), seed },
          })),
        ),
  );
}

/** Loads every arm's recipe, so that nothing trains while one of them is wrong. */
function checkRecipes(claim: Claim, tree: MapNode, faults: Fault[]): void {
  const { arms, seeds } = claim.options;
  for (const variant of variantsOf(claim.options)) {
    for (const [name, arm] of Object.entries(arms)) {
      const trained = arm.evaluate ?? arm.start_of ?? name;
      const values = { ...variant, seed: seeds[0]!, draw: 1 };
      const set = trainingSettings(claim, trained, values);
      const over = arm.evaluate === undefined ? [] : filledSettings(arm.set, values);
      try {
        const { recipe } = loadRecipe(claim.configs[trained]!, { set: [...set, ...over], seed: seeds[0]! });
        if (recipe.data.eval === undefined || recipe.eval === undefined)
          faults.push(rule(tree, ["arms", name], "its recipe evaluates nothing", "add data.eval to its set"));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        const fix = `correct its set, or the config:\n${error.message.replaceAll(/^/gm, "  ")}`;
        faults.push(rule(tree, ["arms", name], "its recipe is wrong", fix));
      }
    }
  }
}
