/** Steps from a run's files while they grow: whole ones, in order, each once. */
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { tailCsv } from "../../src/run/tail.ts";
import { followRun, type TrackedStep } from "../../src/trackers/follow-run.ts";
import { scalarsOf } from "../../src/trackers/service.ts";
import { trackedRun } from "../../src/trackers/tracked-run.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const START = Date.parse("2026-01-02T03:04:05.000Z") / 1000;
const provenance = (resumes: object[], more: object = {}) =>
  JSON.stringify({ started: "2026-01-02T03:04:05.000Z", seed: 1, data: {}, resumes, ...more });

function newRun(name: string, resumes: object[] = []): string {
  const run = space.path(name);
  mkdirSync(run);
  writeFileSync(join(run, "recipe.yaml"), "seed: 1\noptimizer: { lr: 0.01, betas: [0.9, 0.95] }\n");
  writeFileSync(join(run, "provenance.json"), provenance(resumes));
  return run;
}

const told = (steps: readonly TrackedStep[]) =>
  steps.map(
    (step) => `${step.index}: ${step.step} ${[...scalarsOf(step).keys()].join(" ")} ${step.samples.length}`,
  );

it("a step is told when its metrics are there, with its evaluation and samples; once", () => {
  const run = newRun("grows");
  const follower = followRun(run);
  expect(follower.read()).toEqual([]);
  writeFileSync(join(run, "eval.csv"), "step,stage,slice,accuracy\n0,a,all,0.5\n0,a,level=1,0.25\n");
  writeFileSync(join(run, "samples.jsonl"), `{"step":1,"prompt":"p"}\n{"step":1,"prompt":"q"}\n`);
  writeFileSync(join(run, "metrics.csv"), "step,stage,x\n");
  expect(follower.read()).toEqual([]);
  appendFileSync(join(run, "metrics.csv"), "1,a,0.1\n2,a,0.");
  expect(told(follower.read())).toEqual(["0: 0 eval/accuracy eval/level=1/accuracy 0", "1: 1 x 2"]);
  // what belongs to step 3 is there before its metrics are
  appendFileSync(join(run, "eval.csv"), "3,a,all,0.75\n");
  appendFileSync(join(run, "samples.jsonl"), `{"step":3}\n{"step":10}\n`);
  appendFileSync(join(run, "metrics.csv"), "2\n");
  expect(told(follower.read())).toEqual(["2: 2 x 0"]);
  expect(follower.read()).toEqual([]);
  // a later stage has more columns: the file is another one
  writeFileSync(join(run, "wider"), "step,stage,x,y\n1,a,0.1,\n2,a,0.2,\n3,b,,7\n");
  renameSync(join(run, "wider"), join(run, "metrics.csv"));
  expect(told(follower.read())).toEqual(["3: 3 eval/accuracy y 0"]);
  expect(told(followRun(run).read())).toHaveLength(4);
});

it("times go on after a resume: they are those of the process that made the step", () => {
  const resumes = [
    { time: "2026-01-02T04:00:00.000Z", from_step: 1 },
    { time: "2026-01-02T05:00:00.000Z", from_step: 2 },
  ];
  const run = newRun("resumed", resumes);
  writeFileSync(join(run, "metrics.csv"), "step,stage,time/elapsed_s\n1,a,5\n2,a,6\n3,a,7\n");
  const seconds = followRun(run)
    .read()
    .map(({ wallTime }) => wallTime - START);
  expect(seconds).toEqual([5, 3355 + 6, 6955 + 7]);
});

it("a run keeps its name in services until it goes on with other inputs", () => {
  const run = newRun("named");
  const { id, config, name } = trackedRun(run);
  expect(id).toMatch(/^[0-9a-f]{16}$/);
  expect(name).toBe("named");
  expect(Object.fromEntries(config)).toEqual({
    seed: 1,
    "optimizer.lr": 0.01,
    "optimizer.betas.0": 0.9,
    "optimizer.betas.1": 0.95,
  });
  const named = (...args: Parameters<typeof provenance>): string => {
    writeFileSync(join(run, "provenance.json"), provenance(...args));
    return trackedRun(run).id;
  };
  const resume = { time: "2026-01-02T04:00:00.000Z", from_step: 1 };
  expect(named([resume])).toBe(id);
  expect(named([{ ...resume, accepted: [{ what: "data file", was: "a", is: "b" }] }])).not.toBe(id);
  expect(named([], { seed: 2 })).not.toBe(id);
});

it("a long file is read in pieces, of whole rows", () => {
  const path = space.write("long.csv", 'name,x\n"a\nb",1\n"c ""d"", e",2\nf,3\n');
  const tail = tailCsv(path);
  const pieces: unknown[] = [];
  for (let rows = tail.read(4).rows; rows.length > 0 || pieces.length === 0; rows = tail.read(4).rows)
    pieces.push(...rows);
  expect(pieces).toEqual([
    { name: "a\nb", x: "1" },
    { name: 'c "d", e', x: "2" },
    { name: "f", x: "3" },
  ]);
});
