/** Runs over episodes: killed inside one and resumed to the byte, and what faults of an environment leave behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

/** Adds what is asked for to its seed; slow enough to be killed in, and marks that it is at work. */
space.write(
  "slow.mjs",
  `import { appendFileSync, existsSync } from "node:fs";
const mark = ${JSON.stringify(space.path("mark"))};
export function environment() {
  let state = 0, row = {};
  return {
    reset(seed, given) { state = seed % 10; row = given; return [{ role: "user", content: String(state) + "=" }]; },
    async step({ text }) {
      await new Promise((go) => setTimeout(go, 1 + (state * 7) % 13));
      if (existsSync(mark)) appendFileSync(mark, "s");
      if (row.question === "throw") throw new Error("asked for");
      state = (state + text.length) % 10;
      return { messages: [{ role: "user", content: state + "+" }], reward: state / 10, done: state === 0, info: { state } };
    },
  };
}
`,
);

const STEPS = 12;
const config = (name: string, more = "", data = "{ kind: episodes, size: 9 }") =>
  space.write(
    name,
    `
seed: 3
steps: ${STEPS}
model: ${tinyModel}
data:
  train: ${data}
  eval: { kind: episodes, size: 4 }
environment: { kind: file, file: slow.mjs, max_turns: 4, max_turn_tokens: 3, cohorts: 2${more} }
rollout: { prompts_per_step: 4, group_size: 3, max_new_tokens: 16 }
rewards:
  - kind: environment
  - { kind: repetition, weight: 0.1 }
algorithm: { kind: grpo, entropy_coef: 0.01 }
optimizer: { lr: 0.01 }
eval: { every: 5 }
run: { checkpoint_every: 1, keep_last: 99, samples_every: 1 }
`,
  );

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
const size = (path: string) => (existsSync(path) ? readFileSync(path).length : 0);

describe("episodes", () => {
  it.each([
    ["outcome", ""],
    ["turn-discount", ", credit: turn-discount, gamma: 0.9"],
  ])(
    "end with the same bytes after kills inside them, credit %s",
    async (name, more) => {
      const path = config(`${name}.yaml`, more);
      const calm = space.path(`calm-${name}`);
      expect(await ended(start([path, "--run-dir", calm]))).toBe(0);
      const killed = space.path(`killed-${name}`);
      const rng = createRng(5);
      let kills = 0;
      for (let attempt = 0; attempt < 5; attempt++) {
        const mark = space.write("mark", "");
        const begun =
          existsSync(join(killed, "checkpoints")) && readdirSync(join(killed, "checkpoints")).length > 0;
        const child = start(begun ? ["--resume", killed] : [path, "--run-dir", killed]);
        const exit = ended(child);
        if (attempt < 4) {
          // in the middle of the turns of a step: steps of the environment go on
          const wanted = 20 + rng.integer(80, attempt);
          while (child.exitCode === null && size(mark) < wanted) await pause(1);
          child.kill("SIGKILL");
          if ((await exit) === "SIGKILL") kills++;
          else break;
        } else expect(await exit).toBe(0);
      }
      expect(kills).toBeGreaterThanOrEqual(3);
      expectSameRun(killed, calm, STEPS);
      const rows = rowsWithoutTime(join(calm, "metrics.csv"));
      expect(new Set(rows.map((row) => row["episode/turns"])).size).toBeGreaterThan(3);
    },
    180_000,
  );

  it("that fail are no scores, and are counted", async () => {
    space.write("rows.csv", "question,answer\nfine,1\nthrow,2\nfine,3\nfine,4\n");
    const path = config("faults.yaml", "", `{ path: rows.csv, prompt: "{question}", answer: "{answer}" }`);
    const runDir = space.path("faults");
    await runTraining(path, { runDir, set: ["steps=2", "max_error_share=0.3"] });
    for (const row of rowsWithoutTime(join(runDir, "metrics.csv"))) {
      expect(Number(row["episode/end/error"])).toBe(0.25);
      expect(Number(row["status/error"])).toBe(0.25);
    }
    const samples = readFileSync(join(runDir, "samples.jsonl"), "utf8").trim().split("\n");
    const failed = samples.map((line) => JSON.parse(line)).filter(({ status }) => status === "error");
    expect(failed.length).toBeGreaterThan(0);
    for (const { episode, advantage } of failed) {
      expect(episode).toMatchObject({ end: "error", note: "turn 1: Error: asked for" });
      expect(advantage).toBe(0);
    }
  });
});
