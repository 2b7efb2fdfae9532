/** Several of our own commands at once, as child processes: what pipelines and sweeps run on. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LoadOptions, loadRecipe } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import { CheckpointError } from "../lib/errors.ts";
import { packageRoot } from "../lib/version.ts";
import { latestCheckpoint } from "../run/checkpoint.ts";
import { isFinished } from "../run/finished.ts";
import { ignoresHangup } from "../run/hangup.ts";
import { hashFile } from "../run/manifest.ts";
import { readProvenance } from "../run/provenance.ts";
import { recipeDifferences } from "../run/resume-check.ts";
import { isRunDirectory, readRecipe } from "../run/run-directory.ts";

/** One command of ours, such as `train config.yaml --out runs/a`. */
export interface Job {
  /** For messages; unique within a pool. */
  name: string;
  /** What progress calls it; the name when absent. */
  label?: string;
  /** Arguments after `rlpt`. */
  args: readonly string[];
  /** Where its output goes, appended to. */
  log: string;
}

export interface JobResult {
  name: string;
  /** Exit status: 0 done, 130 interrupted after a checkpoint, 137 killed; null when it was never started. */
  status: number | null;
  seconds: number;
}

export interface PoolOptions {
  /** Processes at a time; `defaultConcurrency()` for one per core. */
  concurrency: number;
  onStart?: (job: Job) => void;
  onEnd?: (job: Job, result: JobResult) => void;
  /** Told once, when Ctrl-C reaches the children. */
  onInterrupt?: (signal: NodeJS.Signals) => void;
}

/** One process per core that this process may use. */
export function defaultConcurrency(): number {
  return availableParallelism();
}

/** How Node starts the program that runs now, whatever is rebuilt meanwhile. @returns arguments of `node` */
export function ownCommand(): string[] {
  const bundle = new URL("./cli.js", import.meta.url);
  if (!existsSync(fileURLToPath(bundle))) return [join(packageRoot(), "bin", "rlpt.js")];
  return ["-e", `import(${JSON.stringify(bundle.href)}).then((cli) => cli.main(process.argv))`, "rlpt"];
}

/**
 * Runs the jobs, at most `concurrency` at once, in their order. Ctrl-C is handed to the children once (they
 * write a checkpoint and end with 130) and a second time (they end at once); no further job is started then.
 * @returns results in the jobs' order; a failed job does not stop the others
 */
export async function runPool(jobs: readonly Job[], options: PoolOptions): Promise<JobResult[]> {
  const results: JobResult[] = jobs.map(({ name }) => ({ name, status: null, seconds: 0 }));
  const children = new Set<ReturnType<typeof spawn>>();
  let stopped = false;
  const forward = (signal: NodeJS.Signals): void => {
    if (!stopped) options.onInterrupt?.(signal);
    stopped = true;
    for (const child of children) child.kill(signal);
  };
  const signals: readonly NodeJS.Signals[] = [
    "SIGINT",
    "SIGTERM",
    ...(ignoresHangup() ? [] : (["SIGHUP"] as const)),
  ];
  for (const signal of signals) process.on(signal, forward);
  let next = 0;
  const work = async (): Promise<void> => {
    while (!stopped && next < jobs.length) {
      const index = next++;
      const job = jobs[index]!;
      options.onStart?.(job);
      results[index] = await runJob(job, children);
      options.onEnd?.(job, results[index]!);
    }
  };
  try {
    const workers = Math.max(1, Math.min(Math.floor(options.concurrency), jobs.length));
    await Promise.all(Array.from({ length: workers }, work));
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
  return results;
}

function runJob(job: Job, children: Set<ReturnType<typeof spawn>>): Promise<JobResult> {
  mkdirSync(dirname(job.log), { recursive: true });
  const log = openSync(job.log, "a");
  const began = performance.now();
  return new Promise((resolve, reject) => {
    // a group of its own: a terminal's Ctrl-C reaches it through us, once; `ipc` tells it when we are gone
    const child = spawn(process.execPath, [...ownCommand(), ...job.args], {
      detached: process.platform !== "win32",
      windowsHide: true,
      stdio: ["ignore", log, log, "ipc"],
    });
    children.add(child);
    const done = () => {
      children.delete(child);
      closeSync(log);
    };
    child.on("error", (error) => {
      done();
      reject(error);
    });
    child.on("exit", (code, signal) => {
      done();
      const status = code ?? (["SIGINT", "SIGTERM", "SIGHUP"].includes(signal ?? "") ? 130 : 137);
      resolve({ name: job.name, status, seconds: (performance.now() - began) / 1000 });
    });
  });
}

/** What the exit status of a training run means. @param status null: it was never started */
export function statusWords(status: number | null): string {
  switch (status) {
    case 0:
      return "done";
    case 5:
      return "stopped by an alarm of run.stop_on";
    case 130:
      return "stopped after a checkpoint";
    default:
      return `failed (${status})`;
  }
}

/** The run directory that a job of `rlpt train` fills; null for another command. */
export function runDirectoryOf({ args }: Job): string | null {
  if (args[0] !== "train") return null;
  const at = args.findIndex((argument) => argument === "--out" || argument === "--resume");
  return at === -1 ? null : (args[at + 1] ?? null);
}

/** How far a training run in `runDir` is. */
export type RunProgress = "none" | "begun" | "done";

/**
 * Looks at a run directory that `rlpt train config` with these options would fill.
 * @throws CheckpointError when it holds a run of another recipe, naming the keys
 */
export async function trainingProgress(
  runDir: string,
  config: string,
  options: LoadOptions = {},
): Promise<RunProgress> {
  if (!isRunDirectory(runDir)) return "none";
  const { stages } = loadRecipe(config, options);
  const changed = recipeDifferences(readRecipe(runDir), printResolved({ stages }));
  if (changed.length > 0) {
    const list = changed.map(
      ({ path, was, is }) => `  ${path}: ${JSON.stringify(was)} -> ${JSON.stringify(is)}`,
    );
    throw new CheckpointError(
      `${runDir}: holds a run of another recipe; remove it or use another directory:\n${list.join("\n")}`,
      { exitCode: 2 },
    );
  }
  for (const [path, { sha256 }] of Object.entries(readProvenance(runDir)?.data ?? {})) {
    const now = existsSync(path) ? (await hashFile(path)).sha256 : null;
    if (now !== sha256) {
      const what = now === null ? "is gone" : "has changed";
      throw new CheckpointError(
        `${runDir}: ${path}, which it was trained on, ${what}; remove the run or use another directory.`,
        { exitCode: 2 },
      );
    }
  }
  const checkpoint = await latestCheckpoint(runDir, { verify: "hashes" });
  if (checkpoint === null) return "begun";
  const steps = stages.map(({ recipe }) => recipe.steps);
  return isFinished(checkpoint.state, steps) ? "done" : "begun";
}

/** Arguments that start a training run or take it up; null when it is done. */
export async function trainingArguments(
  runDir: string,
  config: string,
  options: LoadOptions = {},
): Promise<string[] | null> {
  const progress = await trainingProgress(runDir, config, options);
  if (progress === "done") return null;
  if (progress === "begun") return ["train", "--resume", runDir];
  return ["train", config, "--out", runDir, ...loadFlags(options)];
}

/** Options of a recipe as flags of `rlpt train` and `rlpt plan`. */
export function loadFlags(options: LoadOptions): string[] {
  return [
    ...(options.set ?? []).flatMap((set) => ["--set", set]),
    ...(options.steps === undefined ? [] : ["--steps", String(options.steps)]),
    ...(options.seed === undefined ? [] : ["--seed", String(options.seed)]),
    ...(options.backend === undefined ? [] : ["--backend", options.backend]),
    ...(options.name === undefined ? [] : ["--name", options.name]),
  ];
}

/** The end of a job's log, for the message about its failure. */
export function logTail(path: string, lines = 8): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
}
