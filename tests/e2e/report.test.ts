import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "csv-parse/sync";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compareSides } from "../../src/report/compare.ts";
import { escapeHtml } from "../../src/report/render-html.ts";
import { checkRemovable, describeRuns, removeRuns } from "../../src/report/run-list.ts";
import { readSides } from "../../src/report/sides.ts";
import { writeReport } from "../../src/report/write-report.ts";
import { writeHostileRun } from "../helpers/hostile-files.ts";
import { optionalPart } from "../helpers/optional.ts";
import { writeSelection, writeSweep, writeTransferRun } from "../helpers/picture-files.ts";
import { writePictureRun } from "../helpers/picture-run.ts";
import { runTraining, tinyGrpo, tinyStages, workspace } from "../helpers/tiny-run.ts";

const chromium = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const space = workspace();
afterAll(space.remove);

const root = space.path("runs");
const [staged, first, second] = ["staged", "first", "second"].map((name) => join(root, name)) as [
  string,
  string,
  string,
];

beforeAll(async () => {
  mkdirSync(root);
  await runTraining(space.write("stages.yaml", tinyStages), { runDir: staged });
  const config = space.write("tiny.yaml", tinyGrpo);
  await runTraining(config, { runDir: first });
  await runTraining(config, { runDir: second, set: ["optimizer.lr=0.05"] });
}, 120_000);

it("eval-prompts.csv adds up to eval.csv", () => {
  const read = (name: string) =>
    parse(readFileSync(join(first, name)), { columns: true }) as Record<string, string>[];
  const all = read("eval.csv").filter(({ slice }) => slice === "all");
  expect(all.length).toBe(3);
  for (const row of all) {
    const own = read("eval-prompts.csv").filter(({ step }) => step === row["step"]);
    expect(own.length).toBe(Number(row["prompts"]));
    const mean = (name: string) => own.reduce((sum, one) => sum + Number(one[name]), 0) / own.length;
    expect(mean("reward_mean")).toBeCloseTo(Number(row["reward_mean"]), 10);
    expect(mean("tokens_mean")).toBeCloseTo(Number(row["tokens_mean"]), 10);
    expect(own.reduce((sum, one) => sum + Number(one["correct"]), 0)).toBe(Number(row["correct"]));
  }
});

it("compares two real runs, and a run with itself finds nothing", () => {
  const options = { metric: "accuracy", slice: null } as const;
  const [last] = compareSides(readSides([first, second]), options);
  expect(last!.prompts).toBe(6);
  const [same] = compareSides(readSides([first, `${first}/`]), options);
  expect(same!.difference).toMatchObject({ mean: 0, p: 1 });
  // six prompts that agree do not show that all do
  expect(same!.difference.high).toBeGreaterThan(0.3);
  // and say nothing about lengths, which have no bound
  const lengths = { metric: "tokens", slice: null } as const;
  expect(() => compareSides(readSides([first, second]), lengths)).toThrow(/needs 15 or more/);
});

it("lists runs, and removes only what is a run", () => {
  const listed = describeRuns(root, new Date());
  expect(listed.map(({ name, steps }) => [name, steps])).toContainEqual(["first", 4]);
  expect(listed.every(({ fault, bytes }) => fault === null && bytes > 1000)).toBe(true);
  const { status, seed, model, best, accuracy } = listed.find(({ name }) => name === "first")!;
  expect({ status, seed, model }).toEqual({ status: "done", seed: "3", model: "from random weights" });
  expect(best!.metric).toBe("accuracy");
  expect(best!.value).toBeGreaterThanOrEqual(accuracy!);
  expect(listed.find(({ name }) => name === "staged")!.status).toBe("done");
  const newest = join(second, "checkpoints", "000004");
  renameSync(newest, `${newest}.away`);
  const statusOf = () => describeRuns(root, new Date()).find(({ name }) => name === "second")!.status;
  expect(statusOf()).toBe("stopped");
  writeFileSync(
    join(second, "run.lock"),
    JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: null }),
  );
  expect(statusOf()).toBe("killed");
  rmSync(join(second, "run.lock"));
  renameSync(`${newest}.away`, newest);
  expect(() => checkRemovable([root])).toThrow(/not a run directory/);
  const project = space.path("project");
  mkdirSync(project);
  writeFileSync(join(project, "recipe.yaml"), "steps: 4\n");
  expect(() => checkRemovable([project])).toThrow(/holds a recipe\.yaml and no run .*; nothing was removed/);
  writeFileSync(join(second, "thesis.tex"), "");
  expect(() => checkRemovable([first, second])).toThrow(/holds what no run writes \(thesis\.tex\)/);
  rmSync(join(second, "thesis.tex"));
  symlinkSync(second, space.path("link"));
  expect(() => checkRemovable([`${space.path("link")}/`])).toThrow(/is a link/);
  expect(checkRemovable([first, second]).map(({ path }) => path)).toEqual([first, second]);
  removeRuns([second]);
  expect(describeRuns(root, new Date()).map(({ name }) => name)).toEqual(["first", "staged"]);
});

/** The page after its scripts have run, and what the browser said. */
function browse(
  file: string,
  ...more: string[]
): { document: ReturnType<typeof parseHTML>["document"]; complaints: string[] } {
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-logging=stderr",
    "--window-size=390,844",
  ];
  const profile = `--user-data-dir=${space.path("profile")}`;
  const { stdout, stderr } = spawnSync(
    chromium!,
    [...flags, ...more, profile, "--dump-dom", pathToFileURL(file).href],
    {
      encoding: "utf8",
      maxBuffer: 1 << 26,
      timeout: 60_000,
    },
  );
  return {
    document: parseHTML(stdout).document,
    complaints: stderr.split("\n").filter((line) => line.includes("CONSOLE")),
  };
}

/** The page with a script of the test's, which its policy then names beside its own. */
function withScript(page: string, script: string): string {
  const hash = createHash("sha256").update(script).digest("base64");
  return page
    .replace("script-src ", `script-src 'sha256-${hash}' `)
    .replace("</body>", () => `<script>${script}</script></body>`);
}

optionalPart(
  "in a browser",
  chromium !== undefined,
  "no Chromium; apt-get install chromium",
)(() => {
  it("the report of a run renders without errors, fits a phone, and shows the numbers of eval.csv", async () => {
    const { path, text } = await writeReport([staged, first], "html", space.path("report.html"));
    const { document, complaints } = browse(path!);
    expect(complaints).toEqual([]);
    // windows are 500 wide at least, frames are not; what sticks out of a phone is counted inside one
    const frame = `<!doctype html><iframe width="390" height="844" srcdoc="${escapeHtml(text)}"></iframe><script>
      const frame = document.querySelector("iframe");
      frame.onload = () => {
        const { document: inner, innerWidth } = frame.contentWindow;
        const right = (e) => e.getBoundingClientRect().right;
        const all = [...inner.querySelectorAll("body *")].filter((e) => e.parentElement.closest(".scroll, .moments, svg") === null);
        document.body.dataset.width = innerWidth;
        document.body.dataset.wide = all.filter((e) => right(e) > innerWidth).length;
        document.body.dataset.drawn = [...inner.querySelectorAll("svg")].filter((e) => e.getBoundingClientRect().height > 100).length;
      };
    </script>`;
    const phone = browse(space.write("phone.html", frame));
    expect(phone.complaints).toEqual([]);
    expect(phone.document.body.dataset["width"]).toBe("390");
    expect(phone.document.body.dataset["wide"]).toBe("0");
    expect(Number(phone.document.body.dataset["drawn"])).toBeGreaterThan(10);
    const rows = parse(readFileSync(join(first, "eval.csv")), { columns: true }) as Record<string, string>[];
    const shown = [...document.querySelectorAll("#final details")].at(-1)!;
    const cells = [...shown.querySelectorAll("tbody tr")].map((row) => row.querySelectorAll("td"));
    expect(cells.map((row) => [row[0]!.textContent, row[2]!.textContent, row[7]!.textContent])).toEqual(
      rows
        .filter(({ slice }) => slice === "all")
        .map((row) => [
          row["step"],
          `${(Number(row["accuracy"]) * 100).toFixed(1)}%`,
          String(Number(Number(row["tokens_mean"]).toPrecision(4))),
        ]),
    );
  }, 120_000);

  it.each(["0", "1"])(
    "pictures of papers render, and no name in a Pareto plot covers another (scheme %s)",
    async (scheme) => {
      const runs = [
        writeTransferRun(root, { name: "sft", dataset: 0, seed: 1, lr: 0.1 }, [0.9, 0.3, 0.6, 0.4]),
        writeTransferRun(root, { name: "rl", dataset: 0, seed: 1, lr: 0.1 }, [0.8, 0.7, 0.8, 0.6]),
      ];
      const folders = [writeSelection(space.path(`sel${scheme}`)), writeSweep(space.path(`sweep${scheme}`))];
      const { text } = await writeReport([...runs, ...folders], "html", "-");
      // boxes as the browser lays them out: pairs of names in a plot that meet
      const measure = `
      const box = (e) => e.getBoundingClientRect();
      const names = [...document.querySelectorAll('[id^="sweep"] .broad svg g[aria-label="text"] text')].map(box);
      const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2;
      document.body.dataset.names = names.length;
      document.body.dataset.covered = names.filter((a, i) => names.some((b, j) => j > i && meet(a, b))).length;
      document.body.dataset.drawn = [...document.querySelectorAll("#transfer svg, [id^=sel] svg")].filter((e) => box(e).height > 100).length;
      document.body.dataset.paper = getComputedStyle(document.body).backgroundColor;
    `;
      const file = space.write(`pictures${scheme}.html`, withScript(text, measure));
      const { document, complaints } = browse(
        file,
        "--window-size=1280,2000",
        `--blink-settings=preferredColorScheme=${scheme}`,
      );
      expect(complaints).toEqual([]);
      expect({ ...document.body.dataset }).toMatchObject({ names: "7", covered: "0", drawn: "5" });
      // 0 is dark
      expect(document.body.dataset["paper"]).toBe(scheme === "0" ? "rgb(18, 22, 28)" : "rgb(246, 247, 249)");
    },
    120_000,
  );

  it("pictures stand beside completions with their boxes, under the page's own policy", async () => {
    const { text } = await writeReport([writePictureRun(space.path("shown"))], "html", "-");
    const measure = `
      const sizes = (name) => [...document.querySelectorAll(name)].map((e) => e.getBoundingClientRect());
      document.body.dataset.pictures = sizes(".picture use").filter((box) => box.width === 128 && box.height === 128).length;
      document.body.dataset.boxes = sizes(".picture .gold").filter((box) => box.width >= 30 && box.width <= 70).length;
      document.body.dataset.counts = sizes("#confusion svg rect").filter((box) => box.width > 20 && box.height > 10).length;
    `;
    const { document, complaints } = browse(space.write("shown.html", withScript(text, measure)));
    expect(complaints).toEqual([]);
    const cards = [...document.querySelectorAll(".card")];
    const boxed = cards.filter((card) => card.querySelector(".gold") !== null).length;
    expect({ ...document.body.dataset }).toMatchObject({
      pictures: String(cards.length),
      boxes: String(boxed),
    });
    expect(Number(document.body.dataset["counts"])).toBe(4 * 6 + 4 * 5);
  }, 120_000);

  it("runs nothing of a stranger's run, and does not even try to", async () => {
    const evil = [
      `<script>document.title="ran"</script>`,
      `"><img src=x onerror="document.title='ran'">`,
      `</pre></style></title></svg><svg onload="document.title='ran'">`,
    ];
    let count = 0;
    const next = () => evil[count++ % evil.length]!;
    const strange = writeHostileRun(space.path("strange"), {
      text: (field, own) => (/\.csv (stage|dataset|interval|prompts)$/.test(field) ? next() : own),
      value: (_, own) => (typeof own === "string" ? next() : own),
    });
    const { text } = await writeReport([strange], "html", "-");
    const { document, complaints } = browse(space.write("strange.html", text));
    // the page's policy would complain about a script that it stops
    expect(complaints).toEqual([]);
    expect(document.title).toContain("accuracy 40.0% -> 90.0%");
    expect(document.querySelectorAll(".card").length).toBe(6);
    expect(document.querySelector(".card pre")!.textContent).toContain("document.title=");
    const stopped = browse(space.write("stopped.html", text.replace("<main>", `<main>${evil[1]}`)));
    expect(stopped.complaints.length).toBeGreaterThan(0);
    expect(stopped.document.title).not.toBe("ran");
  }, 120_000);

  it("says so when a script fails, and filters completions", async () => {
    const { text } = await writeReport([staged, first], "html", "-");
    const act = `const s = document.querySelector('[data-filter="run"]'); s.value = "first";
      s.dispatchEvent(new Event("change", { bubbles: true })); nothing.fails();`;
    const file = space.write("acted.html", withScript(text, act));
    const { document, complaints } = browse(file);
    expect(complaints.length).toBe(1);
    const cards = [...document.querySelectorAll(".card")];
    const visible = cards.filter((card) => !card.hasAttribute("hidden"));
    expect(visible.length).toBeGreaterThan(0);
    expect(visible.length).toBeLessThan(cards.length);
    for (const card of cards)
      expect(card.hasAttribute("hidden")).toBe(card.getAttribute("data-run") !== "first");
  }, 120_000);
});
