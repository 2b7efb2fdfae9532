/** From claims to the runs that they need, each under a name made of its content, so that claims share runs. */
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { loadRecipe } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import type { Recipe } from "../config/schema.ts";
import type { SelectOptions } from "../config/select-options.ts";
import type { DatasetOptions } from "../data/dataset-options.ts";
import { filesOf } from "../data/source.ts";
import type { ArmMeasurements, Measurement } from "../report/claim-values.ts";
import { hashFile, listFiles } from "../run/manifest.ts";
import { type Claim, trainingSettings, trains, variantsOf } from "./claim.ts";
import { filledSettings } from "./experiment.ts";

/** A training run that one or several claims need. */
export interface PlannedRun {
  /** `<config>-s<seed>-<hash>`: recipe, weights, data and selection decide it. */
  id: string;
  /** Claims and arms it is for, as people know it: "limr-selection: random". */
  uses: Set<string>;
  config: string;
  set: readonly string[];
  seed: number;
  draw: number;
  runDir: string;
  /** What its pool is before any selection. */
  pool: DatasetOptions;
  select: { rule: SelectOptions; from: PlannedRun; directory: string } | null;
}

/** A checkpoint that is evaluated otherwise than its run evaluated it. */
export interface PlannedEvaluation {
  id: string;
  run: PlannedRun;
  set: readonly string[];
  directory: string;
}

export interface ClaimPlan {
  claim: Claim;
  /** Where the verdict goes. */
  directory: string;
  arms: ReadonlyMap<string, ArmMeasurements>;
  runs: readonly PlannedRun[];
  evaluations: readonly PlannedEvaluation[];
  /** Every measurement with what it is of, for the record. */
  sources: readonly (Measurement & { arm: string; seed: number; draw: number; id: string })[];
}

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 10);

/** Plans several claims at once; what they share is one object. @param root folder of all reproductions */
export async function planClaims(claims: readonly Claim[], root: string): Promise<ClaimPlan[]> {
  const runs = new Map<string, PlannedRun>();
  const evaluations = new Map<string, PlannedEvaluation>();
  const inputs = new Map<string, string>();
  const plans: ClaimPlan[] = [];
  for (const claim of claims) plans.push(await planClaim(claim, root, { runs, evaluations, inputs }));
  return plans;
}

interface Shared {
  runs: Map<string, PlannedRun>;
  evaluations: Map<string, PlannedEvaluation>;
  /** Hashes of weights and data files by path. */
  inputs: Map<string, string>;
}

async function planClaim(claim: Claim, root: string, shared: Shared): Promise<ClaimPlan> {
  const { options } = claim;
  const runs = new Set<PlannedRun>();
  const evaluations = new Set<PlannedEvaluation>();
  const sources: ClaimPlan["sources"][number][] = [];
  const arms = new Map<string, Map<number, Measurement[]>>();
  for (const [name, arm] of Object.entries(options.arms)) {
    const bySeed = new Map<number, Measurement[]>();
    arms.set(name, bySeed);
    const trained = arm.evaluate ?? arm.start_of ?? name;
    for (const seed of options.seeds) {
      bySeed.set(seed, []);
      for (const variant of variantsOf(options)) {
        for (let draw = 1; draw <= options.arms[trained]!.draws; draw++) {
          const values = { ...variant, seed, draw };
          const run = await planRun(claim, trained, values, root, shared);
          runs.add(run);
          if (run.select !== null) runs.add(run.select.from);
          let measurement: Measurement = {
            directory: run.runDir,
            at: arm.start_of === undefined ? "end" : "start",
          };
          let id = run.id;
          if (arm.evaluate !== undefined) {
            const evaluation = planEvaluation(run, filledSettings(arm.set, values), root, shared);
            evaluations.add(evaluation);
            measurement = { directory: evaluation.directory, at: "end" };
            id = evaluation.id;
          }
          bySeed.get(seed)!.push(measurement);
          sources.push({ ...measurement, arm: name, seed, draw, id });
        }
      }
    }
  }
  return {
    claim,
    directory: join(root, claim.name),
    arms,
    runs: [...runs],
    evaluations: [...evaluations],
    sources,
  };
}

async function planRun(
  claim: Claim,
  arm: string,
  values: Readonly<Record<string, string | number>> & { seed: number; draw: number },
  root: string,
  shared: Shared,
): Promise<PlannedRun> {
  const config = claim.configs[arm]!;
  const { seed, draw } = values;
  const set = trainingSettings(claim, arm, values);
  const loaded = loadRecipe(config, { set, seed });
  const rule = claim.options.arms[arm]!.select;
  const from =
    rule === undefined ? null : await planRun(claim, rule.from, { ...values, draw: 1 }, root, shared);
  const { from: _arm, ...ruleAlone } = rule ?? { from: "" };
  const content = [
    printResolved(loaded),
    ...(await inputHashes(loaded.recipe, shared.inputs)),
    ...(from === null ? [] : [from.id, JSON.stringify(ruleAlone), rule!.random ? String(draw) : ""]),
  ];
  const id = `${basename(config, extname(config))}-s${seed}-${shortHash(content.join("\n"))}`;
  const use = `${claim.name}: ${arm}`;
  const known = shared.runs.get(id);
  known?.uses.add(use);
  if (known !== undefined) return known;
  const run: PlannedRun = {
    id,
    uses: new Set([use]),
    config,
    set,
    seed,
    draw,
    runDir: join(root, "runs", id),
    pool: loaded.recipe.data.train,
    select: from === null ? null : { rule: rule!, from, directory: join(root, "data", id) },
  };
  shared.runs.set(id, run);
  return run;
}

function planEvaluation(
  run: PlannedRun,
  set: readonly string[],
  root: string,
  { evaluations }: Shared,
): PlannedEvaluation {
  const id = `${run.id}-eval-${shortHash(JSON.stringify(set))}`;
  const known = evaluations.get(id);
  if (known !== undefined) return known;
  const evaluation = { id, run, set, directory: join(root, "evaluations", id) };
  evaluations.set(id, evaluation);
  return evaluation;
}

/** SHA-256 of the weights and data files that a recipe reads, so that others under the same path are other runs. */
async function inputHashes({ model, data }: Recipe, known: Map<string, string>): Promise<string[]> {
  const sets = [data.train, ...(data.eval === undefined ? [] : [data.eval])];
  const dataFiles = await Promise.all(sets.map((set) => filesOf(set).catch(() => [])));
  const paths = [model.path, ...dataFiles.flat()];
  const hashes: string[] = [];
  for (const path of paths) {
    if (path === undefined || !existsSync(path)) continue;
    const files = statSync(path).isDirectory() ? listFiles(path).map((name) => join(path, name)) : [path];
    for (const file of files) {
      const hash = known.get(file) ?? (await hashFile(file)).sha256;
      known.set(file, hash);
      hashes.push(`${basename(file)} ${hash}`);
    }
  }
  return hashes;
}

/** How many of a claim's arms train. */
export const trainingArms = ({ options }: Claim): number => Object.values(options.arms).filter(trains).length;
