import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const STEPS = 60;
const configWith = (name: string, sampler: string) =>
  space.write(
    name,
    tinyGrpo
      .replace("steps: 4", `steps: ${STEPS}`)
      .replace("checkpoint_every: 2, keep_last: 9", "checkpoint_every: 1")
      // everything that keeps a state of its own: the sampler's table, redrawn groups, targets that follow the policy
      .replace("train: { kind: chain, levels: [1, 2] }", "train: { kind: chain, levels: [1, 2], size: 24 }")
      .replace(
        "algorithm: { kind: grpo }",
        "algorithm: { kind: grpo, dynamic_sampling: { oversampling: 3 } }",
      )
      .concat(`sampler: ${sampler}
shaping:
  - kind: laser-d
    target_tokens: 2
    longest_tokens: 8
    interval: 1
    monitor: { every: 3, prompts: 4, samples: 3 }
`),
  );
const config = configWith("kill.yaml", "{ kind: success-rate }");

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ["bin/rlpt.js", "train", ...args, "--quiet", "--backend", "wasm"], {
    stdio: "ignore",
  });
}

const ended = (child: ChildProcess) =>
  new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
  });

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function whole(runDir: string): number {
  const folder = join(runDir, "checkpoints");
  return existsSync(folder)
    ? (readdirSync(folder)
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .sort((a, b) => a - b)
        .at(-1) ?? 0)
    : 0;
}

function writing(runDir: string): boolean {
  const folder = join(runDir, "checkpoints");
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith(".tmp-"));
}

/** Runs a config undisturbed and killed again and again, and compares. @returns kills inside a checkpoint */
async function killAndCompare(config: string, name: string, most: number): Promise<number> {
  const calm = space.path(`calm${name}`);
  expect(await ended(start([config, "--run-dir", calm]))).toBe(0);

  const killed = space.path(`killed${name}`);
  const rng = createRng(11);
  let insideCheckpoint = 0;
  let kills = 0;
  for (let attempt = 0; ; attempt++) {
    expect(attempt).toBeLessThan(80);
    const begun = existsSync(join(killed, "recipe.yaml"));
    const child = start(begun ? ["--resume", killed] : [config, "--run-dir", killed]);
    const exit = ended(child);
    if (kills >= most) {
      expect(await exit).toBe(0);
      break;
    }
    // a step or two further, then at a random moment or in the middle of the next checkpoint
    const target = whole(killed) + 1 + rng.integer(2, attempt);
    const deadline = performance.now() + 30_000;
    while (child.exitCode === null && whole(killed) < target && performance.now() < deadline) await pause(2);
    if (attempt % 2 === 0) {
      while (child.exitCode === null && !writing(killed) && performance.now() < deadline) await pause(0);
    } else await pause(rng.fork("delay").integer(30, attempt));
    child.kill("SIGKILL");
    const outcome = await exit;
    if (outcome === 0) break;
    expect(outcome).toBe("SIGKILL");
    if (writing(killed)) insideCheckpoint++;
    kills++;
  }
  expect(kills).toBeGreaterThanOrEqual(most - 2);
  expectSameRun(killed, calm, STEPS);
  return insideCheckpoint;
}

it("ends with the same bytes as an unkilled run after 22 kills, some inside a checkpoint", async () => {
  expect(await killAndCompare(config, "", 22)).toBeGreaterThanOrEqual(3);
}, 300_000);

it("so does a run whose prompts a bandit draws, which remembers advantages", async () => {
  const bandit = configWith("bandit.yaml", "{ kind: ucb, column: level, window: 20, tau: 1 }");
  await killAndCompare(bandit, "-bandit", 6);
  const rows = rowsWithoutTime(join(space.path("killed-bandit"), "metrics.csv"));
  expect(new Set(rows.map((row) => row["sampler/largest_share"])).size).toBeGreaterThan(10);
}, 300_000);

it("Ctrl-C writes a checkpoint, exits 130, and a resume ends as if nothing had happened", async () => {
  const runDir = space.path("interrupted");
  const child = start([config, "--run-dir", runDir]);
  const exit = ended(child);
  while (child.exitCode === null && whole(runDir) < 3) await pause(2);
  child.kill("SIGINT");
  expect(await exit).toBe(130);
  expect(whole(runDir)).toBeGreaterThanOrEqual(3);
  expect(whole(runDir)).toBeLessThan(STEPS);
  expect(await ended(start(["--resume", runDir]))).toBe(0);
  expectSameRun(runDir, space.path("calm"), STEPS);
});
