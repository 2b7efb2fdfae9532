import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { parseHTML } from "linkedom";
import { afterAll, expect, it } from "vitest";
import { sortFolders } from "../../src/report/folders.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { writeSelection } from "../helpers/picture-files.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const metrics = "step,stage,reward/mean\n1,a,0.5\n2,a,0.75\n";
const page = async (paths: readonly string[]) =>
  parseHTML((await writeReport(paths, "html", "-")).text).document;
const cells = (document: Awaited<ReturnType<typeof page>>, selector: string) =>
  [...document.querySelectorAll(selector)].map((row) =>
    [...row.querySelectorAll("td")].map(({ textContent }) => textContent),
  );

function experiment(): string {
  const root = space.path("limr");
  mkdirSync(`${root}/data`, { recursive: true });
  mkdirSync(`${root}/logs`);
  for (const arm of ["all", "selected"])
    for (const seed of [1, 2])
      writeRun(`${root}/${arm}-s${seed}`, { metrics, recipe: `seed: ${seed}\nrun: { name: ${arm} }\n` });
  writeSelection(`${root}/data/selected-s1`);
  writeFileSync(
    `${root}/results.csv`,
    "arm,draw,seed,step,accuracy\nall,0,1,2,0.5\nall,0,2,2,0.7\nselected,0,1,2,0.8\nselected,0,2,2,0.9\n",
  );
  writeFileSync(
    `${root}/differences.csv`,
    "first,second,seeds,mean,low,high\nselected,all,2,0.25,-0.4,0.9\n",
  );
  return root;
}

it("reads what an experiment wrote: arms, differences, selections and runs", async () => {
  const root = experiment();
  const found = sortFolders([root]);
  expect(found.runs.map((path) => path.slice(root.length + 1))).toEqual([
    "all-s1",
    "all-s2",
    "selected-s1",
    "selected-s2",
  ]);
  expect(found.selections).toEqual([`${root}/data/selected-s1`]);
  const document = await page([root]);
  expect(document.querySelector("h1")!.textContent).toContain("limr");
  expect(cells(document, "#experiment-limr tbody tr")).toEqual([
    ["all", "2", "60.0%", "50.0%", "70.0%", ""],
    ["selected", "2", "85.0%", "80.0%", "90.0%", ""],
    ["selected - all", "2", "25.0%", "-40.0% to 90.0%"],
  ]);
  expect(document.querySelector("#selection-selected-s1")).not.toBeNull();
  expect(cells(document, "#summary tbody tr").length).toBe(4);
});

it("reads a folder of runs, each once, and an experiment that has no results yet", async () => {
  const root = space.path("several");
  for (const name of ["b10", "b9", "a"]) writeRun(`${root}/${name}`, { metrics });
  mkdirSync(`${root}/empty`);
  expect(sortFolders([root, `${root}/a/`]).runs).toEqual([`${root}/a`, `${root}/b9`, `${root}/b10`]);
  const document = await page([root]);
  expect(document.querySelector("h1")!.textContent).toBe("3 runs");
  const { text } = await writeReport([root], "csv", "-");
  expect(text.split("\n").length).toBe(2 + 3 * 2);
  await expect(writeReport([`${root}/empty`], "html", "-")).rejects.toThrow(/empty: is not a run directory/);
});

const verdict = {
  claim: "short",
  title: "Shorter answers",
  statement: "Training makes answers shorter.",
  verdict: "SUPPORTED",
  reason: "its condition holds: shorter",
  rule: "the rule",
  conditions: [
    {
      say: "shorter",
      metric: "tokens",
      slice: "level=3",
      direction: "below",
      margin: 0,
      minus: "before",
      effect: -3.5,
      low: -5,
      high: -2,
      first: 10,
      second: 13.5,
      outcome: "holds",
      p_holds: 0.01,
      by_seed: [
        { seed: 1, effect: -3 },
        { seed: 2, effect: -4 },
      ],
    },
  ],
  runs: [
    { arm: "after", seed: 1, directory: "/somewhere/else/short-s1" },
    { arm: "after", seed: 2, directory: "/etc" },
  ],
};

it("reads the verdict on a claim with its runs, also after the folder was moved", async () => {
  const root = space.path("reproduce");
  writeRun(`${root}/short-s1`, { metrics });
  writeRun(`${root}/other-s1`, { metrics });
  mkdirSync(`${root}/short`);
  writeFileSync(`${root}/short/verdict.json`, JSON.stringify(verdict));
  const moved = space.path("moved");
  renameSync(root, moved);
  expect(sortFolders([`${moved}/short`])).toMatchObject({
    claims: [`${moved}/short`],
    runs: [`${moved}/short-s1`],
  });
  // the whole folder: every claim and every run
  expect(sortFolders([moved]).runs.length).toBe(2);
  const document = await page([`${moved}/short`]);
  expect(document.querySelector("#claim-short h2")!.textContent).toBe("Claim short: SUPPORTED");
  expect(cells(document, "#claim-short tbody tr")).toEqual([
    ["shorter", "tokens of level=3", "-3.5", "-5 to -2", "below 0", "holds", "-3", "-4"],
  ]);
  writeFileSync(`${moved}/short/verdict.json`, JSON.stringify({ ...verdict, verdict: 7 }));
  await expect(writeReport([`${moved}/short`], "html", "-")).rejects.toThrow(/verdict\.json: verdict: /);
});
