import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createUsageMeter, readUsage } from "../../src/run/usage.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

it("adds up steps, evaluations and checkpoints by stage, across processes", async () => {
  const runDir = space.path("run");
  mkdirSync(join(runDir, "checkpoints", "000002"), { recursive: true });
  writeFileSync(join(runDir, "checkpoints", "000002", "weights"), "x".repeat(100));
  writeFileSync(join(runDir, "metrics.csv"), "x".repeat(30));
  let now = 0;
  const clock = () => now;
  const wait = (seconds: number) => async () => {
    now += seconds;
  };

  const first = createUsageMeter(runDir, clock, { began: 0, resumed: false });
  now = 2;
  first.stage("a");
  await first.evaluation(wait(3));
  for (const seconds of [5, 1]) {
    now += seconds;
    first.step(seconds, { seconds: seconds / 2, live: 1 / seconds });
  }
  first.stage("b");
  now += 4;
  first.step(4);
  await first.checkpoint(wait(0.5));
  first.write();

  const began = now;
  const second = createUsageMeter(runDir, clock, { began, resumed: true });
  now += 1;
  second.stage("b");
  for (const seconds of [2, 1]) {
    now += seconds;
    second.step(seconds);
  }
  second.write();

  const usage = readUsage(runDir)!;
  expect(usage.stages).toEqual([
    {
      stage: "a",
      steps: 2,
      first_steps: 1,
      first_step_s: 5,
      steps_s: 6,
      first_update_s: 2.5,
      update_s: 3,
      compile_s: 0,
      first_live: 0.2,
      live: 1.2,
      evaluations: 1,
      evaluation_s: 3,
      checkpoints: 0,
      checkpoint_s: 0,
    },
    // two first steps: one in each process
    {
      stage: "b",
      steps: 3,
      first_steps: 2,
      first_step_s: 6,
      steps_s: 7,
      // where nothing is told of updates, all took part
      first_update_s: 0,
      update_s: 0,
      compile_s: 0,
      first_live: 2,
      live: 3,
      evaluations: 0,
      evaluation_s: 0,
      checkpoints: 1,
      checkpoint_s: 0.5,
    },
  ]);
  expect(usage).toMatchObject({ processes: 2, startup_s: 3, total_s: 19.5 });
  // usage.json itself does not count
  expect(usage.disk).toEqual({ checkpoints: 1, checkpoints_bytes: 100, rest_bytes: 30 });
  expect(usage.peak_rss_bytes).toBeGreaterThan(10e6);
});

it("keeps compiling apart from what it was done in", async () => {
  const runDir = space.path("compiled");
  mkdirSync(runDir);
  let now = 0;
  let compiled = 0;
  const usage = createUsageMeter(runDir, () => now, { began: 0, resumed: false, compiled: () => compiled });
  usage.stage("a");
  await usage.evaluation(async () => {
    now += 5;
    compiled += 3;
  });
  compiled += 4;
  usage.step(6, { seconds: 5, live: 0.5 });
  usage.step(2, { seconds: 1, live: 0.5 });
  compiled += 1;
  await usage.evaluation(async () => {}); // told of before its step
  usage.step(3, { seconds: 2, live: 0.5 });
  usage.write();
  expect(readUsage(runDir)!.stages[0]).toMatchObject({
    compile_s: 3 + 4 + 1,
    evaluation_s: 2,
    first_steps: 2,
    first_step_s: 2 + 2,
    first_update_s: 1 + 1,
    steps_s: 6,
    update_s: 3,
  });
});

it("starts anew where a run starts anew, and reads nothing from a broken file", () => {
  const runDir = space.path("other");
  mkdirSync(runDir);
  writeFileSync(join(runDir, "usage.json"), '{"version": 1, "processes": 7, "stages": [');
  expect(readUsage(runDir)).toBeNull();
  createUsageMeter(runDir, () => 0, { began: 0, resumed: true }).write();
  expect(readUsage(runDir)!.processes).toBe(1);
  createUsageMeter(runDir, () => 0, { began: 0, resumed: false }).write();
  expect(readUsage(runDir)!.processes).toBe(1);
});

it("counts on from no file that lacks a number: a sum with it would be none for ever", () => {
  const runDir = space.path("flipped");
  mkdirSync(runDir);
  const path = join(runDir, "usage.json");
  const first = createUsageMeter(runDir, () => 0, { began: 0, resumed: false });
  first.stage("a");
  first.write();
  const whole = readFileSync(path, "utf8");
  const keys = [...whole.matchAll(/"(\w+)":/g)].map(([, key]) => key!);
  expect(keys.length).toBeGreaterThan(20);
  for (const key of keys) {
    writeFileSync(path, whole.replace(`"${key}":`, `"X${key.slice(1)}":`));
    const meter = createUsageMeter(runDir, () => 0, { began: 0, resumed: true });
    meter.stage("a");
    meter.step(1);
    meter.write();
    expect(readFileSync(path, "utf8"), key).not.toContain("null");
    expect(readUsage(runDir)?.stages[0]?.steps, key).toBe(1);
  }
});
