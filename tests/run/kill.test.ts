import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { isTimeColumn } from "../../src/metrics/table.ts";
import { readCsvTable } from "../../src/run/append-log.ts";
import { checkpointSteps } from "../../src/run/checkpoint.ts";
import { bundleChild } from "./bundle-child.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-kill-"));
const script = join(folder, "child.mjs");
const lastStep = 40;
const every = 3;

beforeAll(() => bundleChild(script));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  output: string;
  code: number | null;
  signal: NodeJS.Signals | null;
}

function start(
  runDir: string,
  env: Record<string, string> = {},
): { child: ChildProcess; begun: Promise<void>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [script, runDir, String(lastStep), String(every)], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  child.stdout!.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    if (output.includes("begin")) begin();
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => {
      begin();
      resolve({ output, code, signal });
    });
  });
  return { child, begun, ended };
}

function newRun(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/** Everything that a run leaves behind, time columns and their values aside. */
function outcome(runDir: string, output: string): unknown {
  const metrics = readCsvTable(join(runDir, "metrics.csv"));
  const timeless = (values: Record<string, string>): [string, string][] =>
    Object.entries(values).filter(([name]) => !isTimeColumn(name));
  return {
    hash: /done (\w+)/.exec(output)?.[1],
    columns: metrics.columns,
    metrics: metrics.rows.map(timeless),
    samples: readFileSync(join(runDir, "samples.jsonl"), "utf8"),
    evaluations: readFileSync(join(runDir, "eval.csv"), "utf8"),
    prompts: readFileSync(join(runDir, "prompts.csv"), "utf8"),
    checkpoints: checkpointSteps(runDir),
    left: readdirSync(join(runDir, "checkpoints")).filter((name) => name.startsWith(".")),
    files: readdirSync(runDir).sort(),
  };
}

async function reference(): Promise<unknown> {
  const runDir = newRun("reference");
  const { output, code } = await start(runDir).ended;
  expect(code).toBe(0);
  const result = outcome(runDir, output) as { hash: string; metrics: unknown[]; left: string[] };
  expect(result.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(result.metrics).toHaveLength(lastStep);
  expect(result.left).toEqual([]);
  return result;
}

describe("a run that is killed and resumed", () => {
  let expected: unknown;
  beforeAll(async () => {
    expected = await reference();
  });

  test("ends as an unkilled one after SIGKILL at 20 and more random moments", async () => {
    const rng = createRng(11);
    let kills = 0;
    let insideCheckpoint = 0;
    // where the moments fall is the machine's affair: on until one has hit a checkpoint being written
    const enough = () => kills >= 20 && (insideCheckpoint > 0 || kills >= 200);
    for (let attempt = 0; !enough(); attempt++) {
      const runDir = newRun(`random-${attempt}`);
      for (let output = ""; output === ""; ) {
        const { child, begun, ended } = start(runDir);
        await begun;
        // a life without a kill at last: on a slow machine it may be the one that gets anywhere
        const delay = 5 + rng.integer(110, kills);
        const timer = !enough() ? setTimeout(() => child.kill("SIGKILL"), delay) : undefined;
        const end = await ended;
        clearTimeout(timer);
        if (end.signal === "SIGKILL") {
          kills++;
          const checkpoints = join(runDir, "checkpoints");
          const names = existsSync(checkpoints) ? readdirSync(checkpoints) : [];
          if (names.some((name) => name.startsWith(".tmp-"))) insideCheckpoint++;
        } else {
          expect(end.code).toBe(0);
          output = end.output;
        }
        if (output !== "") expect(outcome(runDir, output)).toEqual(expected);
      }
    }
    expect(insideCheckpoint).toBeGreaterThan(0);
  }, 300_000);

  test.each([
    ["half of a weight file written", "9:half"],
    ["all files written, no manifest yet", "9:files"],
    ["renamed, old ones not pruned yet", "9:renamed"],
    ["in the first checkpoint", "3:half"],
    ["in the last checkpoint", `${lastStep}:half`],
    ["samples written, metrics row not", "10:samples"],
    ["in the first step", "1:samples"],
    ["second stage begun, no checkpoint of it", "20:metrics"],
    ["in the second stage's first step", "21:samples"],
  ])("ends as an unkilled one: %s", async (_, place) => {
    const runDir = newRun(`place-${place.replace(":", "-")}`);
    const killed = await start(runDir, { KILL_AT: place }).ended;
    expect(killed.signal).toBe("SIGKILL");
    const resumed = await start(runDir).ended;
    expect(resumed.code).toBe(0);
    expect(resumed.output).toContain("took over from process");
    expect(outcome(runDir, resumed.output)).toEqual(expected);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s: finishes the step, checkpoints, exits 130, resumes",
    async (signal) => {
      const runDir = newRun(`interrupt-${signal}`);
      const { child, begun, ended } = start(runDir);
      await begun;
      await new Promise((resolve) => setTimeout(resolve, 30));
      child.kill(signal);
      const end = await ended;
      expect({ code: end.code, signal: end.signal }).toEqual({ code: 130, signal: null });
      expect(end.output.match(/interrupted/g)).toHaveLength(1);
      const steps = readCsvTable(join(runDir, "metrics.csv")).rows.length;
      expect(checkpointSteps(runDir).at(-1)).toBe(steps);
      const resumed = await start(runDir).ended;
      const { checkpoints: _, ...result } = outcome(runDir, resumed.output) as Record<string, unknown>;
      const { checkpoints: __, ...wanted } = expected as Record<string, unknown>;
      expect(resumed.output).toContain(`begin ${steps}\n`);
      expect(result).toEqual(wanted);
    },
  );

  test("a second SIGINT ends it at once, even in a computation that never yields", async () => {
    const runDir = newRun("twice");
    const { child, begun, ended } = start(runDir, { BUSY_AFTER_INTERRUPT: "1" });
    await begun;
    child.kill("SIGINT");
    // the child says so, writes its checkpoint and then spins
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(child.exitCode).toBeNull();
    child.kill("SIGINT");
    const end = await ended;
    expect(end.signal).toBe("SIGINT");
    expect(end.output).toContain("interrupted");
  });
});
