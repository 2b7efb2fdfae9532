import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CheckpointError, ConfigError, DataError } from "../../src/lib/errors.ts";
import { checkpointSteps, writeCheckpoint } from "../../src/run/checkpoint.ts";
import { runOptions } from "../../src/run/options.ts";
import {
  collectProvenance,
  type ProvenanceInput,
  readProvenance,
  recordResume,
  writeProvenance,
} from "../../src/run/provenance.ts";
import { changedInputs, recipeDifferences } from "../../src/run/resume-check.ts";
import {
  createRunDirectory,
  isRunDirectory,
  listRuns,
  openRun,
  readRecipe,
  writeRecipe,
} from "../../src/run/run-directory.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "rlpt-run-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const time = new Date("2026-01-05T12:00:07.891Z");
const make = (directory?: string): string =>
  createRunDirectory({
    root,
    name: "grpo",
    seed: 3,
    time,
    ...(directory === undefined ? {} : { directory }),
  });

describe("createRunDirectory", () => {
  test("name, time and seed; a number behind it when that is taken", () => {
    expect(make()).toBe(join(root, "grpo-20260105T120007-s3"));
    expect(make()).toBe(join(root, "grpo-20260105T120007-s3-2"));
  });
  test("a directory of the user's must be new or empty", () => {
    const given = join(root, "mine", "run");
    expect(make(given)).toBe(given);
    expect(make(given)).toBe(given);
    writeRecipe(given, "seed: 1\n");
    expect(() => make(given)).toThrow(`${given}: holds a run already; resume it, or give another directory.`);
    expect(() => make(join(root, "mine"))).toThrow("is not empty and holds no run; give another directory.");
    writeFileSync(join(root, "file"), "");
    expect(() => make(join(root, "file", "run"))).toThrow(ConfigError);
  });
  test("listRuns finds those with a recipe", () => {
    const first = make();
    make();
    writeRecipe(first, "a: 1\n");
    expect(listRuns(root)).toEqual([first]);
    expect(isRunDirectory(root)).toBe(false);
    expect(readRecipe(first)).toBe("a: 1\n");
    expect(() => readRecipe(root)).toThrow("is not a run directory");
  });
});

test("recipeDifferences names key paths and both values", () => {
  expect(
    recipeDifferences("a: 1\nb: {c: [1, 2], d: x}\n", "b: {d: x, c: [1, 3, 4]}\ne: null\na: 1\n"),
  ).toEqual([
    { path: "b.c[1]", was: 2, is: 3 },
    { path: "b.c[2]", was: undefined, is: 4 },
    { path: "e", was: undefined, is: null },
  ]);
  expect(recipeDifferences("a: {b: 1}", "a: {b: 1}")).toEqual([]);
});

describe("openRun", () => {
  test("begins with nothing, goes on after the newest whole checkpoint, and sets aside what is damaged", async () => {
    const runDir = make();
    const run = await openRun(runDir);
    expect(run.from).toBeNull();
    run.logs.startStage("grpo", ["accuracy"]);
    for (const step of [1, 2, 3, 4]) {
      run.logs.metrics(step, { accuracy: 0 });
      if (step % 2 === 0)
        await writeCheckpoint(runDir, step, { files: { w: "w" }, state: { step }, logs: run.logs.counts() });
    }
    run.close();
    writeFileSync(join(runDir, "checkpoints", "000004", "w"), "v");
    const notes: string[] = [];
    const again = await openRun(runDir, { note: (text) => notes.push(text) });
    expect(again.from?.state).toEqual({ step: 2 });
    expect(again.logs.counts()["metrics.csv"].rows).toBe(2);
    expect(notes).toEqual([
      expect.stringMatching(
        /skipped a damaged checkpoint, which now lies in .*000004\.damaged: .*w was changed/,
      ),
    ]);
    again.close();
    expect(checkpointSteps(runDir)).toEqual([2]);
    const third = await openRun(runDir);
    expect(third.from?.step).toBe(2);
    third.close();
  });

  test("is locked while it is open, also when opening fails it is freed", async () => {
    const runDir = make();
    const run = await openRun(runDir);
    await expect(openRun(runDir)).rejects.toThrow("writes this run");
    run.close();
    await writeCheckpoint(runDir, 1, { files: {}, state: {} });
    await expect(openRun(runDir)).rejects.toThrow("does not say how many log rows belong to it");
    await expect(openRun(runDir)).rejects.toThrow(CheckpointError);
  });

  test("stops and removes nothing where no checkpoint is whole", async () => {
    const runDir = make();
    const run = await openRun(runDir);
    run.logs.startStage("grpo", ["accuracy"]);
    for (const step of [1, 2]) {
      run.logs.metrics(step, { accuracy: 0 });
      await writeCheckpoint(runDir, step, { files: { w: "w" }, state: {}, logs: run.logs.counts() });
    }
    run.close();
    rmSync(join(runDir, "checkpoints", "000001", "manifest.json"));
    writeFileSync(join(runDir, "checkpoints", "000002", "manifest.json"), "{");
    const metrics = readFileSync(join(runDir, "metrics.csv"), "utf8");
    await expect(openRun(runDir)).rejects.toThrow(
      /none of its checkpoints is whole, and nothing was removed:\n.*000002: manifest\.json .*\n.*000001: manifest\.json .*\n.*--out/,
    );
    expect(checkpointSteps(runDir)).toEqual([1, 2]);
    expect(readFileSync(join(runDir, "metrics.csv"), "utf8")).toBe(metrics);
    expect(readFileSync(join(runDir, "checkpoints", "000001", "w"), "utf8")).toBe("w");
  });

  test("a changed row of a log is refused by its file's name, unless it is accepted; columns of a later stage are none", async () => {
    const runDir = make();
    const run = await openRun(runDir);
    run.logs.startStage("one", ["accuracy"]);
    run.logs.metrics(1, { accuracy: 0.25 });
    run.logs.metrics(2, { accuracy: 0.5 });
    await writeCheckpoint(runDir, 2, { files: {}, state: {}, logs: run.logs.counts() });
    run.logs.startStage("two", ["accuracy", "policy/kl"]);
    run.logs.metrics(3, { accuracy: 0.5, "policy/kl": 1 });
    run.close();
    (await openRun(runDir)).close();
    const path = join(runDir, "metrics.csv");
    const text = readFileSync(path, "utf8");
    for (const changed of [text.replace("0.25", "0.24"), text.replace("step", "stfp"), text.slice(0, -3)]) {
      writeFileSync(path, changed);
      await expect(openRun(runDir)).rejects.toThrow(
        `${path}: rows that were written before the checkpoint of step 2 were changed or cut.`,
      );
      expect(readFileSync(path, "utf8")).toBe(changed);
    }
    writeFileSync(path, text.replace("0.25", "0.24"));
    const notes: string[] = [];
    (await openRun(runDir, { acceptChanges: true, note: (note) => notes.push(note) })).close();
    expect(notes).toEqual([expect.stringContaining("accepted")]);
  });

  test("rows that the checkpoint counts and the file has lost are told", async () => {
    const runDir = make();
    const run = await openRun(runDir);
    run.logs.startStage("grpo", ["accuracy"]);
    run.logs.metrics(1, { accuracy: 0 });
    await writeCheckpoint(runDir, 1, { files: {}, state: {}, logs: run.logs.counts() });
    run.close();
    rmSync(join(runDir, "metrics.csv"));
    const notes: string[] = [];
    (await openRun(runDir, { note: (text) => notes.push(text) })).close();
    expect(notes).toEqual([
      `${join(runDir, "metrics.csv")} holds 0 rows, but held 1 when the checkpoint of step 1 was written; the missing ones stay missing.`,
    ]);
  });
});

describe("provenance", () => {
  const input = (change: Partial<ProvenanceInput> = {}): ProvenanceInput => ({
    rlptVersion: "1.2.3",
    seed: 3,
    time,
    command: ["train", "a.yaml"],
    backend: { name: "wasm", threads: 2 },
    dataFiles: ["data.jsonl"],
    workingDirectory: root,
    ...change,
  });

  test("versions, backend, command, hashes of data; git's commit and whether files differ from it", async () => {
    writeFileSync(join(root, "data.jsonl"), "{}\n");
    const git = (...args: string[]): string =>
      execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b.c", ...args], {
        cwd: root,
        encoding: "utf8",
      });
    git("init", "-q");
    git("add", "data.jsonl");
    git("commit", "-qm", "data");
    const clean = await collectProvenance(input());
    expect(clean).toMatchObject({
      rlpt: "1.2.3",
      node: process.version,
      seed: 3,
      started: "2026-01-05T12:00:07.891Z",
      command: ["train", "a.yaml"],
      backend: { name: "wasm", threads: 2 },
      git: { commit: git("rev-parse", "HEAD").trim(), dirty: false },
      data: { "data.jsonl": { bytes: 3, sha256: createHash("sha256").update("{}\n").digest("hex") } },
    });
    writeFileSync(join(root, "data.jsonl"), "{ }\n");
    expect((await collectProvenance(input())).git?.dirty).toBe(true);
  });

  test("outside a repository there is no commit; a missing data file is an error", async () => {
    const outside = await collectProvenance(input({ dataFiles: [] }));
    expect(outside.git).toBeNull();
    const missing = collectProvenance(input());
    await expect(missing).rejects.toThrow("data.jsonl: cannot be read: no such file or directory.");
    await expect(missing).rejects.toBeInstanceOf(DataError);
  });

  test("a file that a pattern names since, or no longer, is a change", async () => {
    const runDir = join(root, "pattern");
    mkdirSync(runDir);
    for (const name of ["1.jsonl", "2.jsonl", "3.jsonl"]) writeFileSync(join(root, name), name);
    const reading = (...dataFiles: string[]) => collectProvenance(input({ dataFiles }));
    writeProvenance(runDir, await reading("1.jsonl", "2.jsonl"));
    const now = await reading("2.jsonl", "3.jsonl");
    const changed = changedInputs(runDir, now);
    expect(changed.map(({ what, was, is }) => [what, was === "absent", is === "absent"])).toEqual([
      ["data file 1.jsonl", false, true],
      ["data file 3.jsonl", true, false],
    ]);
    recordResume(runDir, now, 1, changed);
    expect(changedInputs(runDir, now)).toEqual([]);
  });

  test("a resume is added, and what changed since the start is told", async () => {
    mkdirSync(join(root, "run"));
    writeFileSync(join(root, "data.jsonl"), "a");
    const runDir = join(root, "run");
    writeProvenance(runDir, await collectProvenance(input()));
    expect(recordResume(runDir, await collectProvenance(input()), 40)).toEqual([]);
    writeFileSync(join(root, "data.jsonl"), "b");
    const now = await collectProvenance(input({ rlptVersion: "1.3.0", backend: { name: "cpu" } }));
    const changed = changedInputs(runDir, now);
    expect(changed.map(({ what }) => what)).toEqual(["data file data.jsonl"]);
    const changes = recordResume(runDir, now, 50, changed);
    expect(changes).toHaveLength(2);
    expect(changes[0]).toBe('rlpt was "1.2.3" when the run began and is "1.3.0"');
    expect(readProvenance(runDir)?.resumes.map(({ accepted }) => accepted)).toEqual([undefined, changed]);
    expect(changedInputs(runDir, now)).toEqual([]);
    expect(readProvenance(runDir)?.resumes.map(({ from_step, rlpt }) => [from_step, rlpt])).toEqual([
      [40, "1.2.3"],
      [50, "1.3.0"],
    ]);
    expect(JSON.parse(readFileSync(join(runDir, "provenance.json"), "utf8"))).toMatchObject({
      rlpt: "1.2.3",
    });
  });
});

test("run options: all have defaults, and a name that cannot be a folder is refused", () => {
  const defaults = runOptions.parse({});
  expect(defaults).toMatchObject({
    root: "runs",
    keep_last: 2,
    keep_best: { metric: "accuracy", mode: "max" },
  });
  expect(runOptions.parse(defaults)).toEqual(defaults);
  expect(runOptions.parse({ keep_best: null }).keep_best).toBeNull();
  expect(runOptions.safeParse({ name: "a/b" }).success).toBe(false);
  expect(runOptions.safeParse({ checkpoint_evry: 3 }).success).toBe(false);
});
