import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { prepare } from "../../src/cli/train-request.ts";
import { AlarmError } from "../../src/lib/errors.ts";
import { checkpointSteps } from "../../src/run/checkpoint.ts";
import { createProgress } from "../../src/terminal/lines-progress.ts";
import { train } from "../../src/training/train.ts";
import { command } from "../helpers/command.ts";
import { cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

/** Only short completions are rewarded, and fast: exploration ends with nothing right. */
const config = space.write(
  "sick.yaml",
  tinyGrpo
    .replace("steps: 4", "steps: 26")
    .replace("lr: 0.01", "lr: 0.05")
    .replaceAll("every: 2", "every: 1")
    .replace("keep_last: 9", "keep_last: 99"),
);

/** @returns what was printed */
async function run(config: string | undefined, flags: { runDir?: string; resume?: string; set?: string[] }) {
  const { request } = await prepare(config, { set: [], quiet: true, backend: "wasm", ...flags });
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text) };
  await train({ ...request, progress: createProgress({ stream, mode: "quiet" }) });
  return lines.filter((line) => line.includes("alarm"));
}

it("raises alarms in the log and in metrics.csv, and the same ones after a resume", {
  timeout: 120_000,
}, async () => {
  const whole = space.path("whole");
  const lines = await run(config, { runDir: whole });
  const rows = rowsWithoutTime(join(whole, "metrics.csv"));
  const names = Object.keys(rows[0]!).filter((name) => name.startsWith("alarm/"));
  expect(names).toContain("alarm/entropy_collapse");
  // a line for every beginning, none for what goes on
  const begins = rows.flatMap((row, i) =>
    names.filter((name) => row[name] === "1" && rows[i - 1]?.[name] !== "1").map((name) => [i + 1, name]),
  );
  expect(begins.length).toBeGreaterThan(0);
  expect(lines.length).toBe(begins.length);
  for (const [i, [step, name]] of begins.entries()) {
    expect(lines[i]).toContain(`step ${step}: alarm ${String(name).slice("alarm/".length)}: `);
  }
  for (const row of rows) {
    expect(Number(row["alarms"])).toBe(names.filter((name) => row[name] === "1").length);
  }
  expect(rows.slice(0, 19).every((row) => row["alarms"] === "0")).toBe(true);

  for (const cut of [5, 15, 24]) {
    const parted = cutRun(whole, space.path(`cut ${cut}`), cut, 26);
    const again = await run(undefined, { resume: parted });
    expect(again).toEqual(lines.filter((line) => Number(/step (\d+)/.exec(line)![1]) > cut));
    expectSameRun(parted, whole, 26);
  }
});

it("run.stop_on ends a run when the alarm begins, and a resumed one goes on to the same end", {
  timeout: 120_000,
}, async () => {
  const whole = space.path("whole");
  const rows = rowsWithoutTime(join(whole, "metrics.csv"));
  const name = "entropy_collapse";
  const column = (row: Record<string, string> | undefined) => row?.[`alarm/${name}`];
  // it ends and begins anew, or lasts: every beginning stops the run once
  const beginnings = rows.flatMap((row, i) =>
    column(row) === "1" && column(rows[i - 1]) !== "1" ? [i + 1] : [],
  );
  expect(beginnings.length).toBeGreaterThan(0);
  const stopped = space.path("stopped");
  const set = [`run.stop_on=[${name}]`, "run.checkpoint_every=1"];
  for (const [i, step] of beginnings.entries()) {
    const go = i === 0 ? run(config, { runDir: stopped, set }) : run(undefined, { resume: stopped });
    const error = await go.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(AlarmError);
    const { message, exitCode } = error as AlarmError;
    expect(exitCode).toBe(5);
    expect(message).toContain(`step ${step}: stopped by run.stop_on`);
    expect(message).toContain(`alarm ${name}: entropy went from`);
    expect(message).toContain("Lower the learning rate");
    expect(message).toContain("rlpt train --resume");
    expect(checkpointSteps(stopped).at(-1)).toBe(step);
    expect(rowsWithoutTime(join(stopped, "metrics.csv")).length).toBe(step);
  }
  await run(undefined, { resume: stopped });
  expectSameRun(stopped, whole, 26);
});

it("the command line ends with status 5 and a last line that says so", { timeout: 120_000 }, async () => {
  const runDir = space.path("by command");
  const flags = ["--run-dir", runDir, "--backend", "wasm", "--set", "run.stop_on=[entropy_collapse]"];
  const { status, out } = await command("train", config, ...flags, "--json");
  expect(status).toBe(5);
  const last = JSON.parse(out.trim().split("\n").at(-1)!) as Record<string, string>;
  expect(last).toMatchObject({ event: "result", status: "stopped-by-alarm" });
  expect(last["error"]).toContain("entropy_collapse");
  expect(last["checkpoint"]).toContain("checkpoints");
});

it("says nothing when switched off, and has no columns for it", async () => {
  const off = space.path("off");
  const set = ["run.alarms=false", "run.checkpoint_every=50"];
  expect(await run(config, { runDir: off, set })).toEqual([]);
  const rows = rowsWithoutTime(join(off, "metrics.csv"));
  expect(rows.length).toBe(26);
  expect(Object.keys(rows[0]!).filter((name) => name.startsWith("alarm"))).toEqual([]);
});
