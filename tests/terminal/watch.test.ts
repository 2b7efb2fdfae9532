import { EventEmitter } from "node:events";
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { writeCheckpoint } from "../../src/run/checkpoint.ts";
import { lockRun } from "../../src/run/lock.ts";
import type { Progress } from "../../src/run/progress.ts";
import { tailCsv } from "../../src/run/tail.ts";
import { createKeys } from "../../src/terminal/watch/keys.ts";
import { type WatchEnd, watchRun } from "../../src/terminal/watch/watch.ts";
import { tinyGrpo, tinyStages, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

let count = 0;
let runDir = "";
const path = (name: string) => join(runDir, name);
beforeEach(() => {
  runDir = space.path(`run ${++count}`);
  mkdirSync(runDir);
  writeFileSync(path("recipe.yaml"), tinyGrpo);
});

const header = "step,stage,reward/mean\n";
const rows = (from: number, to: number, stage = "grpo") =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i},${stage},0.${from + i}\n`).join("");

/** Watches while `acts` change the run, one between two looks; stops behind the last. */
async function watched(...acts: (() => unknown)[]): Promise<{ events: string[]; end: WatchEnd }> {
  const events: string[] = [];
  const display: Progress = {
    start: (total, stage, done) => events.push(`start ${stage} ${done}..${total}`),
    step: ({ step, metrics }) => events.push(`${step}: ${metrics["reward/mean"]}`),
    evaluation: (step, { accuracy }) => events.push(`evaluation ${step}: ${accuracy}`),
    note: (text) => events.push(text),
    stop: () => events.push("stop"),
  };
  const end = await watchRun(runDir, {
    display: () => display,
    wait: async () => {
      const act = acts.shift();
      if (act === undefined) return "stop";
      await act();
      return "go on";
    },
  });
  return { events, end };
}

const finish = (stepsDone: number) =>
  writeCheckpoint(runDir, stepsDone, { files: {}, state: { stage: 0, stepsDone, ended: false } });

describe("watching a run", () => {
  it("follows rows as they are written, and ends when it is over", async () => {
    const lock = lockRun(runDir);
    const { events, end } = await watched(
      () => writeFileSync(path("metrics.csv"), header + rows(1, 2)),
      () => appendFileSync(path("metrics.csv"), "3,grpo,0."),
      () => appendFileSync(path("metrics.csv"), "3\n"),
      () => writeFileSync(path("eval.csv"), "step,slice,accuracy\n2,all,0.5\n2,level=1,0.25\n"),
      async () => {
        appendFileSync(path("metrics.csv"), rows(4, 4));
        await finish(4);
        lock.release();
      },
    );
    expect(end).toBe("finished");
    expect(events).toEqual([
      "start grpo 0..4",
      "1: 0.1",
      "2: 0.2",
      "3: 0.3",
      "evaluation 2: 0.5",
      "step 2: accuracy 50.0% [?, ?], ? tokens",
      "4: 0.4",
      "stop",
    ]);
  });

  it("goes on with a run that was killed and resumed: rows that were cut back are shown again", async () => {
    const lock = lockRun(runDir);
    writeFileSync(path("metrics.csv"), header + rows(1, 4));
    const dead = { pid: 2 ** 30, host: hostname(), started: null, token: "x" };
    let second: ReturnType<typeof lockRun> | undefined;
    const { events } = await watched(
      () => {
        lock.release();
        writeFileSync(path("run.lock"), JSON.stringify(dead));
      },
      () => {},
      () => {
        rmSync(path("run.lock"));
        second = lockRun(runDir);
        writeFileSync(path("metrics.csv"), header + rows(1, 2));
      },
      () => appendFileSync(path("metrics.csv"), rows(3, 3)),
    );
    second!.release();
    expect(events).toEqual([
      "start grpo 0..4",
      "1: 0.1",
      "2: 0.2",
      "3: 0.3",
      "4: 0.4",
      "the process that wrote this run is gone; waiting for rlpt train --resume",
      "the run goes on from step 2",
      "start grpo 2..4",
      "3: 0.3",
      "stop",
    ]);
  });

  it("shows nothing twice when a stage adds columns and the file is replaced", async () => {
    writeFileSync(path("recipe.yaml"), tinyStages);
    const lock = lockRun(runDir);
    writeFileSync(path("metrics.csv"), header + rows(1, 3, "warm"));
    const { events } = await watched(
      () => {
        const wider = "step,stage,reward/mean,kl\n1,warm,0.1,\n2,warm,0.2,\n3,warm,0.3,\n4,first,0.4,7\n";
        writeFileSync(path("new"), wider);
        renameSync(path("new"), path("metrics.csv"));
      },
      () => appendFileSync(path("metrics.csv"), "5,first,0.5,8\n"),
    );
    lock.release();
    expect(events).toEqual([
      "start warm 0..3",
      "1: 0.1",
      "2: 0.2",
      "3: 0.3",
      "stop",
      "start first 3..12",
      "4: 0.4",
      "5: 0.5",
      "stop",
    ]);
  });

  it("shows evaluations where the run made them, however late it is looked at", async () => {
    writeFileSync(path("metrics.csv"), header + rows(1, 3));
    writeFileSync(path("eval.csv"), "step,slice,accuracy\n0,all,0.25\n2,all,0.5\n3,all,0.75\n");
    const { events } = await watched();
    expect(events.filter((event) => !event.startsWith("step ") && !event.includes("waiting"))).toEqual([
      "start grpo 0..4",
      "evaluation 0: 0.25",
      "1: 0.1",
      "evaluation 2: 0.5",
      "2: 0.2",
      "evaluation 3: 0.75",
      "3: 0.3",
      "stop",
    ]);
  });

  it("does not wait for a run that was over before, and knows what is no run", async () => {
    writeFileSync(path("metrics.csv"), header + rows(1, 4));
    await finish(4);
    expect((await watched()).end).toBe("finished");
    rmSync(path("recipe.yaml"));
    await expect(watched()).rejects.toThrow("is not a run directory");
  });
});

it("a tail without a file waits for one", () => {
  const tail = tailCsv(path("none.csv"));
  expect(tail.read()).toEqual({ rows: [], restarted: false });
  writeFileSync(path("none.csv"), "a\n");
  expect(tail.read()).toEqual({ rows: [], restarted: false });
  appendFileSync(path("none.csv"), "1\n");
  expect(tail.read()).toEqual({ rows: [{ a: "1" }], restarted: false });
});

describe("keys", () => {
  const terminal = () =>
    Object.assign(new EventEmitter(), {
      isTTY: true,
      raw: false,
      setRawMode(mode: boolean) {
        this.raw = mode;
      },
      resume() {},
      pause() {},
    });

  it.each(["q", "\u0003"])("%j ends the waiting at once, and the terminal is as it was", async (key) => {
    const input = terminal();
    const keys = createKeys(input as unknown as NodeJS.ReadStream);
    expect(input.raw).toBe(true);
    const waiting = keys.wait(60_000);
    input.emit("data", Buffer.from(key));
    expect(await waiting).toBe("stop");
    expect(await keys.wait(60_000)).toBe("stop");
    keys.dispose();
    expect(input.raw).toBe(false);
    expect(input.listenerCount("data")).toBe(0);
  });

  it("of other letters goes on", async () => {
    const input = terminal();
    const keys = createKeys(input as unknown as NodeJS.ReadStream);
    const waiting = keys.wait(20);
    input.emit("data", Buffer.from("x"));
    expect(await waiting).toBe("go on");
    keys.dispose();
  });
});
