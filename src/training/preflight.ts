/**
 * What can be wrong with a run's files, found before a run directory exists: data, rewards, templates, lengths, model,
 * tokenizer and adapter. Reads no weights. Every fault at once, in the form of a config's faults.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { unknownColumn } from "../algorithms/known-metrics.ts";
import { findTensorFlow } from "../backend/xla/tensorflow/find.ts";
import { ConfigFaultsError, type Fault, type KeyPath, type Origin } from "../config/faults.ts";
import { RecipeFaultsError, type RecipeStage, type ResolvedRecipe } from "../config/load.ts";
import { overlap } from "../config/rules.ts";
import { faultWords, sortFaults } from "../config/words.ts";
import { RlptError } from "../lib/errors.ts";
import { irregularity, isFolder } from "../lib/regular-file.ts";
import { partName } from "../rewards/options.ts";
import { runFileCases } from "../rewards/run-cases.ts";
import { trackerFault } from "../trackers/kinds.ts";
import { downloadNotes } from "./assemble.ts";
import { labelledRows } from "./judges.ts";
import { checkData } from "./preflight-data.ts";
import { inspectModel, type ModelFacts } from "./preflight-model.ts";
import type { DataPart } from "./stage-data.ts";

export interface PreflightOptions {
  /** Fetch config and tokenizer of a model on the Hub; without it what needs them is left out. */
  fetch: boolean;
  /** Look at the heads of weight files; false where weights need not be here. */
  weights: boolean;
  /** Is told how far downloads are. */
  progress?: (text: string) => void;
  /** Which data is looked at; all when absent. */
  parts?: readonly DataPart[];
  /** False: the data alone, whatever the model and the rewards are. */
  model?: false;
  /** "warn": a data file that says how to get it (data.*.get) need not be here yet. */
  absentData?: "warn";
}

/** What one file or value has to say: faults stop, warnings are printed. */
export interface Findings {
  fault(
    stage: number,
    path: KeyPath,
    detail: { value?: unknown; reason: string; fix: string; origin?: Origin },
  ): void;
  warn(text: string): void;
}

/** Checks recipes one after the other; what several share (a file, a model) is looked at once. */
export class Preflight {
  readonly #options: PreflightOptions;
  readonly #models = new Map<string, Promise<ModelFacts | RlptError | null>>();
  readonly #rewards = new Map<string, Promise<string | null>>();
  readonly #stages = new Map<string, { faults: readonly Fault[]; warnings: readonly string[] }>();

  constructor(options: PreflightOptions) {
    this.#options = options;
  }

  /** @returns all that is wrong, sorted as people read it, and what they should know */
  async inspect(loaded: ResolvedRecipe): Promise<{ faults: Fault[]; warnings: string[] }> {
    const faults: Fault[] = [];
    const warnings = new Set<string>();
    for (const [index, stage] of loaded.stages.entries()) {
      const { faults: found, warnings: told } = await this.#stage(loaded, index, stage);
      faults.push(...found);
      for (const text of told) warnings.add(text);
    }
    return { faults: sortFaults(faults, filesOf(loaded, faults)), warnings: [...warnings] };
  }

  /**
   * What is wrong with the files of a config that has faults itself, beside these.
   * @returns the error with the faults of both, each value named once
   */
  async widen(error: RecipeFaultsError): Promise<RecipeFaultsError> {
    const { loaded, faults } = error;
    if (loaded === null) return error;
    const found = (await this.inspect(loaded)).faults.filter(
      ({ path }) =>
        // a model whose settings are wrong cannot be right in its files
        !faults.some(
          (fault) => overlap(fault.path, path) || (path[0] === "model" && fault.path[0] === "model"),
        ),
    );
    const both = [...faults, ...found];
    const all = sortFaults(both, filesOf(loaded, both));
    return new RecipeFaultsError(all.map(faultWords).join("\n"), all, loaded);
  }

  /** @returns warnings @throws ConfigFaultsError with all that is wrong, exit status 2 */
  async check(loaded: ResolvedRecipe): Promise<string[]> {
    const { faults, warnings } = await this.inspect(loaded);
    if (faults.length > 0) throw new ConfigFaultsError(faults.map(faultWords).join("\n"), faults);
    return warnings;
  }

  /** Stages of several runs are often one and the same; places are those of its first. */
  async #stage(loaded: ResolvedRecipe, index: number, stage: RecipeStage) {
    const { model, data, rollout, rewards, algorithm, eval: evaluation, backend, run } = stage.recipe;
    const key = JSON.stringify([
      loaded.file,
      stage.until,
      model,
      data,
      rollout,
      rewards,
      algorithm,
      evaluation,
      backend,
      run.track,
    ]);
    const known = this.#stages.get(key);
    if (known !== undefined) return known;
    const faults: Fault[] = [];
    const warnings: string[] = [];
    const findings: Findings = {
      warn: (text) => warnings.push(text),
      fault: (at, path, { value, reason, fix, origin }) =>
        faults.push({
          code: "rule",
          rule: "preflight",
          path,
          origin: origin ?? loaded.originOf(at, path),
          reason,
          fix,
          ...(value === undefined ? {} : { value }),
        }),
    };
    const { parts, absentData, fetch, progress } = this.#options;
    const dataAlone = this.#options.model === false;
    if (!dataAlone) checkLibraries(index, stage, findings);
    if (!dataAlone && index === 0) checkTrackers(stage, findings);
    const facts = dataAlone ? null : await this.#model(index, stage, findings);
    if (!dataAlone) await this.#rewardFiles(index, stage, findings);
    const shown = progress === undefined ? {} : { onProgress: downloadNotes(progress) };
    const hub = fetch ? shown : { offline: true };
    const absentIsNoFault = absentData === "warn";
    await checkData(index, stage.recipe, facts, findings, {
      absentIsNoFault,
      hub,
      ...(parts === undefined ? {} : { parts }),
    });
    if (!dataAlone) checkEnd(index, stage, findings);
    const done = { faults, warnings };
    this.#stages.set(key, done);
    return done;
  }

  async #model(index: number, { recipe }: RecipeStage, findings: Findings): Promise<ModelFacts | null> {
    const key = JSON.stringify(recipe.model);
    const asked = this.#models.get(key) ?? inspectModel(recipe, this.#options);
    this.#models.set(key, asked);
    const facts = await asked;
    if (!(facts instanceof RlptError)) return facts;
    const { path, lora } = recipe.model;
    const aboutAdapter = lora?.adapter !== undefined && facts.message.startsWith(lora.adapter);
    const at: KeyPath = aboutAdapter
      ? ["model", "lora", "adapter"]
      : ["model", path === undefined ? "init" : "path"];
    findings.fault(index, at, {
      reason: facts.message,
      fix: `name another ${aboutAdapter ? "adapter" : "model"}, or mend its files`,
    });
    return null;
  }

  async #rewardFiles(index: number, { recipe }: RecipeStage, findings: Findings): Promise<void> {
    for (const [part, spec] of recipe.rewards.entries()) {
      if (spec.kind === "judge") checkJudge(index, ["rewards", part], spec, findings);
      if (spec.kind !== "file") continue;
      const asked = this.#rewards.get(spec.file) ?? rewardFault(spec.file, spec.timeout_ms);
      this.#rewards.set(spec.file, asked);
      const reason = await asked;
      if (reason === null) continue;
      const fix = "mend the file; `rlpt reward test` runs its cases";
      findings.fault(index, ["rewards", part, "file"], { reason, fix });
    }
  }
}

/** What can be known of trackers without asking their servers: the environment says where they are, and who asks. */
function checkTrackers({ recipe }: RecipeStage, findings: Findings): void {
  for (const [at, name] of (recipe.run.track ?? []).entries()) {
    const fault = trackerFault(name, process.env);
    if (fault !== null) findings.fault(0, ["run", "track", at], { value: name, ...fault });
  }
}

/** What can be known of a judge without asking it: its key, and the rows that people judged. */
function checkJudge(
  index: number,
  at: KeyPath,
  spec: Parameters<typeof labelledRows>[0],
  findings: Findings,
): void {
  const { key_variable } = spec.judge;
  if (key_variable !== undefined && (process.env[key_variable] ?? "") === "") {
    findings.fault(index, [...at, "judge", "key_variable"], {
      value: key_variable,
      reason: "the environment variable is not set",
      fix: `export ${key_variable}=..., or remove it where the endpoint needs no key`,
    });
  }
  if (spec.labelled === undefined) return;
  try {
    labelledRows(spec);
  } catch (error) {
    if (!(error instanceof RlptError)) throw error;
    const fix = "mend the rows; docs/judge.md shows their columns";
    findings.fault(index, [...at, "labelled"], { reason: error.message, fix });
  }
}

/** Files that faults are named by: the config and what it extends first. */
function filesOf(loaded: ResolvedRecipe, faults: readonly Fault[]): string[] {
  const own = loaded.sources.map(({ name }) => name);
  const others = faults.flatMap(({ origin }) => ("file" in origin ? [origin.file] : []));
  return [...new Set([...own, ...others])];
}

/** A stage that ends by a column which it does not have would train to its last step, or stop with an error at its first. */
function checkEnd(index: number, { recipe, until }: RecipeStage, findings: Findings): void {
  if (until === undefined) return;
  const reason = unknownColumn(recipe.algorithm, recipe.rewards.map(partName), until.metric);
  if (reason === null) return;
  const fix = "name a column of metrics.csv that this stage has (docs/metrics.md)";
  findings.fault(index, ["stages", index, "until", "metric"], { value: until.metric, reason, fix });
}

/** What is wrong with a reward file: it does not compile or load, or its own cases fail. */
async function rewardFault(file: string, timeoutMs: number): Promise<string | null> {
  const irregular = irregularity(file);
  if (irregular !== null) return irregular;
  try {
    const failed = (await runFileCases(file, timeoutMs)).filter(({ pass }) => !pass);
    if (failed.length === 0) return null;
    const { index, expect, got } = failed[0]!;
    const more = failed.length === 1 ? "" : `, and ${failed.length - 1} more fail`;
    const note = got.note === undefined ? "" : `: ${got.note}`;
    return `its case ${index + 1} expects ${expect} and gets ${got.value} (${got.status}${note})${more}`;
  } catch (error) {
    if (error instanceof RlptError) return error.message;
    throw error;
  }
}

/** Libraries that the backend would load: by their first bytes, since loading one runs it. */
function checkLibraries(index: number, { recipe }: RecipeStage, findings: Findings): void {
  const named = { cblas: recipe.backend.cblas, library: recipe.backend.library };
  for (const [key, path] of Object.entries(named)) {
    if (path === undefined || !path.includes("/")) continue;
    // TensorFlow's libraries are two, and named by their folder
    if (key === "library" && isFolder(path)) {
      if (findTensorFlow(path).found !== null) continue;
      findings.fault(index, ["backend", key], {
        value: path,
        reason: "the folder holds no TensorFlow libraries",
        fix: "name the folder with TensorFlow's libraries, or a PJRT plugin's file",
      });
      continue;
    }
    const reason = irregularity(path) ?? (isLibrary(path) ? null : "it is no shared library");
    if (reason === null) continue;
    findings.fault(index, ["backend", key], {
      value: path,
      reason,
      fix:
        key === "cblas" ? "name a library with cblas_sgemm, or use auto or off" : "name the library's file",
    });
  }
}

/** Beginnings of ELF, Mach-O (either byte order, or several machines in one) and PE files. */
const LIBRARY_STARTS = ["7f454c46", "feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe", "4d5a"];

function isLibrary(path: string): boolean {
  const start = Buffer.alloc(4);
  const handle = openSync(path, "r");
  try {
    readSync(handle, start, 0, 4, 0);
  } finally {
    closeSync(handle);
  }
  return LIBRARY_STARTS.some((magic) => start.toString("hex").startsWith(magic));
}
