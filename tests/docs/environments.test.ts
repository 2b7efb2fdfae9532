/** What docs/environments.md shows is what a stranger copies: it is taken from the page, and trains. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { rowsWithoutTime, runTraining, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const page = readFileSync("docs/environments.md", "utf8");
const block = (language: string) => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(page)![1]!;

it("has the example's files, word for word, the environment in about 40 lines", () => {
  expect(block("ts")).toBe(readFileSync("examples/guess/game.ts", "utf8"));
  expect(block("yaml")).toBe(readFileSync("examples/guess/guess.yaml", "utf8"));
  expect(block("ts").split("\n").length).toBeLessThanOrEqual(45);
});

it("trains from the page alone, each episode with its turns in samples.jsonl", async () => {
  space.write("game.ts", block("ts"));
  const config = space.write("guess.yaml", block("yaml"));
  const runDir = space.path("run");
  await runTraining(config, { runDir, set: ["steps=3", "run.samples_every=1"] });
  const rows = rowsWithoutTime(join(runDir, "metrics.csv"));
  expect(rows).toHaveLength(3);
  for (const row of rows) {
    expect(Number(row["episode/turns"])).toBeGreaterThan(1);
    expect(Number(row["episode/end/done"]) + Number(row["episode/end/turns"])).toBe(1);
    expect(Number(row["episode/environment_tokens"])).toBeGreaterThan(0.2);
  }
  const samples = readFileSync(join(runDir, "samples.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const { episode, tokens, reward } of samples) {
    expect(episode.turns).toHaveLength(tokens);
    const sum = episode.turns.reduce((all: number, turn: { reward: number }) => all + turn.reward, 0);
    expect(reward).toBeCloseTo(sum, 6);
  }
});
