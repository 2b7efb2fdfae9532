import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { configDifferences } from "../../src/report/config-difference.ts";
import { deadGroups } from "../../src/report/curves.ts";
import { readRun, type SampleLine } from "../../src/report/read-run.ts";
import { fairMix, verdictOf } from "../../src/report/sample-cards.ts";
import { smooth, smoothingWindow, thin } from "../../src/report/series.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const evil = `<script>alert("x")</script><img src=x onerror='alert(1)'>`;
const metrics = (steps: number) =>
  [
    "step,stage,reward/mean,reward/part/exact,policy/entropy,alarms,alarm/mode_collapse,group/all_wrong,group/all_right,group/equal_rewards,group/all_truncated,group/all_unparsed,time/step_s",
    ...Array.from({ length: steps }, (_, i) => {
      const stage = i < steps / 2 ? "first" : evil;
      return `${i + 1},"${stage.replaceAll('"', '""')}",${i / steps},${i / steps / 2},0.5,${Number(i === 3)},${Number(i === 3)},0.5,0.1,0.7,0.2,0.4,0.5`;
    }),
  ].join("\n");
const evaluationHead =
  "step,stage,dataset,slice,prompts,completions,correct,accuracy,accuracy_low,accuracy_high,interval,reward_mean,tokens_mean,thinking,truncated,unparsed";
const evaluations = [
  evaluationHead,
  "0,first,d,all,200,200,61,0.305,0.245,0.372,wilson,0.3,12.5,0.5,0,0",
  "0,first,d,level=10,100,100,11,0.11,0.06,0.18,wilson,0.1,14.5,0.9,0,0",
  "0,first,d,level=2,100,100,50,0.5,0.4,0.6,wilson,0.5,10.5,0.1,0,0",
  "40,first,d,all,200,200,151,0.755,0.691,0.809,wilson,0.75,11.25,0.25,0,0",
  "40,first,d,level=10,100,100,60,0.6,0.5,0.69,wilson,0.6,13.25,0.4,0,0",
  "40,first,d,level=2,100,100,91,0.91,0.83,0.95,wilson,0.9,9.25,0.1,0,0",
].join("\n");
const sample = (step: number, index: number, correct: boolean) => ({
  step,
  stage: "first",
  prompt_id: "p",
  sample_index: index,
  prompt: `Q ${evil}`,
  answer: "7",
  completion: `${evil}</pre></section>`,
  tokens: 5,
  finish_reason: "eos",
  reward: Number(correct),
  status: "ok",
  correct,
});

let runDir: string;
beforeAll(() => {
  runDir = writeRun(space.path(`run ${"<b>"}`), {
    recipe: `seed: 1\nrun: { name: '${evil.replaceAll("'", "''")}' }\nmodel: { path: "<i>m</i>" }\noptimizer: { lr: 0.1 }\n`,
    metrics: `${metrics(40)}\n`,
    evaluations: `${evaluations}\n`,
    samples: [sample(1, 0, true), sample(1, 1, false), sample(40, 0, false)],
    provenance: { backend: { kind: "<u>" }, resumes: [] },
  });
});

describe("rlpt report", () => {
  it("shows text of files as text, whatever markup it holds", async () => {
    const { text } = await writeReport([runDir], "html", "-");
    const { document } = parseHTML(text);
    expect(document.querySelectorAll("script").length).toBe(1); // its own
    for (const tag of ["img", "b:not(.right):not(.wrong)", "u", "main i:not(.legend i)"]) {
      expect(document.querySelectorAll(tag).length, tag).toBe(0);
    }
    expect(document.querySelector(".card pre.prompt")!.textContent).toBe(`Q ${evil}`);
    expect(document.querySelectorAll(".card").length).toBe(3);
    expect(text).not.toMatch(/(src|href)="?(https?:)?\/\//);
  });

  it("has the numbers of the CSV in its tables, dots and captions", async () => {
    const { text } = await writeReport([runDir], "html", "-");
    const { document } = parseHTML(text);
    const cells = [...document.querySelectorAll("#final table")].map((table) =>
      [...table.querySelectorAll("tbody tr")].map((row) =>
        [...row.querySelectorAll("td")].map(({ textContent }) => textContent),
      ),
    );
    expect(cells[0]!.map((row) => row.slice(0, 3))).toEqual([
      ["all", "75.5%", "69.1% to 80.9%"],
      ["level=10", "60.0%", "50.0% to 69.0%"],
      ["level=2", "91.0%", "83.0% to 95.0%"],
    ]);
    expect(cells[1]!.map((row) => [row[0], row[2], row[7]])).toEqual([
      ["0", "30.5%", "12.5"],
      ["40", "75.5%", "11.25"],
    ]);
    const dots = [...document.querySelectorAll("#summary .broad title")].map(
      ({ textContent }) => textContent,
    );
    expect(dots[1]).toContain("step 40: 75.5% [69.1%, 80.9%]");
    const summary = [...document.querySelectorAll("#summary tbody tr")].map(({ textContent }) => textContent);
    expect(summary.at(-1)).toMatch(
      /^accuracy held out, first -> last \[95%\]\s*30.5% -> 75.5% \[69.1%, 80.9%\]$/,
    );
    const captions = [...document.querySelectorAll("figcaption")].map(({ textContent }) => textContent);
    expect(captions.find((caption) => caption?.startsWith("reward/mean"))).toBe(
      "reward/mean. Line: centred mean of 3 steps, at both ends a line fitted to up to 5. Faint: as measured. Last, as measured: 0.975 at step 40.",
    );
    expect(document.querySelector("#alarms td:nth-child(2)")!.textContent).toBe("mode_collapse");
    expect(document.querySelector("#alarms td:nth-child(3)")!.textContent).toBe("4");
    // levels in the order of numbers
    const legend = [...document.querySelectorAll("#slices figure .legend")][0]!.textContent;
    expect(legend).toBe("level=2level=10");
    // and what bars show, in numbers
    const bars = [...document.querySelectorAll("#slices tr")].map((row) =>
      [...row.querySelectorAll("th,td")].map(({ textContent }) => textContent),
    );
    expect(bars[0]!.slice(0, 2)).toEqual(["level", "accuracy before training"]);
    expect(bars[2]).toEqual(["10", "11.0%", "60.0%", "90.0%", "40.0%", "14.5", "13.25"]);
  });

  it("shows the difference of two configs, and of equal ones none", async () => {
    const other = writeRun(space.path("other"), {
      recipe: readRun(runDir) && readFileSync(`${runDir}/recipe.yaml`, "utf8").replace("0.1", "0.25"),
      metrics: `${metrics(40)}\n`,
    });
    const { text } = await writeReport([runDir, other], "html", "-");
    const { document } = parseHTML(text);
    const row = [...document.querySelectorAll("#config tbody td")].map(({ textContent }) => textContent);
    expect(row).toEqual(["optimizer.lr", "0.1", "0.25"]);
    expect(configDifferences([{ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }])).toEqual([
      { path: "a[1].b", values: [2, 3] },
    ]);
    expect(configDifferences([{ levels: [1, 2] }, { levels: [1, 2] }])).toEqual([]);
    expect(configDifferences([{ kl: { coef: 1 } }, {}])).toEqual([
      { path: "kl.coef", values: [1, undefined] },
    ]);
  });

  it("writes Markdown whose markup is its own, and every number as CSV", async () => {
    const { text } = await writeReport([runDir], "md", "-");
    expect(text).toContain("| level=10 | 60.0% | 50.0% to 69.0% |");
    expect(text.replaceAll(/```[\s\S]*?```/g, "")).not.toMatch(/(^|[^\\])<script/);
    const { text: csv } = await writeReport([runDir], "csv", "-");
    const rows = parse(csv, { columns: true }) as Record<string, string>[];
    const of = (file: string, step: string, slice: string, metric: string) =>
      rows.filter(
        (row) =>
          row["file"] === file && row["step"] === step && row["slice"] === slice && row["metric"] === metric,
      );
    expect(of("eval.csv", "40", "level=2", "accuracy").map(({ value }) => value)).toEqual(["0.91"]);
    expect(of("metrics.csv", "3", "", "reward/mean").map(({ value }) => value)).toEqual(["0.05"]);
  });

  it("is the same, byte for byte, when made again", async () => {
    const once = (await writeReport([runDir], "html", "-")).text;
    expect((await writeReport([runDir], "html", "-")).text).toBe(once);
  });

  it("reports on a run that has hardly begun, torn last line included", async () => {
    const young = writeRun(space.path("young"), {
      metrics: "step,stage,reward/mean\n1,a,0.5\n2,a,0.",
      samples: [],
    });
    expect(readRun(young).metrics.length).toBe(1);
    const { path } = await writeReport([young], "html");
    expect(readFileSync(path!, "utf8")).toContain("no evaluation");
    await expect(writeReport([space.path("nothing")], "html")).rejects.toThrow(/no recipe.yaml/);
  });

  it("draws LIM scores of a selection, and the Pareto front of a sweep", async () => {
    const selection = space.path("selection");
    mkdirSync(selection);
    writeFileSync(
      `${selection}/selection.json`,
      JSON.stringify({ pool: 3, selected: 1, slices: { "kind=easy": { pool: 2, selected: 1 } } }),
    );
    writeFileSync(
      `${selection}/scores.csv`,
      "id,score,selected,epochs_seen,epoch_0,epoch_1\na,0.8,1,2,0.5,0.75\nb,-1,0,2,0,0\nc,-0.9,0,2,0,0.1\n",
    );
    writeFileSync(`${selection}/histogram.csv`, "low,high,count\n-1,-0.9,2\n0.8,0.9,1\n");
    const sweep = space.path("sweep");
    mkdirSync(sweep);
    writeFileSync(
      `${sweep}/pareto.csv`,
      "point,seed,when,alpha,step,score,trigger,tokens,precision,recall,f1,dominated,hypervolume\n" +
        "p1,1,end,0.1,9,0.9,0.8,20,,,,false,0.5\np2,1,end,0.2,9,0.6,0.4,12,,,,false,0.5\np3,1,end,0.3,9,0.5,0.7,15,,,,true,0.5\n",
    );
    const { document } = parseHTML((await writeReport([selection, sweep], "html", "-")).text);
    const captions = [...document.querySelectorAll("figcaption")].map(({ textContent }) => textContent ?? "");
    expect(captions[0]).toContain("lowest score that was kept, 0.8");
    expect(document.querySelector("#selection-selection .legend")!.textContent).toBe("kept (1)dropped (2)");
    const front = [...document.querySelectorAll("#sweep-sweep tbody tr td:nth-child(6)")].map(
      (td) => td.textContent,
    );
    expect(front).toEqual(["yes", "yes", ""]);
    expect(document.querySelector("#sweep-sweep td:last-child")!.textContent).toBe("alpha=0.1");
    // a table of every number exists in the folder already
    await expect(writeReport([sweep], "csv", "-")).rejects.toThrow(/pareto\.csv/);
    // thinking more pays only from the next point on: the staircase goes right before it goes up
    const [stairs] = [...document.querySelectorAll('#sweep-sweep .broad [aria-label="line"] path')];
    expect(stairs!.getAttribute("d")).toMatch(/^M([\d.]+),([\d.]+)L([\d.]+),\2L\3,/);
    const fills = [...document.querySelectorAll("#sweep-sweep .broad circle")].map((dot) =>
      dot.getAttribute("fill"),
    );
    expect(fills.filter((fill) => fill === "var(--card)").length).toBe(1);
  });
});

it("ends a smooth curve as calmly as it runs", () => {
  for (const n of [40, 100, 400]) {
    const window = smoothingWindow(n);
    let [worst, raw] = [0, 0];
    for (let seed = 0; seed < 100; seed++) {
      const noise = Array.from({ length: n }, (_, x) => ({ x, y: createRng(seed).fork(n).normal(x) }));
      const curve = smooth(noise, window);
      for (const [i, by] of [
        [0, 1],
        [n - 1, -1],
      ] as const) {
        worst += (curve[i]!.y - curve[i + by * window]!.y) ** 2 / 200;
        raw += (noise[i]!.y - curve[i + by * window]!.y) ** 2 / 200;
      }
    }
    // a mean over ever fewer points ends on the raw value
    expect(worst / raw, `${n} points`).toBeLessThan(window === 3 ? 0.75 : 0.5);
  }
});

describe("completions that are shown", () => {
  const line = (i: number, correct: boolean, status = "ok") => ({
    ...sample(1, Math.floor(i / 16), correct),
    prompt_id: `p${i % 16}`,
    status,
  });
  const verdicts = (list: readonly SampleLine[]) => list.map(verdictOf).sort().join(" ");

  it("are as often wrong as the recorded ones are, and never all of one kind where there are two", () => {
    const many = Array.from({ length: 128 }, (_, i) => line(i, i % 128 >= 83));
    expect(verdicts(fairMix(many, 6))).toBe("right right wrong wrong wrong wrong");
    expect(verdicts(fairMix(many, 2))).toBe("right wrong");
    const nearly = Array.from({ length: 128 }, (_, i) => line(i, i !== 5));
    expect(verdicts(fairMix(nearly, 6))).toBe("right right right right right wrong");
    const kinds = [line(0, true), line(1, false), line(2, false, "unparsed"), line(3, false, "unparsed")];
    expect(verdicts(fairMix(kinds, 3))).toBe("right unparsed wrong");
    expect(fairMix(kinds, 9).length).toBe(4);
  });

  it("are of different prompts, and of each prompt the first", () => {
    const many = Array.from({ length: 128 }, (_, i) => line(i, i % 3 === 0));
    const shown = fairMix(many, 6);
    expect(new Set(shown.map(({ prompt_id: id }) => id)).size).toBe(6);
    expect(shown.every(({ sample_index: index }) => index <= 1)).toBe(true);
  });

  it("say how many of each verdict there were", async () => {
    const { document } = parseHTML((await writeReport([runDir], "html", "-")).text);
    expect([...document.querySelectorAll(".moment small")].map((one) => one.textContent)).toEqual([
      "1 right, 1 wrong",
      "1 wrong",
    ]);
  });
});

it("has one notion of time in all: that of usage.json, and a named sum where there is none", async () => {
  const timed = writeRun(space.path("timed"), {
    metrics: "step,stage,time/step_s,time/eval_s,time/checkpoint_s\n1,a,2,,0.5\n2,a,2,3,\n",
  });
  const time = async () =>
    parseHTML((await writeReport([timed], "html", "-")).text).document.querySelector(
      "#summary tr:nth-child(7)",
    )!.textContent;
  expect(await time()).toBe("time in all7.5 s in steps, evaluations, checkpoints");
  writeFileSync(
    `${timed}/usage.json`,
    JSON.stringify({
      total_s: 75,
      cpu_s: 100,
      peak_rss_bytes: 1,
      disk: { checkpoints_bytes: 0, rest_bytes: 0 },
      stages: [],
    }),
  );
  expect(await time()).toBe("time in all1 min 15 s");
});

it("counts a dead group once, by its first cause", () => {
  const last = deadGroups(readRun(runDir)).map(({ name, points }) => [
    name,
    Number(points.at(-1)!.y.toFixed(6)),
  ]);
  expect(last).toEqual([
    ["all truncated", 0.2],
    ["all unparsed", 0.3],
    ["all right", 0.1],
    ["equal rewards otherwise", 0.1],
  ]);
});

it("smooths around the point, keeps straight lines straight, and thins to means", () => {
  const line = Array.from({ length: 100 }, (_, i) => ({ x: i, y: 2 * i }));
  for (const [i, { x, y }] of smooth(line, 7).entries()) expect([x, y]).toEqual([i, 2 * i]);
  expect(
    smooth(
      [0, 0, 9, 0, 0].map((y, x) => ({ x, y })),
      3,
    ).map(({ y }) => y),
  ).toEqual([expect.closeTo(1.8), 3, 3, 3, expect.closeTo(1.8)]);
  for (const n of [1, 29, 30, 59, 60, 100, 1000, 5001]) expect(smoothingWindow(n) % 2).toBe(1);
  // a share does not leave 0..1 at an end
  const zeros = [0, 0, 0, 0, 1, 1, 0].map((y, x) => ({ x, y }));
  expect(smooth(zeros, 3)[0]!.y).toBe(0);
  // few points, and none, have ends too
  expect(smooth([{ x: 3, y: 4 }], 3)).toEqual([{ x: 3, y: 4 }]);
  expect(smooth([], 3)).toEqual([]);
  const few = thin(line, 30);
  expect(few.length).toBe(25);
  expect(few[0]).toEqual({ x: 1.5, y: 3 });
});
