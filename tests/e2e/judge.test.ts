/** A judge in a run: it asks once in the life of the run, so that resume, kill and replay are exact though judges are moody. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, expect, it } from "vitest";
import { openVerdicts } from "../../src/run/verdict-log.ts";
import { startChatServer } from "../helpers/chat-server.ts";
import { command } from "../helpers/command.ts";
import { cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const server = await startChatServer();
afterAll(async () => {
  await server.close();
  space.remove();
});

const KEY = "sesame-4711";
process.env["RLPT_TEST_JUDGE_KEY"] = KEY;
const config = (name: string, extra = "", limits = "") =>
  space.write(
    `${name}.yaml`,
    tinyGrpo.replace(
      "rewards:",
      `rewards:
  - kind: judge
    rubric: [{ ask: "Does it hold a 7?" }, { ask: "Is it even?", weight: 2 }]
    judge: { endpoint: "${server.endpoint}", model: m, key_variable: RLPT_TEST_JUDGE_KEY }
    limits: { retry_ms: 1${limits} }${extra}`,
    ),
  );
const plain = config("judged");

/** No two replies to one question are sure to be the same. */
const moody = (content: string, number: number): string => {
  const bits = createHash("sha256").update(`${content} ${number}`).digest()[0]!;
  return JSON.stringify({ 1: bits & 1 ? "yes" : "no", 2: bits & 2 ? "yes" : "no" });
};

beforeEach(() => {
  server.asked.length = 0;
  server.answer = ({ messages }, number) => ({ content: moody(messages[1]!.content, number), tokens: 5 });
});

const whole = space.path("whole");

it("every verdict of a run is stored once, and its key nowhere", { timeout: 120_000 }, async () => {
  await runTraining(plain, { runDir: whole });
  const rows = rowsWithoutTime(join(whole, "metrics.csv"));
  expect(rows.map((row) => Number(row["reward/part/judge"])).some((value) => value > 0 && value < 1)).toBe(
    true,
  );
  const verdicts = [...openVerdicts(join(whole, "judge.jsonl")).all()];
  expect(verdicts.length).toBe(server.asked.length);
  expect(new Set(server.asked.map(({ messages }) => messages[1]!.content)).size).toBe(server.asked.length);
  expect(server.asked.every(({ authorization }) => authorization === `Bearer ${KEY}`)).toBe(true);
  const files = readdirSync(whole, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  expect(files.length).toBeGreaterThan(10);
  for (const { parentPath, name } of files)
    expect(readFileSync(join(parentPath, name)).includes(KEY), name).toBe(false);
});

it("resumed from any checkpoint it asks nothing again and ends the same", { timeout: 120_000 }, async () => {
  const parted = cutRun(whole, space.path("parted"), 2, 4);
  appendFileSync(join(parted, "judge.jsonl"), '{"key":"torn');
  await runTraining(undefined, { resume: parted });
  expect(server.asked).toEqual([]);
  expectSameRun(parted, whole, 4);
});

it("a lost verdict is told and asked again", { timeout: 120_000 }, async () => {
  const parted = cutRun(whole, space.path("lost"), 2, 4);
  const path = join(parted, "judge.jsonl");
  const lines = readFileSync(path, "utf8").split("\n");
  lines[lines.length - 2] = "{}";
  writeFileSync(path, lines.join("\n"));
  const notes: string[] = [];
  openVerdicts(path, (text) => notes.push(text));
  expect(notes).toEqual([`${path}: 1 line is no verdict; their questions are asked again`]);
  await runTraining(undefined, { resume: parted });
  expect(server.asked.length).toBe(1);
});

it("replay makes the step again from the stored verdicts", { timeout: 120_000 }, async () => {
  const { status, out } = await command("replay", whole, "--step", "4", "--json");
  expect(server.asked).toEqual([]);
  expect(status).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ stored: { metrics: [], weights: true } });
});

it("killed in the midst of asking, it goes on to the same end", { timeout: 180_000 }, async () => {
  // one reply a question: what an uninterrupted run would have got
  const steady = (content: string) => moody(content, 0);
  server.answer = ({ messages }) => ({ content: steady(messages[1]!.content) });
  const straight = space.path("straight");
  await runTraining(plain, { runDir: straight });
  const asked = server.asked.length;
  server.asked.length = 0;
  const killed = space.path("killed");
  const bin = fileURLToPath(new URL("../../bin/rlpt.js", import.meta.url));
  const args = [bin, "train", plain, "--run-dir", killed, "--backend", "wasm", "--quiet"];
  await new Promise<void>((resolve) => {
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    child.on("exit", () => resolve());
    // dies with replies on their way: in the third step, so that there is a checkpoint
    server.answer = ({ messages }, number) => {
      if (number === asked - 3) child.kill("SIGKILL");
      return { content: steady(messages[1]!.content), delayMs: number > asked - 8 ? 50 : 0 };
    };
  });
  const before = server.asked.length;
  expect(existsSync(join(killed, "checkpoints", "000004"))).toBe(false);
  const stored = [...openVerdicts(join(killed, "judge.jsonl")).all()].length;
  expect(stored).toBeGreaterThan(0);
  expect(stored).toBeLessThan(before);
  server.answer = ({ messages }) => ({ content: steady(messages[1]!.content) });
  await runTraining(undefined, { resume: killed });
  expectSameRun(killed, straight, 4);
  expect(server.asked.length - before).toBe(asked - stored);
});

it("a budget that is spent ends the run; resumed with a larger one it goes on to the same end", {
  timeout: 180_000,
}, async () => {
  const steady = (content: string) => moody(content, 0);
  server.answer = ({ messages }) => ({ content: steady(messages[1]!.content) });
  const short = space.path("short");
  await expect(runTraining(config("budget", "", ", calls: 40"), { runDir: short })).rejects.toThrow(
    "its budget of 40 calls is spent",
  );
  expect(server.asked.length).toBe(40);
  await runTraining(undefined, { resume: short, set: ["rewards.0.limits.calls=4000"] });
  expectSameRun(short, space.path("straight"), 4);
});

it("the agreement with people is printed before a run, and one that is too low begins none", {
  timeout: 120_000,
}, async () => {
  const rows = ["7", "8", "77"].map((completion) => ({ prompt: "p", completion, verdict: ["yes", "no"] }));
  space.write("people.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  server.answer = ({ messages }) => {
    const response = /Response:\n<<<(\w{8})\n([\s\S]*?)\n\1>>>/.exec(messages[1]!.content)![2]!;
    return { content: JSON.stringify({ 1: response.includes("7") ? "yes" : "no", 2: "no" }) };
  };
  const labelled = "\n    labelled: people.jsonl";
  const { status, out } = await command("reward", "agree", config("agree", labelled));
  expect(status).toBe(0);
  expect(out).toContain("judge judge: 5 of 6 as people said, 83.3% [35.9%, 99.6%]");
  expect(out).toContain("  1. Does it hold a 7?: 2 of 3");
  expect(server.asked.length).toBe(3);
  const runDir = space.path("never");
  const low = config("low", `${labelled}\n    min_agreement: 0.9`);
  await expect(runTraining(low, { runDir })).rejects.toThrow(
    /below min_agreement = 0.9: the run does not begin/,
  );
  expect(existsSync(runDir)).toBe(false);
  const ran = await command(
    "train",
    config("ran", `${labelled}\n    min_agreement: 0.8`),
    "--run-dir",
    space.path("ran"),
    "--backend",
    "wasm",
  );
  expect(ran.status).toBe(0);
  expect(ran.err).toContain("5 of 6 as people said");
});

it("validate says what is wrong without asking anybody", async () => {
  space.write("bad.jsonl", '{"prompt":"p","completion":"c","verdict":["yes"]}\n');
  const bad = config("bad", "\n    labelled: bad.jsonl");
  delete process.env["RLPT_TEST_JUDGE_KEY"];
  const { status, err, out } = await command("validate", bad);
  process.env["RLPT_TEST_JUDGE_KEY"] = KEY;
  expect(status).toBe(2);
  expect(out + err).toContain(
    'rewards.0.judge.key_variable = "RLPT_TEST_JUDGE_KEY": the environment variable is not set',
  );
  expect(out + err).toContain("line 1: verdict is no list of 2, one for each question of the rubric");
  expect(server.asked).toEqual([]);
});
