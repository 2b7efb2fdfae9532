/** How evaluations sample: their own truncation, beside that of the rollouts. */
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const config = space.write("tiny.yaml", tinyGrpo);

async function run(name: string, set: string[]) {
  const runDir = space.path(name);
  await runTraining(config, { runDir, set });
  const read = (file: string) => rowsWithoutTime(join(runDir, file));
  return { metrics: read("metrics.csv"), evaluations: read("eval.csv") };
}

it.each([
  ["top_p", "0.001"],
  ["top_k", "1"],
  ["min_p", "0.999"],
])("eval.%s = %s keeps the likeliest token only, and leaves rollouts alone", async (key, value) => {
  const greedy = await run(`greedy for ${key}`, ["eval.temperature=0"]);
  const kept = await run(key, [`eval.${key}=${value}`]);
  const free = await run(`free for ${key}`, []);
  expect(kept.evaluations).toEqual(greedy.evaluations);
  expect(kept.evaluations).not.toEqual(free.evaluations);
  expect(kept.metrics).toEqual(free.metrics);
});

it("evaluations take rollout's truncation where they have none of their own", async () => {
  const inherited = await run("inherited", ["rollout.top_k=1"]);
  const own = await run("own", ["rollout.top_k=1", "eval.top_k=0"]);
  expect(own.evaluations).not.toEqual(inherited.evaluations);
  expect(own.metrics).toEqual(inherited.metrics);
});
