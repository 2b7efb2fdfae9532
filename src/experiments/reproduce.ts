/** `rlpt reproduce`: the arms of claims as child processes, then a verdict on each. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { type Job, trainingArguments } from "../processes/pool.ts";
import { conditionValues, type EvaluationReader, evaluationReader } from "../report/claim-values.ts";
import { sequentialDesign } from "../report/looks.ts";
import { judge, type Verdict, verdicts } from "../report/verdict.ts";
import { type Reproduction, valueLines, verdictRecord } from "../report/verdict-record.ts";
import { readProvenance } from "../run/provenance.ts";
import type { Children } from "../terminal/children.ts";
import { type FailedJob, runJobs, selectTrainingData } from "./arm-runs.ts";
import { type Claim, withSeeds } from "./claim.ts";
import { type ClaimPlan, type PlannedEvaluation, type PlannedRun, planClaims } from "./claim-plan.ts";

export interface ReproduceOptions {
  /** Runs go to <root>/runs, shared by all claims; verdicts to <root>/<claim>. */
  root: string;
  concurrency: number;
  note: (text: string) => void;
  /** Where the runs are shown while they go on. */
  children?: Children;
}

export interface ReproduceResult {
  reproductions: Reproduction[];
  /** Claims without a verdict: a run of theirs failed, or did not measure what is asked for. */
  failed: { claim: string; told: string }[];
}

/**
 * Look by look: runs what is not done yet, each run once however many claims need it, and judges; a claim that is decided
 * takes no more seeds. Looks depend on what is in the root alone, so a call that was killed goes on where it was.
 * @throws InterruptedError after Ctrl-C; the same call goes on
 */
export async function reproduce(
  claims: readonly Claim[],
  options: ReproduceOptions,
): Promise<ReproduceResult> {
  mkdirSync(options.root, { recursive: true });
  const done = new Map<string, Reproduction>();
  const failed: ReproduceResult["failed"] = [];
  const lost = new Map<string, string>();
  let open = [...claims];
  for (let look = 0; open.length > 0; look++) {
    const plans = await planClaims(
      open.map((claim) => withSeeds(claim, claim.looks[look]!)),
      options.root,
    );
    await runAll(plans, lost, options);
    const read = evaluationReader();
    open = open.filter((claim, i) => {
      const found = concludeLook(plans[i]!, claim.looks, look, lost, read);
      if ("told" in found) failed.push({ claim: claim.name, told: found.told });
      else done.set(claim.name, found);
      return !("told" in found) && found.verdict === "INCONCLUSIVE" && look + 1 < claim.looks.length;
    });
    for (const { name, looks } of open)
      options.note(`${name}: open after ${looks[look]} seeds, so it takes ${looks[look + 1]}`);
  }
  return { reproductions: claims.flatMap(({ name }) => done.get(name) ?? []), failed };
}

/** One claim after one look; `told` is why there is no verdict. */
function concludeLook(
  plan: ClaimPlan,
  looks: readonly number[],
  look: number,
  lost: ReadonlyMap<string, string>,
  read: EvaluationReader,
): Reproduction | { told: string } {
  const missing = [...plan.runs, ...plan.evaluations].flatMap(({ id }) => lost.get(id) ?? []);
  if (missing.length > 0) return { told: missing.join("\n") };
  try {
    return conclude(plan, looks, look, read);
  } catch (error) {
    if (!(error instanceof RlptError)) throw error;
    return { told: error.message };
  }
}

/** @param lost gets, by run or evaluation that could not be had, what went wrong */
async function runAll(
  plans: readonly ClaimPlan[],
  lost: Map<string, string>,
  options: ReproduceOptions,
): Promise<void> {
  const runs = [...new Set(plans.flatMap((plan) => plan.runs))];
  const evaluations = [...new Set(plans.flatMap((plan) => plan.evaluations))];
  const record = (failed: readonly FailedJob[]): void => {
    for (const { name, told } of failed) lost.set(name, told);
  };
  // 1. what depends on nothing
  const first: Job[] = [];
  for (const run of runs) if (run.select === null) first.push(...(await trainingJob(run, run.set, options)));
  const more = evaluations.length === 0 ? "" : ` and ${evaluations.length} evaluations of their checkpoints`;
  options.note(`${runs.length} runs${more}; ${first.length} of them begin or go on now`);
  record(await runJobs(first, options));

  // 2. runs on data that those selected, and other looks at checkpoints that are there
  const second: Job[] = [];
  for (const run of runs) {
    if (run.select === null) continue;
    const { from, rule, directory } = run.select;
    if (lost.has(from.id)) {
      lost.set(run.id, lost.get(from.id)!);
      continue;
    }
    const over = await selectTrainingData({
      id: run.id,
      select: rule,
      seed: run.seed,
      draw: run.draw,
      directory,
      source: { id: from.id, runDir: from.runDir, pool: from.pool },
      note: existsSync(run.runDir) ? () => {} : options.note,
    });
    second.push(...(await trainingJob(run, [...run.set, over], options)));
  }
  const early = evaluations.filter(({ run }) => run.select === null);
  second.push(...evaluationJobs(early, lost, options));
  record(await runJobs(second, options));

  // 3. looks at what was trained on selections
  const late = evaluations.filter(({ run }) => run.select !== null);
  record(await runJobs(evaluationJobs(late, lost, options), options));
}

/** "limr-selection: random, seed 2 (limr-s2-0123456789)" */
const labelOf = ({ uses, seed, id }: PlannedRun): string =>
  `${[...uses].slice(0, 2).join(" and ")}${uses.size > 2 ? " ..." : ""}, seed ${seed} (${id})`;

const logOf = (id: string, { root }: ReproduceOptions): string => join(root, "logs", `${id}.log`);

async function trainingJob(
  run: PlannedRun,
  set: readonly string[],
  options: ReproduceOptions,
): Promise<Job[]> {
  const args = await trainingArguments(run.runDir, run.config, { set, seed: run.seed });
  return args === null
    ? []
    : [{ name: run.id, label: labelOf(run), args: [...args, "--quiet"], log: logOf(run.id, options) }];
}

function evaluationJobs(
  evaluations: readonly PlannedEvaluation[],
  lost: Map<string, string>,
  options: ReproduceOptions,
): Job[] {
  return evaluations.flatMap(({ id, run, set, directory }) => {
    const [csv, prompts] = ["eval.csv", "eval-prompts.csv"].map((name) => join(directory, name));
    const told = lost.get(run.id);
    if (told !== undefined) lost.set(id, told);
    if (told !== undefined || (existsSync(csv!) && existsSync(prompts!))) return [];
    const flags = set.flatMap((one) => ["--set", one]);
    const args = ["eval", run.runDir, ...flags, "--csv", csv!, "--prompts", prompts!];
    return [{ name: id, label: `${labelOf(run)}, evaluated again`, args, log: logOf(id, options) }];
  });
}

/** The verdict on a claim whose runs are done, written as verdict.json and values.csv. */
function conclude(
  plan: ClaimPlan,
  looks: readonly number[],
  look: number,
  read: EvaluationReader,
): Reproduction {
  const { claim, arms, sources, directory } = plan;
  const design = sequentialDesign(looks);
  const level = design.levels[look]!;
  const conditions = claim.options.conditions.map((condition) => ({
    condition,
    values: conditionValues(
      arms.get(condition.of)!,
      condition.minus === undefined ? null : arms.get(condition.minus)!,
      condition,
      read,
      level,
    ),
  }));
  const judgement = judge(
    conditions.map(({ condition, values }) => ({ effect: values.effect, requirement: condition })),
  );
  const commits = plan.runs.map(({ runDir }) => readProvenance(runDir)?.git ?? null);
  const reproduction = verdictRecord({
    name: claim.name,
    file: claim.file,
    options: claim.options,
    conditions,
    judgement,
    design: { ...design, look: look + 1, level },
    sources,
    commits: [
      ...new Set(commits.map((git) => (git === null ? "unknown" : git.commit + (git.dirty ? " +" : "")))),
    ],
    directory,
  });
  try {
    writeFileAtomic(join(directory, "values.csv"), valueLines(conditions));
    writeFileAtomic(join(directory, "verdict.json"), `${JSON.stringify(reproduction, null, 2)}\n`);
  } catch (error) {
    throw new RlptError(`${directory}: the verdict cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return reproduction;
}

/** What the folder of a claim says; null before its first verdict. */
export function lastVerdict(root: string, claim: string): Verdict | null {
  const path = join(root, claim, "verdict.json");
  if (!existsSync(path)) return null;
  const { verdict } = JSON.parse(readFileSync(path, "utf8")) as { verdict?: string };
  return verdicts.find((one) => one === verdict) ?? null;
}
