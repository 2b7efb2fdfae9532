/** The pictures of the papers: base/new bars and matrices (CLS-RL), scores and curves (LIMR), names in a Pareto plot. */
import { parseHTML } from "linkedom";
import { afterAll, describe, expect, it } from "vitest";
import { armNames, plotNames } from "../../src/report/arms.ts";
import { readRun } from "../../src/report/read-run.ts";
import { placeLabels, scatterRange } from "../../src/report/scatter-labels.ts";
import { distinctPaths, shownPath, withoutFolders } from "../../src/report/shown-path.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { writeSelection, writeTransferRun } from "../helpers/picture-files.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const transferRun = (name: string, dataset: number, seed: number, lr: number, after: readonly number[]) =>
  writeTransferRun(space.path("."), { name, dataset, seed, lr }, after);

describe("base and new classes", () => {
  const runs = [
    transferRun("sft", 0, 1, 0.1, [0.9, 0.3, 0.6, 0.4]),
    transferRun("sft", 0, 1, 0.2, [0.8, 0.4, 0.6, 0.3]),
    transferRun("sft", 0, 2, 0.2, [0.6, 0.4, 0.6, 0.5]),
    transferRun("rl", 1, 1, 0.1, [0.7, 0.7, 0.6, 0.7]),
  ];

  it("shows means, H of the means, and each matrix against its own start", async () => {
    const { document } = parseHTML((await writeReport(runs, "html", "-")).text);
    const rows = [...document.querySelectorAll("#transfer tbody tr")].map((row) =>
      [...row.querySelectorAll("td")].map(({ textContent }) => textContent),
    );
    expect(rows).toEqual([
      ["zero-shot, direct", "3", "50.0%", "50.0%", "50.0%", "50.0%", "3"],
      ["sft, lr 0.1", "1", "90.0%", "30.0%", "45.0%", "40.0%", "3"],
      ["sft, lr 0.2", "2", "70.0%", "40.0%", "50.9%", "40.0%", "3"],
      ["rl", "1", "70.0%", "70.0%", "70.0%", "60.0%", "3"],
    ]);
    const titles = [...document.querySelectorAll("#transfer .broad title")].map((one) => one.textContent);
    expect(titles).toContain("base, sft, lr 0.2: 70%");
    expect(titles).toContain("H, sft, lr 0.2: 50.9%");
    const cells = [...document.querySelectorAll("#transfer svg title")].map((one) => one.textContent);
    for (const cell of ["D0 on D0: -20.0", "D0 on D1: -10.0", "D1 on D0: +10.0", "D1 on D1: +20.0"])
      expect(cells).toContain(cell);
    // what the section shows is not shown again a run at a time
    expect(document.querySelector("#slices")).toBeNull();
  });

  it("names arms by what differs, and gives many runs the colour of their arm", () => {
    const read = runs.map(readRun);
    expect(armNames(read)).toEqual(["sft, lr 0.1", "sft, lr 0.2", "sft, lr 0.2", "rl"]);
    expect(plotNames(read).map(({ colour }) => colour)).toEqual([0, 1, 2, 3]);
    const many = plotNames([...read, ...read, ...read]);
    expect(many.map(({ colour }) => colour).slice(0, 5)).toEqual([0, 1, 1, 2, 0]);
  });
});

it("a selection's bars count every score once, and its curves tell too easy from too hard", async () => {
  const directory = writeSelection(space.path("selection"));
  const { document } = parseHTML((await writeReport([directory], "html", "-")).text);
  const bars = [...document.querySelectorAll("#selection-selection figure:first-child title")].map(
    ({ textContent }) => textContent,
  );
  expect(bars.sort()).toEqual([
    "-0.55 to -0.5, dropped: 1",
    "0 to 0.05, dropped: 1",
    "0.15 to 0.2, dropped: 1",
    "0.15 to 0.2, kept: 1",
    "0.8 to 0.85, kept: 1",
    "threshold 0.15",
  ]);
  const [scores, curves] = [...document.querySelectorAll("figcaption")].map((one) => one.textContent!);
  expect(scores).toContain("holds 1 that lie below -0.5, down to -7. 1 prompts have no score.");
  for (const text of [
    "kept (2): 0.5 to 0.625",
    "above the mean (1): 1 to 1",
    "below the mean (2): 0.125 to 0.375",
  ])
    expect(curves).toContain(text);
});

it("names of a Pareto plot's points do not cover each other, however close the points are", () => {
  const marks = ["full-cot (start)", "think-all", "full-cot", "off-1", "no-cot", "no-cot (start)"].map(
    (name, i) => ({ name, x: i < 4 ? 1 : 0, y: i < 4 ? 0.96 + i / 100 : 0.5 + i / 100, low: 0.4, high: 1 }),
  );
  for (const [width, height] of [
    [780, 340],
    [380, 300],
  ] as const) {
    const [low, high] = scatterRange(marks);
    const frame = { width, height, marginLeft: 52, marginRight: 30, marginTop: 20, marginBottom: 38 };
    const boxes = placeLabels(marks, frame).map(({ mark, dx, dy, anchor }) => {
      const length = mark.name.length * 5.5;
      const x =
        52 + mark.x * (width - 82) + dx - (anchor === "end" ? length : anchor === "middle" ? length / 2 : 0);
      const y = height - 38 - ((mark.y - low) / (high - low)) * (height - 58) + dy;
      return { left: x, right: x + length, top: y - 5, bottom: y + 5 };
    });
    for (const [i, a] of boxes.entries()) {
      expect(a.right).toBeLessThan(width);
      for (const b of boxes.slice(i + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
        expect(apart, `${width} wide: ${JSON.stringify([a, b])}`).toBe(true);
      }
    }
  }
});

describe("folders of the machine", () => {
  it("are not shown: paths stand as they were given, absolute ones without their folders", () => {
    expect(shownPath("models/lab-small")).toBe("models/lab-small");
    expect(shownPath("../models/lab-small")).toBe("../models/lab-small");
    expect(shownPath("org/name@main")).toBe("org/name@main");
    expect(shownPath("/home/me/SmolLM2.gguf")).toBe("SmolLM2.gguf");
    expect(shownPath("/home/me/model/")).toBe("model");
    expect(shownPath("C:\\models\\small")).toBe("small");
    expect(withoutFolders("products by CBLAS /opt/my/libblas.so (x, 2 threads)")).toBe(
      "products by CBLAS libblas.so (x, 2 threads)",
    );
    expect(withoutFolders("model.path=/home/me/a.gguf")).toBe("model.path=a.gguf");
    expect(withoutFolders("2 and/or 1 / 3, https://huggingface.co/a/b")).toBe(
      "2 and/or 1 / 3, https://huggingface.co/a/b",
    );
    expect(distinctPaths(["/a/x/selected.jsonl", 3, "/a/y/selected.jsonl"])).toEqual([
      "x/selected.jsonl",
      3,
      "y/selected.jsonl",
    ]);
    expect(distinctPaths(["/a/x/p.jsonl", "/a/x/p.jsonl"])).toEqual(["p.jsonl", "p.jsonl"]);
  });

  it("stand nowhere in a report", async () => {
    const run = writeRun(space.path("placed"), {
      recipe: "seed: 1\nmodel: { path: /secret/models/base }\nrun: { name: trial }\n",
      metrics: "step,stage,reward/mean\n1,s,0.5\n",
      provenance: {
        model: "../models/base",
        command: [
          "/secret/bin/rlpt.js",
          "train",
          "/secret/my.yaml",
          "--set",
          "model.path=/secret/models/base",
        ],
        backend: { description: "CBLAS /secret/lib/libblas.so (2 threads)" },
        data: { "/secret/data.jsonl": { bytes: 3, sha256: "ab" } },
        resumes: [],
      },
    });
    const { text } = await writeReport([run], "html", "-");
    expect(text).not.toContain("/secret");
    expect(
      parseHTML(text).document.querySelector("#summary tr:nth-child(2) td:last-child")!.textContent,
    ).toBe("../models/base");
    const { document } = parseHTML(text);
    const cells = [...document.querySelectorAll("td")].map(({ textContent }) => textContent);
    for (const cell of [
      "../models/base",
      "rlpt train my.yaml --set model.path=base",
      "data / data.jsonl / bytes",
    ])
      expect(cells).toContain(cell);
    expect((await writeReport([run], "md", "-")).text).not.toContain("/secret");
  });
});
