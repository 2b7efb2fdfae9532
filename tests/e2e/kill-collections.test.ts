/** `rlpt pipeline` and `rlpt sweep`, killed with all their children at any moment, and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { expectSameRun } from "../helpers/same-run.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const STEPS = 16;
const tiny = tinyGrpo
  .replace("levels: [1, 2] }", "levels: [1, 2], size: 6 }")
  .replace("steps: 4", `steps: ${STEPS}`)
  .replace("checkpoint_every: 2, keep_last: 9", "checkpoint_every: 1, keep_last: 2");
space.write("tiny.yaml", `backend: wasm\n${tiny}`);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function start(args: readonly string[]): {
  child: ChildProcess;
  ended: Promise<number | null>;
  said: () => string;
} {
  const child = spawn(process.execPath, ["bin/rlpt.js", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (part) => (text += String(part)));
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code));
  });
  return { child, ended, said: () => text };
}

/** Processes that have the folder in their command line: the command, and the runs that it started. */
function processesOf(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(folder) ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

/** Steps of the newest checkpoints of all runs in the folder. */
function progress(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder).reduce((sum, run) => {
    const checkpoints = join(folder, run, "checkpoints");
    const steps = existsSync(checkpoints)
      ? readdirSync(checkpoints).filter((name) => /^\d+$/.test(name))
      : [];
    return sum + Math.max(0, ...steps.map(Number));
  }, 0);
}

/**
 * Kills the command a few steps after it has begun, in turn with all that it started and alone: then its children
 * write a checkpoint and end by themselves. @param folder of the runs @returns how often it was killed
 */
async function runWithKills(args: readonly string[], folder: string, most: number): Promise<number> {
  const rng = createRng(5).fork("kills");
  for (let kills = 0; ; kills++) {
    const before = progress(folder);
    const { child, ended, said } = start(args);
    if (kills === most) {
      expect(await ended, said()).toBe(0);
      return kills;
    }
    const target = before + 1 + rng.integer(4, kills);
    while (child.exitCode === null && progress(folder) < target) await pause(10);
    if (child.exitCode !== null) {
      expect(await ended, said()).toBe(0);
      return kills;
    }
    child.kill("SIGKILL");
    if (kills % 2 === 0) processesOf(folder).forEach(kill);
    await ended;
    for (let i = 0; i < 600 && processesOf(folder).length > 0; i++) await pause(50);
    expect(processesOf(folder)).toEqual([]);
  }
}

function expectSameRuns(folder: string, calm: string, ids: readonly string[]): void {
  for (const id of ids) expectSameRun(join(folder, id), join(calm, id), STEPS);
}

it("a pipeline ends with the same bytes, selections included, whatever was killed", {
  timeout: 300_000,
}, async () => {
  const file = space.write(
    "experiment.yaml",
    `experiment: tiny
config: tiny.yaml
seeds: [1]
arms:
  full: {}
  selected: { select: { from: full, top: 0.5 } }
  random: { select: { from: full, top: 0.5, random: true } }
compare: [[selected, random]]
`,
  );
  const at = (root: string) => ["pipeline", file, "--root", space.path(root), "--jobs", "2"];
  const calm = start(at("calm"));
  expect(await calm.ended, calm.said()).toBe(0);
  const folder = space.path("killed/tiny");
  expect(await runWithKills(at("killed"), folder, 3)).toBeGreaterThanOrEqual(2);
  expectSameRuns(folder, space.path("calm/tiny"), ["full-s1", "selected-s1", "random-s1"]);
  for (const name of [
    "results.csv",
    "differences.csv",
    "data/selected-s1/scores.csv",
    "data/selected-s1/selected.jsonl",
  ]) {
    expect(readFileSync(join(folder, name), "utf8"), name).toBe(
      readFileSync(join(space.path("calm/tiny"), name), "utf8"),
    );
  }
  // what is finished is not run again
  const times = ["full-s1", "selected-s1"].map((id) => statSync(join(folder, id, "metrics.csv")).mtimeMs);
  const again = start(at("killed"));
  expect(await again.ended).toBe(0);
  expect(again.said().match(/done already/g)).toHaveLength(3);
  expect(["full-s1", "selected-s1"].map((id) => statSync(join(folder, id, "metrics.csv")).mtimeMs)).toEqual(
    times,
  );
});

it("so does a sweep", { timeout: 300_000 }, async () => {
  const config = space.write(
    "sweep.yaml",
    `${tiny.replace("exact, extract: whole", "exact, extract: whole, name: right")}
backend: wasm
sweep: { grid: { optimizer.lr: [0.01, 0.02] } }
`.replace("levels: [1], size: 6", "levels: [1], size: 6, prompt: ellipsis"),
  );
  const at = (out: string) => ["sweep", config, "--out", space.path(out)];
  const calm = start(at("sweep calm"));
  expect(await calm.ended, calm.said()).toBe(0);
  const folder = space.path("sweep killed");
  expect(await runWithKills(at("sweep killed"), folder, 2)).toBeGreaterThanOrEqual(1);
  expectSameRuns(folder, space.path("sweep calm"), ["optimizer.lr=0.01-s3", "optimizer.lr=0.02-s3"]);
  expect(readFileSync(join(folder, "pareto.csv"), "utf8")).toBe(
    readFileSync(join(space.path("sweep calm"), "pareto.csv"), "utf8"),
  );
});
