/** usage.json: the time, memory and disk a run really took. What plans are compared with. */

import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { peakMemory } from "../lib/peak-memory.ts";
import { checkpointsDirectory } from "./checkpoint.ts";
import { writeWhole } from "./write-whole.ts";

export interface StageUsage {
  stage: string;
  steps: number;
  /**
   * Of the stage's first step in each process, whose tensors are new, and of steps that compile: writing and keeping a program
   * takes time besides compiling it. How many these are, and their seconds.
   */
  first_steps: number;
  first_step_s: number;
  /** Seconds of all steps, first ones included; evaluations and checkpoints are apart. */
  steps_s: number;
  /** Their part that updates take; 0 where steps are not told apart (supervised training). */
  first_update_s: number;
  update_s: number;
  /** Compiling programs, where the backend does: no part of the other times. */
  compile_s: number;
  /** Summed over steps: the share of completions that took part in the update. */
  first_live: number;
  live: number;
  evaluations: number;
  evaluation_s: number;
  checkpoints: number;
  checkpoint_s: number;
}

export interface Usage {
  version: 1;
  /** How often the run was started or resumed. */
  processes: number;
  /** Largest resident set of any of its processes, bytes. */
  peak_rss_bytes: number;
  /** From the start of each process to its first step or evaluation, summed. */
  startup_s: number;
  total_s: number;
  /** Processor time of its processes and their threads. */
  cpu_s: number;
  stages: StageUsage[];
  disk: { checkpoints: number; checkpoints_bytes: number; rest_bytes: number };
}

export const usageName = "usage.json";

const amount = z.number().min(0);
/** Nothing guards this file, and sums with a number that is not there are none for ever. */
const usageShape = z.object({
  version: z.literal(1),
  processes: amount,
  peak_rss_bytes: amount,
  startup_s: amount,
  total_s: amount,
  cpu_s: amount,
  stages: z.array(
    z.object({
      stage: z.string(),
      steps: amount,
      first_steps: amount,
      first_step_s: amount,
      steps_s: amount,
      first_update_s: amount,
      update_s: amount,
      compile_s: amount,
      first_live: amount,
      live: amount,
      evaluations: amount,
      evaluation_s: amount,
      checkpoints: amount,
      checkpoint_s: amount,
    }),
  ),
  disk: z.object({ checkpoints: amount, checkpoints_bytes: amount, rest_bytes: amount }),
});

export interface UsageMeter {
  stage(name: string): void;
  /** @param update seconds of it, and the share of the completions that could move the weights */
  step(seconds: number, update?: { seconds: number; live: number }): void;
  evaluation<T>(run: () => Promise<T>): Promise<T>;
  checkpoint<T>(run: () => Promise<T>): Promise<T>;
  /** Writes usage.json; after each checkpoint, so that a kill loses little. */
  write(): void;
}

/** Null where the run has none, or one that cannot be read. */
export function readUsage(runDir: string): Usage | null {
  const path = join(runDir, usageName);
  if (!existsSync(path)) return null;
  try {
    const usage: unknown = JSON.parse(readFileSync(path, "utf8"));
    return usageShape.safeParse(usage).success ? (usage as Usage) : null;
  } catch {
    return null;
  }
}

/**
 * @param clock seconds
 * @param options.compiled seconds of compiling so far
 * @param options.began when the process began with the run, by the clock
 * @param options.resumed count on from what the run directory says of earlier processes
 */
export function createUsageMeter(
  runDir: string,
  clock: () => number,
  { began, resumed, compiled = () => 0 }: { began: number; resumed: boolean; compiled?: () => number },
): UsageMeter {
  const before = resumed ? readUsage(runDir) : null;
  const cpuBefore = process.cpuUsage();
  let startup: number | null = null;
  let firstStep = true;
  let compiledBefore = 0;
  /** Compiling of the step that is being made. */
  let ofStep = 0;
  /** Compiling since the last call, noted. */
  const compiling = (): number => {
    const seconds = Math.max(0, compiled() - compiledBefore);
    compiledBefore += seconds;
    stages.at(-1)!.compile_s += seconds;
    return seconds;
  };
  const stages: StageUsage[] = structuredClone(before?.stages ?? []);
  const stage = (name: string): void => {
    startup ??= clock() - began;
    firstStep = true;
    if (stages.at(-1)?.stage === name) return;
    stages.push({
      stage: name,
      steps: 0,
      first_steps: 0,
      first_step_s: 0,
      steps_s: 0,
      first_update_s: 0,
      update_s: 0,
      compile_s: 0,
      first_live: 0,
      live: 0,
      evaluations: 0,
      evaluation_s: 0,
      checkpoints: 0,
      checkpoint_s: 0,
    });
  };
  const timed = async <T>(run: () => Promise<T>, count: "evaluations" | "checkpoints"): Promise<T> => {
    // a step's last evaluation comes before the step is told of
    ofStep += compiling();
    const start = clock();
    const result = await run();
    const now = stages.at(-1)!;
    now[count] += 1;
    now[count === "evaluations" ? "evaluation_s" : "checkpoint_s"] += clock() - start - compiling();
    return result;
  };
  return {
    stage,
    step(seconds, update = { seconds: 0, live: 1 }) {
      const now = stages.at(-1)!;
      const compile = ofStep + compiling();
      ofStep = 0;
      const step = Math.max(0, seconds - compile);
      // it is updates whose shapes change from step to step
      const updating = Math.max(0, Math.min(step, update.seconds - compile));
      now.steps += 1;
      now.steps_s += step;
      now.update_s += updating;
      now.live += update.live;
      if (firstStep || compile > 0) {
        now.first_steps += 1;
        now.first_step_s += step;
        now.first_update_s += updating;
        now.first_live += update.live;
      }
      firstStep = false;
    },
    evaluation: (run) => timed(run, "evaluations"),
    checkpoint: (run) => timed(run, "checkpoints"),
    write() {
      const usage: Usage = {
        version: 1,
        processes: (before?.processes ?? 0) + 1,
        peak_rss_bytes: Math.max(before?.peak_rss_bytes ?? 0, peakMemory()),
        startup_s: (before?.startup_s ?? 0) + (startup ?? 0),
        total_s: (before?.total_s ?? 0) + clock() - began,
        cpu_s: (before?.cpu_s ?? 0) + cpuSeconds(cpuBefore),
        stages,
        disk: diskUsage(runDir),
      };
      writeWhole(join(runDir, usageName), `${JSON.stringify(usage, null, 2)}\n`);
    },
  };
}

function cpuSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** What a run directory takes: whole checkpoints, and everything else but usage.json itself. */
export function diskUsage(runDir: string): Usage["disk"] {
  const folder = checkpointsDirectory(runDir);
  const checkpoints = existsSync(folder) ? readdirSync(folder).filter((name) => /^\d+$/.test(name)) : [];
  const bytes = checkpoints.reduce((sum, name) => sum + bytesOf(join(folder, name)), 0);
  const rest = bytesOf(runDir) - bytesOf(folder) - bytesOf(join(runDir, usageName));
  return { checkpoints: checkpoints.length, checkpoints_bytes: bytes, rest_bytes: rest };
}

/** Bytes of a file, or of the files below a directory; 0 when it is not there. Links are not followed. */
export function bytesOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}
