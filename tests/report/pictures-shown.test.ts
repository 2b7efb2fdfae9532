/** What a report shows of a run on pictures: the pictures, boxes over them, and which label was taken for which. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeReport } from "../../src/report/write-report.ts";
import { csvLine } from "../../src/run/append-log.ts";
import { writePictureRun } from "../helpers/picture-run.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const pageOf = async (...runs: string[]) => parseHTML((await writeReport(runs, "html", "-")).text).document;
let run: string;
let page: Awaited<ReturnType<typeof pageOf>>;
beforeAll(async () => {
  run = writePictureRun(space.path("pictures"));
  page = await pageOf(run);
});

const titles = (within: string) =>
  [...page.querySelectorAll(`${within} title`)].map(({ textContent }) => textContent);

describe("completions", () => {
  it("have their picture beside them, which stands in the file once", () => {
    const cards = [...page.querySelectorAll(".card")];
    expect(cards).toHaveLength(30);
    const used = cards.map((card) => card.querySelector("use")!.getAttribute("href")!);
    const ids = [...page.querySelectorAll("image")].map((image) => `#${image.getAttribute("id")}`);
    expect(new Set(used)).toEqual(new Set(ids));
    expect(ids.length).toBeLessThan(used.length);
    const names = cards.map((card) => card.querySelector("svg")!.getAttribute("aria-label")!);
    expect(names.some((name) => name.startsWith("drawn: "))).toBe(true);
  });

  it("have boxes where a part compared some, in the picture's pixels", () => {
    const boxed = [...page.querySelectorAll(".card")].filter((card) => card.querySelector("rect") !== null);
    expect(boxed.length).toBeGreaterThan(10);
    for (const card of boxed) {
      const gold = /gold ((?:p\d ?){4})/.exec(card.querySelector("p")!.textContent!)![1]!;
      // four cells of the grid are sixteen pixels
      const [x0, y0, x1, y1] = gold.match(/\d/g)!.map((place) => Number(place) * 4) as [
        number,
        number,
        number,
        number,
      ];
      const rect = card.querySelector("rect.gold")!;
      expect(["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)))).toEqual([
        x0,
        y0,
        x1 - x0,
        y1 - y0,
      ]);
      const parsed = card.getAttribute("data-verdict") !== "unparsed";
      expect(card.querySelectorAll("rect.given").length).toBe(Number(parsed));
    }
    expect(page.querySelector("#samples .note")!.textContent).toContain(
      "gold dashed, the completion's solid",
    );
  });

  it("come without pictures where the run kept none, and the report says so", async () => {
    const bare = writePictureRun(space.path("bare"));
    writeFileSync(join(bare, "thumbnails.jsonl"), "torn");
    const without = await pageOf(bare);
    expect(without.querySelectorAll(".card").length).toBe(30);
    expect(without.querySelectorAll("image, use, rect.gold").length).toBe(0);
    expect(without.querySelector("#samples .note")!.textContent).toContain("30 pictures are not shown");
  });

  it("prefer steps whose pictures were kept", async () => {
    const shown = [1, 20].map((step) => `step ${step}, grpo`);
    const some = writePictureRun(space.path("some"), (step) => step === 1 || step === 20);
    const headings = [...(await pageOf(some)).querySelectorAll(".moment h3")].map(
      ({ textContent }) => textContent,
    );
    expect(headings.map((text) => text.replace(/ \d+ right.*/, ""))).toEqual(shown);
  });

  it("of many runs hold a bounded number of pictures", async () => {
    const big = {
      width: 96,
      height: 96,
      data: new Uint8Array(96 * 96 * 3).map((_, i) => (i * i * 31 + (i >> 3)) & 255),
    };
    const runs = Array.from({ length: 8 }, (_, i) =>
      writePictureRun(
        space.path(`many${i}`),
        () => true,
        (n) => {
          const data = big.data.map((value, at) => value ^ ((at * (i + 1) * (n + 3) * 2_654_435_761) >>> 13));
          return { ...big, data };
        },
      ),
    );
    const { text } = await writeReport(runs, "html", "-");
    const { document } = parseHTML(text);
    const pictures = [...document.querySelectorAll("image")].map((one) => one.getAttribute("href")!.length);
    const chars = pictures.reduce((sum, length) => sum + length, 0);
    expect(chars).toBeLessThan(3_100_000);
    expect(chars).toBeGreaterThan(1_000_000);
    expect(document.querySelectorAll("#samples .note")[0]!.textContent).toMatch(/\d+ pictures are not shown/);
  });
});

describe("answers", () => {
  it("are counted by gold and given label, dataset by dataset and half by half", () => {
    const names = [...page.querySelectorAll("#confusion h3")].map(({ textContent }) => textContent!);
    expect(names.map((name) => name.replace(/ completions.*/, ""))).toEqual(["D0, base", "D0, new"]);
    const cells = titles("#confusion");
    for (const cell of [
      "red disc, given red disc: 6 of 6",
      "white ex, given none: 1 of 6",
      "white ex, given white ex: 5 of 6",
      "pink frame, given other: 1 of 6",
      "blue ring, given red disc: 0 of 6",
      // the first label of the base classes is none of the new ones'
      "yellow diamond, given other: 4 of 6",
    ])
      expect(cells).toContain(cell);
    expect(cells.filter((cell) => cell!.startsWith("blue ring, given"))).toHaveLength(6);
  });

  it.each([
    ["one label", () => "yes"],
    ["as many answers as prompts", (i: number) => String(i)],
    ["more labels than a matrix can show", (i: number) => String(i % 25)],
  ])("are no matrix with %s", async (_, labelOf) => {
    const head =
      "step,stage,dataset,prompt_id,slices,completions,correct,thinking,tokens_mean,reward_mean,answer,given";
    const rows = Array.from({ length: 60 }, (_, i) =>
      csvLine([1, "s", "d", `p${i}`, "", 1, 1, null, 3, 1, labelOf(i), JSON.stringify([labelOf(i)])]),
    );
    const directory = writeRun(space.path(`labels ${labelOf(30)}`), {
      evaluations: "step,stage,dataset,slice,accuracy\n1,s,d,all,1\n",
      evaluationPrompts: `${head}\n${rows.join("")}`,
    });
    expect((await pageOf(directory)).querySelector("#confusion")).toBeNull();
  });
});

describe("slices", () => {
  it("split and dataset of a single run have bars with their intervals, and a matrix", () => {
    const bars = titles("#transfer .broad");
    expect(bars).toEqual(
      expect.arrayContaining(["base, trial: 80%", "new, trial: 60%", "other, trial: 40%"]),
    );
    expect(page.querySelectorAll('#transfer .broad [aria-label="rule"] line').length).toBe(6 + 4);
    expect(page.querySelector("#transfer figcaption")!.textContent).toContain(
      "of a single run the 95% interval",
    );
    expect(titles("#transfer figure:not(.wide)")).toEqual([
      "D0 on D0: +42.0",
      "D0 on D1: +25.0",
      "D0 on D3: +5.0",
    ]);
  });

  it("dataset alone, of several runs, are a matrix of accuracies", async () => {
    const head = "step,stage,dataset,slice,accuracy,accuracy_low,accuracy_high";
    const runs = [0.25, 0.5].map((value, i) =>
      writeRun(space.path(`across ${i}`), {
        evaluations: `${head}\n1,s,d,all,.5,.4,.6\n1,s,d,dataset=cars,${value},.1,.9\n1,s,d,dataset=pets,.75,.7,.8\n`,
      }),
    );
    const cells = [...(await pageOf(...runs)).querySelectorAll("#transfer title")].map(
      (one) => one.textContent,
    );
    expect(cells).toContain("across 0 on cars: 25.0% [10.0%, 90.0%]");
    expect(cells).toContain("across 1 on pets: 75.0% [70.0%, 80.0%]");
  });
});

it("as Markdown names the pictures", async () => {
  const { text } = await writeReport([run], "md", "-");
  expect(text).toMatch(/Pictures: drawn: \w+/);
  expect(text).not.toContain("base64");
});
