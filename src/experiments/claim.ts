/** Claims: files that say which arms train and what their results have to show. */
import { existsSync, readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { type ClaimArm, type ClaimOptions, claimOptions } from "../config/claim-options.ts";
import type { KeyPath } from "../config/faults.ts";
import { shippedConfigs } from "../config/load.ts";
import { nearest } from "../config/suggest.ts";
import { ConfigError } from "../lib/errors.ts";
import { promptMetrics } from "../report/claim-values.ts";
import { evaluationColumns } from "../run/logs.ts";
import { type ArmsFile, armsFault, holdsKey, readArmsFile } from "./arms-file.ts";
import { filledSettings } from "./experiment.ts";

export interface Claim {
  /** The file's name without .yaml; results go to a folder of this name. */
  name: string;
  /** As messages name it. */
  file: string;
  /** With `seeds` up to the bound. */
  options: ClaimOptions & { seeds: readonly number[] };
  /** Numbers of those seeds after which there is a verdict; one in a fixed design. */
  looks: readonly number[];
  /** Absolute path of the config of each arm that trains. */
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

/** The claim with the first so many of its seeds alone. */
export const withSeeds = (claim: Claim, count: number): Claim => ({
  ...claim,
  options: { ...claim.options, seeds: claim.options.seeds.slice(0, count) },
});

/**
 * @param overrides `seeds` makes it a fixed design; `firstSeed` takes seeds from there on, whatever the file lists
 * @throws ConfigFaultsError with every fault of the file and of each arm's recipe
 */
export function loadClaim(
  path: string,
  overrides: { seeds?: number[]; firstSeed?: number; set?: readonly string[] } = {},
): Claim {
  const file = readArmsFile(path, claimOptions);
  const { seeds: given, looks, first_seed } = file.options;
  const first = overrides.firstSeed ?? first_seed;
  const fixed = overrides.seeds ?? (overrides.firstSeed === undefined ? given : undefined);
  const seeds = fixed ?? Array.from({ length: looks.at(-1)! }, (_, i) => first + i);
  const options = { ...file.options, seeds };
  const claim: Claim = {
    name: basename(path, extname(path)),
    file: file.name,
    options,
    looks: fixed === undefined ? looks : [seeds.length],
    configs: findConfigs(options, file),
    set: overrides.set ?? [],
  };
  checkArms(claim, file);
  checkConditions(options, file);
  file.stopOnFaults();
  checkRecipes(claim, file);
  file.stopOnFaults();
  return claim;
}

function findConfigs(options: ClaimOptions, file: ArmsFile<ClaimOptions>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, arm] of Object.entries(options.arms)) {
    if (!trains(arm)) continue;
    const config = arm.config ?? options.config;
    if (config === undefined) {
      const fix = "add config to it or to the claim; or start_of, or evaluate";
      file.faults.push(armsFault(file.tree, ["arms", name], "nothing says what it trains", fix));
      continue;
    }
    const at = file.findConfig(config, arm.config !== undefined ? ["arms", name, "config"] : ["config"]);
    if (at !== null) found[name] = at;
  }
  return found;
}

/** Arms that look at others or train on what they select: they exist, they train, and nobody waits in a circle. */
function checkArms({ options: { arms } }: Claim, file: ArmsFile<ClaimOptions>): void {
  const { tree, faults } = file;
  for (const [name, arm] of Object.entries(arms)) {
    const at = (...path: string[]): KeyPath => ["arms", name, ...path];
    const { start_of, evaluate, select, draws, config } = arm;
    if (start_of !== undefined && evaluate !== undefined)
      faults.push(armsFault(tree, at("evaluate"), "the arm has start_of already", "keep one of the two"));
    if (!trains(arm)) {
      const key =
        config !== undefined ? "config" : select !== undefined ? "select" : draws > 1 ? "draws" : null;
      if (key !== null) {
        const reason = `an arm with ${start_of === undefined ? "evaluate" : "start_of"} trains nothing`;
        faults.push(armsFault(tree, at(key), reason, "leave one of the two out"));
      }
    }
    if (start_of !== undefined && Object.keys(arm.set).length > 0)
      faults.push(
        armsFault(tree, at("set"), "start_of runs nothing", "use evaluate of an arm that does not train"),
      );
    const others: [KeyPath, string | undefined][] = [
      [at("start_of"), start_of],
      [at("evaluate"), evaluate],
      [at("select", "from"), select?.from],
    ];
    for (const [path, other] of others) {
      if (other === undefined) continue;
      if (!file.knownArm(arms, other, path)) continue;
      const found = arms[other]!;
      if (!trains(found))
        faults.push(armsFault(tree, path, `${other} trains nothing`, "name an arm with a config"));
      else if (path[2] === "select" && found.draws > 1)
        faults.push(
          armsFault(tree, path, `${other} has ${found.draws} draws`, "select from an arm with one"),
        );
      else if (path[2] === "select" && found.select !== undefined)
        faults.push(
          armsFault(
            tree,
            path,
            `${other} trains on a selection itself`,
            "select from an arm that trains on its data",
          ),
        );
    }
  }
}

function checkConditions({ arms, conditions }: ClaimOptions, file: ArmsFile<ClaimOptions>): void {
  const { tree, faults } = file;
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
      if (arm !== undefined) file.knownArm(arms, arm, at(key));
    }
    if (!known.includes(metric)) {
      const near = nearest(metric, known);
      const fix = near === null ? `there are ${known.join(", ")}` : `did you mean ${near}?`;
      faults.push(armsFault(tree, at("metric"), "it is no metric of an evaluation", fix));
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
function checkRecipes(claim: Claim, file: ArmsFile<ClaimOptions>): void {
  const { arms, seeds } = claim.options;
  for (const variant of variantsOf(claim.options)) {
    for (const [name, arm] of Object.entries(arms)) {
      const trained = arm.evaluate ?? arm.start_of ?? name;
      const values = { ...variant, seed: seeds[0]!, draw: 1 };
      const set = trainingSettings(claim, trained, values);
      const over = arm.evaluate === undefined ? [] : filledSettings(arm.set, values);
      const recipe = file.loadArm(name, claim.configs[trained]!, { set: [...set, ...over], seed: seeds[0]! });
      if (recipe !== null && (recipe.data.eval === undefined || recipe.eval === undefined))
        file.faults.push(
          armsFault(file.tree, ["arms", name], "its recipe evaluates nothing", "add data.eval to its set"),
        );
    }
  }
}
