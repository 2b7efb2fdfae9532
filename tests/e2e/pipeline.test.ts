import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { isExperiment, loadExperiment } from "../../src/experiments/experiment.ts";
import { runExperiment } from "../../src/experiments/pipeline.ts";
import {
  type Job,
  ownCommand,
  runPool,
  trainingArguments,
  trainingProgress,
} from "../../src/processes/pool.ts";
import { readCsvTable } from "../../src/run/append-log.ts";
import { checkpointBytes, rowsWithoutTime, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const sized = tinyGrpo.replace("levels: [1, 2] }", "levels: [1, 2], size: 6 }");
const config = space.write("tiny.yaml", `backend: wasm\n${sized}`);
const rows = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 2 : 0);
const until = async (holds: () => boolean) => {
  for (let i = 0; i < 600 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  expect(holds()).toBe(true);
};

describe("a pool of commands", () => {
  const job = (name: string, ...args: string[]): Job => ({ name, args, log: space.path(`logs/${name}.log`) });

  it("keeps to its limit, gives every job's status, and leaves what each said in its log", async () => {
    let running = 0;
    let most = 0;
    const jobs = [
      job("version", "--version"),
      job("wrong", "train", "none.yaml"),
      job("list", "recipes", "ls"),
    ];
    const results = await runPool(jobs, {
      concurrency: 2,
      onStart: () => {
        most = Math.max(most, ++running);
      },
      onEnd: () => running--,
    });
    expect(results.map(({ name, status }) => [name, status])).toEqual([
      ["version", 0],
      ["wrong", 2],
      ["list", 0],
    ]);
    expect(most).toBe(2);
    expect(readFileSync(jobs[1]!.log, "utf8")).toContain("none.yaml");
  });

  it("hands Ctrl-C to what runs, starts nothing more, and the run can be taken up", async () => {
    const runDir = space.path("interrupted");
    const long = job("long", "train", config, "--out", runDir, "--steps", "100000", "--quiet");
    const pool = runPool([long, job("never", "--version")], { concurrency: 1 });
    await until(() => rows(join(runDir, "metrics.csv")) > 2);
    process.emit("SIGINT", "SIGINT");
    const results = await pool;
    expect(results.map(({ status }) => status)).toEqual([130, null]);
    expect(await trainingArguments(runDir, config, { steps: 100000 })).toEqual(["train", "--resume", runDir]);
    await expect(
      trainingProgress(runDir, config, { steps: 100000, set: ["optimizer.lr=0.5"] }),
    ).rejects.toThrow("optimizer.lr: 0.01 -> 0.5");
  });

  it("a child whose parent dies writes a checkpoint and ends", async () => {
    const runDir = space.path("orphan");
    const child = spawn(
      process.execPath,
      [...ownCommand(), "train", config, "--out", runDir, "--steps", "100000"],
      {
        stdio: ["ignore", "ignore", "ignore", "ipc"],
      },
    );
    const ended = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
    await until(() => rows(join(runDir, "metrics.csv")) > 2);
    child.disconnect();
    expect(await ended).toBe(130);
    expect(await trainingProgress(runDir, config, { steps: 100000 })).toBe("begun");
  });

  it.each([
    ["", {}],
    [", where the compiled engine would start it again", { RLPT_PJRT_PLUGIN: "/somewhere/pjrt.so" }],
  ])("a child whose parent dies while it starts ends before it trains%s", async (where, env) => {
    const runDir = space.path(`orphan from the start${where}`);
    const child = spawn(
      process.execPath,
      [...ownCommand(), "train", config, "--out", runDir, "--steps", "100000"],
      { stdio: ["ignore", "ignore", "ignore", "ipc"], env: { ...process.env, ...env } },
    );
    const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
    child.disconnect();
    expect(await ended).toBe("SIGTERM");
    expect(existsSync(runDir)).toBe(false);
  });
});

describe("an experiment", () => {
  const file = space.write(
    "experiment.yaml",
    `experiment: tiny
config: tiny.yaml
seeds: [1, 2]
set: { data.train.seed: "\${seed}" }
arms:
  selected: { select: { from: full, top: 0.5 } }
  full: {}
  random: { select: { from: full, top: 0.5, random: true }, draws: 2 }
compare: [[selected, random], [selected, full]]
`,
  );
  const root = space.path("results");
  const runAgain = async () => {
    const notes: string[] = [];
    const result = await runExperiment(loadExperiment(file), {
      root,
      concurrency: 2,
      note: (text) => notes.push(text),
    });
    return { result, notes };
  };
  const ids = [
    "full-s1",
    "selected-s1",
    "random-1-s1",
    "random-2-s1",
    "full-s2",
    "selected-s2",
    "random-1-s2",
    "random-2-s2",
  ];

  it("runs arms before those that need them, each on its own data, and compares them by seed", async () => {
    const { result, notes } = await runAgain();
    expect(loadExperiment(file).runs.map(({ id }) => id)).toEqual(ids);
    const began = (id: string) => notes.indexOf(`${id}: begins`);
    expect(began("selected-s1")).toBeGreaterThan(Math.max(began("full-s1"), began("full-s2")));
    const drawn = (id: string) =>
      [
        ...new Set(readCsvTable(join(root, "tiny", id, "prompts.csv")).rows.map((row) => row["prompt_id"]!)),
      ].sort();
    expect(drawn("full-s1").length).toBe(6);
    for (const id of ids.slice(1, 4)) {
      expect(drawn(id).length, id).toBe(3);
      expect(drawn("full-s1")).toEqual(expect.arrayContaining(drawn(id)));
    }
    const value = (id: string) =>
      Number(
        readCsvTable(join(root, "tiny", id, "eval.csv")).rows.findLast((row) => row["slice"] === "all")![
          "accuracy"
        ],
      );
    const [difference] = result.comparisons;
    expect(difference!.differences).toEqual(
      [1, 2].map(
        (seed) => value(`selected-s${seed}`) - (value(`random-1-s${seed}`) + value(`random-2-s${seed}`)) / 2,
      ),
    );
    expect(readCsvTable(join(root, "tiny", "results.csv")).rows.length).toBe(8);
    expect(readFileSync(join(root, "tiny", "selected-s1", "recipe.yaml"), "utf8")).toContain("seed: 1");
  });

  it("does not run again what is done, and takes up what was killed, to the same bytes", async () => {
    const runDir = join(root, "tiny", "selected-s2");
    const last = join(runDir, "checkpoints", "000004");
    const whole = { bytes: checkpointBytes(last), metrics: rowsWithoutTime(join(runDir, "metrics.csv")) };
    const time = statSync(join(root, "tiny", "full-s1", "metrics.csv")).mtimeMs;
    rmSync(last, { recursive: true });
    const { notes } = await runAgain();
    expect(notes.filter((note) => note.endsWith("done already")).length).toBe(7);
    expect(notes).toContain("selected-s2: goes on");
    expect(checkpointBytes(last)).toEqual(whole.bytes);
    expect(rowsWithoutTime(join(runDir, "metrics.csv"))).toEqual(whole.metrics);
    expect(statSync(join(root, "tiny", "full-s1", "metrics.csv")).mtimeMs).toBe(time);
  });

  it("refuses results of another recipe or of changed data, instead of mixing them", async () => {
    const other = { root, concurrency: 1, note: () => {} };
    await expect(runExperiment(loadExperiment(file, { set: ["optimizer.lr=0.5"] }), other)).rejects.toThrow(
      /full-s1: holds a run of another recipe.*\n {2}optimizer.lr: 0.01 -> 0.5/,
    );
    const data = join(root, "tiny", "data", "selected-s1", "selected.jsonl");
    const text = readFileSync(data, "utf8");
    writeFileSync(data, text.split("\n").slice(1).join("\n"));
    const runDir = join(root, "tiny", "selected-s1");
    await expect(trainingProgress(runDir, join(runDir, "recipe.yaml"))).rejects.toThrow(
      "selected.jsonl, which it was trained on, has changed",
    );
    writeFileSync(data, text);
    expect(await trainingProgress(runDir, join(runDir, "recipe.yaml"))).toBe("done");
  });

  it("names what is wrong with its file", () => {
    const wrong: [string, string][] = [
      ["arms: { a: {} }", "wrong.yaml:1  experiment is missing: "],
      [
        "experiment: x\nconfig: none.yaml\narms: { a: {} }",
        'wrong.yaml:2  config = "none.yaml": this file does not exist;',
      ],
      [
        "experiment: x\nconfig: tiny.yaml\narms: { a: { select: { from: b, top: 0.5 } } }",
        'wrong.yaml:3  arms.a.select.from = "b": there is no such arm; there are a.',
      ],
      [
        "experiment: x\nconfig: tiny.yaml\narms: { a: { select: { from: a, top: 0.5 } } }",
        "arms wait for each other: a -> a",
      ],
      [
        "experiment: x\nconfig: tiny.yaml\narms: { a: { select: { from: b } }, b: {} }",
        "give one of threshold, top, count",
      ],
      ["experiment: x\nconfig: tiny.yaml\narms: { a: { set: { optimizer.rate: 1 } } }", "optimizer.rate"],
      [
        "experiment: x\nconfig: tiny.yaml\narms: { a: {} }\ncompare: [[a, c]]",
        'wrong.yaml:4  compare.0.1 = "c": there is no such arm; there are a.',
      ],
      // draws on an earlier arm leave no later one unchecked, and all faults are said at once
      [
        "experiment: x\nconfig: tiny.yaml\narms:\n  a: { draws: 3 }\n  b: { set: { optimizer.lrr: 1 } }",
        "wrong.yaml:5  arms.b: its recipe is wrong; correct its set, or the config:\n  --set optimizer.lrr=1",
      ],
      ["experiment: x\nconfig: tiny.yaml\nseeds: [1, 1]\narms: { a: {} }", "wrong.yaml:3  seeds.1 = 1: "],
      ["experiment: x\nconfig: tiny.yaml\narms: { a: { draw: 2 } }", "did you mean draws?"],
      ["experiment: x\nconfig: tiny.yaml\narms: { a: {} }\nmetric: acuracy", "did you mean accuracy?"],
    ];
    for (const [text, message] of wrong) {
      expect(() => loadExperiment(space.write("wrong.yaml", text)), text).toThrow(message);
    }
    expect(isExperiment(file)).toBe(true);
    expect(isExperiment(config)).toBe(false);
  });
});
