/** A report of a stranger's folder: whatever stands in its files, nothing of it is obeyed. */
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { parseHTML } from "linkedom";
import { afterAll, expect, it } from "vitest";
import { RlptError } from "../../src/lib/errors.ts";
import { csvText, printable, printableLine } from "../../src/lib/printable.ts";
import { compareSides } from "../../src/report/compare.ts";
import { renderMarkdown } from "../../src/report/render-text.ts";
import { readSides } from "../../src/report/sides.ts";
import { samplesScript } from "../../src/report/style.ts";
import { writeReport } from "../../src/report/write-report.ts";
import {
  hostileTexts,
  hostileValues,
  type Pick,
  writeHostileCollections,
  writeHostileRun,
} from "../helpers/hostile-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come through
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
const TAGS = new Set(
  `html head meta link title style body header h1 h2 h3 p nav a main section table thead tbody tr th td div details
  summary figure figcaption small span i b svg g path line rect circle defs image use text form label select option article pre tspan
  script`.split(/\s+/),
);

/** Every field keeps what belongs there with the chance `honest`. */
function picker(seed: number, honest: number): Pick {
  let count = 0;
  const next = (bound: number) => {
    count += 1;
    let mixed = Math.imul(seed ^ Math.imul(count, 0x9e3779b1), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % bound;
  };
  const choose = <T>(own: T, others: readonly unknown[]): T =>
    next(1000) < honest * 1000 ? own : (others[next(others.length)] as T);
  return {
    text: (_, own) => choose(own, hostileTexts),
    value: (_, own) => choose(own, hostileValues),
  };
}

/** The text, or null where the folder is refused in words that a terminal can show. */
async function attempt(make: () => Promise<string> | string): Promise<string | null> {
  try {
    return await make();
  } catch (error) {
    expect(error, String((error as Error).stack)).toBeInstanceOf(RlptError);
    expect((error as Error).message).not.toMatch(CONTROL);
    return null;
  }
}

function checkPage(html: string): void {
  expect(html).not.toMatch(CONTROL);
  expect(html).toContain("default-src 'none'");
  const { document } = parseHTML(html);
  for (const element of document.querySelectorAll("*")) {
    expect(TAGS.has(element.localName), element.localName).toBe(true);
    for (const { name, value } of element.attributes) {
      expect(name, `<${element.localName} ${name}>`).not.toMatch(/^on|^srcdoc$|^formaction$/i);
      const picture = element.localName === "image" && name === "href";
      if (picture) expect(value).toMatch(/^data:image\/png;base64,[A-Za-z0-9+/]+={0,2}$/);
      else if (["href", "src", "xlink:href"].includes(name)) expect(value).toMatch(/^#[\w-]*$|^data:,$/);
    }
  }
  const scripts = [...document.querySelectorAll("script")];
  expect(scripts.map(({ textContent }) => textContent)).toEqual([samplesScript]);
}

function checkMarkdown(text: string): void {
  expect(text).not.toMatch(CONTROL);
  const outside = text.replaceAll(/^(`{3,})\n[\s\S]*?\n\1$/gm, "");
  expect(outside).not.toMatch(/(^|[^\\])(\\\\)*<[a-z/!]/i);
  expect(outside).not.toMatch(/(^|[^\\])(\\\\)*\]\(/);
}

function checkCsv(text: string): void {
  for (const cell of (parse(text, { relax_column_count: true }) as string[][]).flat())
    if (/^[=+\-@\t\r]/.test(cell)) expect(Number(cell), cell).not.toBeNaN();
}

async function checkFolders(folders: readonly string[]): Promise<number> {
  const html = await attempt(async () => (await writeReport(folders, "html", "-")).text);
  if (html !== null) checkPage(html);
  const markdown = await attempt(async () => (await writeReport(folders, "md", "-")).text);
  if (markdown !== null) checkMarkdown(markdown);
  return Number(html !== null);
}

it("obeys nothing of a run, in any format", { timeout: 240_000 }, async () => {
  let made = 0;
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.constantFrom(0.999, 0.99, 0.9, 0.5), async (seed, honest) => {
      tried += 1;
      const run = writeHostileRun(space.path(`run ${tried} <b>`), picker(seed, honest));
      made += await checkFolders([run]);
      const csv = await attempt(async () => (await writeReport([run], "csv", "-")).text);
      if (csv !== null) checkCsv(csv);
      const other = writeHostileRun(space.path(`other ${tried} \u001b[31m`), picker(seed + 1, honest));
      await attempt(() => {
        const options = { metric: "accuracy", slice: null } as const;
        const text = JSON.stringify(compareSides(readSides([run, other]), options));
        expect(text).not.toMatch(CONTROL);
        return text;
      });
    }),
    { numRuns: 40, seed: 1, endOnFailure: true },
  );
  // refusing every folder would show nothing
  expect(made).toBeGreaterThan(tried / 3);
});

it("obeys nothing of a selection, a sweep, an experiment or a claim", { timeout: 240_000 }, async () => {
  let made = 0;
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.constantFrom(0.98, 0.8, 0.5), async (seed, honest) => {
      const folders = writeHostileCollections(space.path(`all ${tried}`), picker(seed, honest));
      for (const folder of folders) {
        tried += 1;
        made += await checkFolders([folder]);
      }
    }),
    { numRuns: 30, seed: 1, endOnFailure: true },
  );
  expect(made).toBeGreaterThan(tried / 3);
});

it("shows each hostile text in each place where a report shows text, as it is", async () => {
  for (const text of hostileTexts.slice(0, 8)) {
    const run = writeHostileRun(space.path(`each ${hostileTexts.indexOf(text)}`), {
      text: (field, own) =>
        /eval.csv (dataset|slice|stage)|metrics.csv stage/.test(field) && own !== "all" ? text : own,
      value: (field, own) =>
        /samples.jsonl.(prompt|completion|answer|stage|status)$/.test(field) ? text : own,
    });
    const { text: html } = await writeReport([run], "html", "-");
    checkPage(html);
    const { document } = parseHTML(html);
    expect(document.querySelector(".card pre:not(.prompt)")!.textContent).toBe(text);
    expect(document.querySelector("#final td:nth-child(1)")).not.toBeNull();
  }
});

const honest: Pick = { text: (_, own) => own, value: (_, own) => own };

it("shows a picture whatever its name says, and none that is no small PNG in base64", async () => {
  const shown = async (name: string, value: Pick["value"]) => {
    const { text } = await writeReport(
      [writeHostileRun(space.path(name), { ...honest, value })],
      "html",
      "-",
    );
    checkPage(text);
    return parseHTML(text).document;
  };
  for (const [i, text] of hostileTexts.entries()) {
    const page = await shown(`name ${i}`, (field, own) => (field === "thumbnails.jsonl.name" ? text : own));
    const [drawn] = page.querySelectorAll(".card .picture");
    expect(drawn!.getAttribute("aria-label")).toBe(printableLine(text));
    expect(drawn!.querySelectorAll("rect").length).toBe(2);
  }
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>').toString("base64");
  const png = Buffer.alloc(64);
  png.write("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "latin1");
  png.writeUInt32BE(60_000, 16);
  png.writeUInt32BE(60_000, 20);
  const bad = [svg, png.toString("base64"), `${svg}"><script>`, "iVBORw0KGgo", "", 5, "A".repeat(70_000)];
  for (const [i, value] of [...bad, ...hostileTexts].entries()) {
    const page = await shown(`png ${i}`, (field, own) => (field === "thumbnails.jsonl.png" ? value : own));
    expect(page.querySelectorAll("image").length).toBe(0);
    expect(page.querySelectorAll(".card").length).toBeGreaterThan(0);
    expect(page.querySelector("#samples .note")!.textContent).toContain("pictures are not shown");
  }
});

it.each([[-1e308], [1e308], [0], ["8"], [null]])(
  "draws boxes inside of the picture alone: %j",
  async (value) => {
    for (const part of ["gold.0.2", "given.0.0", "of.0"]) {
      const run = writeHostileRun(space.path(`box ${value} ${part}`), {
        ...honest,
        value: (field, own) => (field === `samples.jsonl.parts.iou.boxes.${part}` ? value : own),
      });
      const { document } = parseHTML((await writeReport([run], "html", "-")).text);
      expect(document.querySelectorAll(".picture").length).toBeGreaterThan(0);
      for (const rect of document.querySelectorAll(".picture rect")) {
        const [x, y, width, height] = ["x", "y", "width", "height"].map((name) =>
          Number(rect.getAttribute(name)),
        );
        expect(x! >= 0 && y! >= 0 && width! > 0 && height! > 0 && x! + width! <= 2 && y! + height! <= 2).toBe(
          true,
        );
      }
    }
  },
);

it("leaves out samples whose numbers are none, and says so", async () => {
  const run = writeHostileRun(space.path("numbers"), {
    text: (_, own) => own,
    value: (field, own) => (field === "samples.jsonl.tokens" ? "<img src=x onerror=alert(1)>" : own),
  });
  const { text } = await writeReport([run], "html", "-");
  expect(parseHTML(text).document.querySelector("#samples")!.textContent).toMatch(
    /8 lines of .*samples\.jsonl left out; line 1: tokens: .*number/,
  );
});

it.each(["no number", null, -1e308, [], 1.5])("pairs nothing by a seed that is %j", async (seed) => {
  const run = writeHostileRun(space.path(`seed ${JSON.stringify(seed)}`), {
    text: (_, own) => own,
    value: (field, own) => (field === "recipe.yaml.seed" ? seed : own),
  });
  checkPage((await writeReport([run], "html", "-")).text);
});

it("writes text for terminals and tables", () => {
  expect(printable("a\u001b[31m\tb\r\nc\u202e\u009b")).toBe("a\\u001b[31m\tb\nc\\u202e\\u009b");
  expect(printableLine("a\nb")).toBe("a\\nb");
  expect(["=1", "+x", "-x", "@x", "\tx", "-1.5", "+2e-3", "-Infinity", "a=1"].map(csvText)).toEqual([
    "'=1",
    "'+x",
    "'-x",
    "'@x",
    "'\tx",
    "-1.5",
    "+2e-3",
    "-Infinity",
    "a=1",
  ]);
  const title = "\u001b[2J [x](javascript:alert(1)) &lt;";
  expect(renderMarkdown({ title, subtitle: "", sections: [] })).toBe(
    "# \\\\u001b\\[2J \\[x\\](javascript:alert(1)) \\&lt;\n",
  );
});
