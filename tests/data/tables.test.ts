import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { TableFormat, TableRow } from "../../src/data/table-file.ts";
import { openTable } from "../../src/data/tables/open-table.ts";
import { contents, dataFolder } from "../helpers/data-folder.ts";

// tools/goldens/tables.py wrote these by pyarrow 26.0.1
const golden = (name: string) => join(import.meta.dirname, "../golden/data", name);

const { baseDir, write, open, failure } = dataFolder();
const cache = mkdtempSync(join(tmpdir(), "rlpt-cache-"));
process.env["RLPT_CACHE"] = cache;
afterAll(() => rmSync(cache, { recursive: true, force: true }));

const PLENTY = 1 << 30;

async function rowsOf(path: string, format: TableFormat, bytes: number): Promise<TableRow[]> {
  const table = await openTable(path, format, { bytes });
  expect(table.held).toBe(bytes > 0 || table.bytes === 0);
  return Array.from({ length: table.size }, (_, index) => table.row(index));
}

describe("Parquet files of pyarrow", () => {
  it.each([
    ["flat-plain", "flat"],
    ["flat-snappy", "flat"],
    ["flat-pages-v2", "flat"],
    ["flat-delta", "flat"],
    ["nested-snappy", "nested"],
    ["nested-zstd", "nested"],
  ])("%s has pyarrow's rows", async (name, expected) => {
    const rows = JSON.parse(readFileSync(golden(`${expected}.json`), "utf8")) as object[];
    const placed = rows.map((fields, index) => ({ line: index + 1, fields }));
    for (const bytes of [PLENTY, 0])
      expect(await rowsOf(golden(`${name}.parquet`), "parquet", bytes)).toEqual(placed);
  });

  const many = Array.from({ length: 1000 }, (_, i) => ({
    id: i,
    topic: `topic ${i % 7}`,
    prompt: `What is ${i} + ${i * i}? ${"pad ".repeat(i % 5)}`,
    answer: String(i + i * i),
  }));
  it.each(["many-dictionary-zstd.parquet", "many-lz4.parquet", "many-brotli.parquet", "many.jsonl.zst"])(
    "%s has them over its row groups",
    async (name) => {
      const format = name.endsWith("parquet") ? "parquet" : "jsonl";
      for (const bytes of [PLENTY, 0]) {
        const rows = await rowsOf(golden(name), format, bytes);
        expect(rows).toEqual(many.map((fields, index) => ({ line: index + 1, fields })));
      }
    },
  );

  it("is refused where it is damaged, with the file and the part", async () => {
    const bytes = readFileSync(golden("many-lz4.parquet"));
    const path = write("cut.parquet", bytes.subarray(0, 20_000));
    expect(await failure({ path })).toMatch(
      /^cut\.parquet: this is no Parquet file that can be read: its footer: /,
    );
    write("none.parquet", "PAR1 and nothing else");
    expect(await failure({ path: "none.parquet" })).toMatch(/^none\.parquet: this is no Parquet file/);
    const changed = Uint8Array.from(bytes);
    changed.fill(0xff, 4, 400);
    write("changed.parquet", changed);
    expect(await failure({ path: "changed.parquet" })).toMatch(
      /changed\.parquet: .*rows 1 to 300: .*Fetch it again\.$/,
    );
  });

  it("becomes prompts, its rows counted from 1 in messages", async () => {
    const path = golden("flat-snappy.parquet");
    const message = await failure({ path, prompt: "{prompt}", answer: "{answer}" });
    expect(message).toContain("flat-snappy.parquet:3: its prompt is empty.");
    expect(message).toContain("flat-snappy.parquet:5: has the same prompt and answer as line 4;");
    expect(message).toContain("flat-snappy.parquet:6: column prompt is null;");
    const { prompts } = contents(
      await open({ path: golden("many-lz4.parquet"), id: "id", slices: ["topic"] }),
    );
    expect(prompts[999]).toMatchObject({
      id: "999",
      answer: String(999 + 999 * 999),
      slices: { topic: "topic 5" },
    });
  });
});

describe("compressed JSONL", () => {
  const text = Array.from(
    { length: 50 },
    (_, i) => `${JSON.stringify({ prompt: `p${i}`, answer: `${i}` })}\n`,
  ).join("");
  const plain = async (path: string) => contents(await open({ path }));

  it("reads as the plain text, in several members too", async () => {
    const expected = (await plain(write("plain.jsonl", text))).prompts;
    write("one.jsonl.gz", gzipSync(text));
    const half = text.indexOf("\n", text.length / 2) + 1;
    write("two.jsonl.gz", Buffer.concat([gzipSync(text.slice(0, half)), gzipSync(text.slice(half))]));
    for (const path of ["one.jsonl.gz", "two.jsonl.gz"])
      expect((await plain(path)).prompts).toEqual(expected);
    const frame = readFileSync(golden("many.jsonl.zst"));
    const twice = await openTable(join(baseDir, write("twice.zst", Buffer.concat([frame, frame]))), "jsonl", {
      bytes: PLENTY,
    });
    expect(twice.size).toBe(2000);
    // the form is told by the bytes, not by the name
    write("named.jsonl", gzipSync(text));
    expect((await plain("named.jsonl")).prompts).toEqual(expected);
    write("one.csv.gz", gzipSync("prompt,answer\nq,1\n"));
    expect((await plain("one.csv.gz")).prompts[0]!.answer).toBe("1");
  });

  it("says where it is cut off", async () => {
    write("cut.jsonl.gz", gzipSync(text).subarray(0, 80));
    expect(await failure({ path: "cut.jsonl.gz" })).toBe(
      "cut.jsonl.gz: its gzip data is damaged or cut off: unexpected end of file. Fetch it again.",
    );
    write("cut.jsonl.zst", readFileSync(golden("many.jsonl.zst")).subarray(0, 5000));
    expect(await failure({ path: "cut.jsonl.zst" })).toMatch(
      /^cut\.jsonl\.zst: its Zstandard data is damaged or cut off: /,
    );
  });
});

describe("several files", () => {
  const row = (prompt: string) => `${JSON.stringify({ prompt, answer: "1" })}\n`;
  mkdirSync(join(baseDir, "set/[old]"), { recursive: true });
  mkdirSync(join(baseDir, "set/.hidden"), { recursive: true });
  write("set/b.jsonl", row("b"));
  write("set/a.jsonl", `\n${row("a")}`);
  write("set/[old]/c.jsonl", row("c"));
  mkdirSync(join(baseDir, "set/z"), { recursive: true });
  write("set/z/e.jsonl", row("e"));
  write("set/.hidden/d.jsonl", row("d"));
  write("set/info.json", '{"notes": true}');
  const asked = async (path: unknown) =>
    contents(await open({ path }))
      .prompts.map(({ fields }) => fields["prompt"])
      .join("");

  it("are named by a list, a folder or a pattern, and come in the order of their names", async () => {
    expect(await asked(["set/b.jsonl", "set/a.jsonl"])).toBe("ba");
    expect(await asked("set")).toBe("cabe");
    expect(await asked("set/*.jsonl")).toBe("ab");
    expect(await asked("set/**/{a,c}.jsonl")).toBe("ca");
    expect(await asked(["set/a.jsonl", "set/*.jsonl"])).toBe("ab");
    expect(await asked("set/[old]/c.jsonl")).toBe("c");
    expect(await asked("set/[old]/*.jsonl")).toBe("c");
    // "[" comes before "a"
    expect(await asked("set/**/*.jsonl")).toBe("cabe");
  });

  it("keep their places in messages", async () => {
    write("again.jsonl", `${row("z")}${row("a")}`);
    expect(await failure({ path: ["set/a.jsonl", "again.jsonl"] })).toBe(
      "again.jsonl:2: has the same prompt and answer as line 2 of set/a.jsonl; remove one, or name an id column.\n" +
        "Mend the rows, or set on_bad_row: skip to leave them out.",
    );
  });

  it("are refused where it is not clear which are meant", async () => {
    expect(await failure({ path: "set/*.parquet" })).toBe("set/*.parquet: no file matches this pattern.");
    mkdirSync(join(baseDir, "empty"), { recursive: true });
    expect(await failure({ path: "empty" })).toBe(
      "empty: the folder holds no .jsonl, .json, .csv or .parquet file.",
    );
    mkdirSync(join(baseDir, "both"), { recursive: true });
    write("both/a.jsonl", row("a"));
    write("both/b.csv", "prompt,answer\nb,1\n");
    expect(await failure({ path: "both" })).toBe(
      "both: the folder holds files of several formats (jsonl, csv). Set format, or name the files by a pattern such as both/*.jsonl.",
    );
    expect((await open({ path: "both", format: "csv" })).size).toBe(1);
  });
});

describe("a file that is read row by row", () => {
  async function bothWays(name: string, content: string | Uint8Array): Promise<void> {
    const path = join(baseDir, write(name, content));
    expect(await rowsOf(path, "jsonl", 0)).toEqual(await rowsOf(path, "jsonl", PLENTY));
  }

  it("has the rows of one that is held, whatever its lines are", async () => {
    const rows = ['{"a":"x\u2028y\u2029z\u0085"}', "", " \t", "{broken", "[1]", '{"b":"ünï 🎉"}', "null"];
    await bothWays("odd.jsonl", rows.join("\n"));
    await bothWays("odd-bom.jsonl", `\ufeff${rows.join("\r\n")}\r\n\r\n`);
    await bothWays("bom-alone.jsonl", "\ufeff\n{}\n");
    await bothWays("one.jsonl", "{}");
    await bothWays("blank.jsonl", "\n\n  \n");
    await bothWays(
      "bytes.jsonl",
      Buffer.concat([Buffer.from('{"a":1}\n{"b":"'), Buffer.from([0xff]), Buffer.from('"}\n{"c":2}')]),
    );
    // lines across the blocks that are read at once
    const long = (size: number) => JSON.stringify({ text: "ä".repeat(size) });
    await bothWays("long.jsonl", ["{}", long(2_500_000), "{}", long(10), long(1_000_000), "{}"].join("\n"));
    // U+2028 is text, and no line ends there
    const [first] = await rowsOf(join(baseDir, "odd.jsonl"), "jsonl", 0);
    expect(first).toEqual({ line: 1, fields: { a: "x\u2028y\u2029z\u0085" } });
  });

  it("has them for any lines, in any order", async () => {
    const line = fc.oneof(
      fc.json(),
      fc.constantFrom("", " ", "\ufeff", "{", "\u2028"),
      fc.string({ unit: "grapheme" }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.boolean(), async (lines, ends) => {
        await bothWays(
          "any.jsonl",
          lines.map((one) => one.replaceAll("\n", " ")).join("\n") + (ends ? "\n" : ""),
        );
        const table = await openTable(join(baseDir, "any.jsonl"), "jsonl", { bytes: 0 });
        const forward = Array.from({ length: table.size }, (_, index) => table.row(index));
        const back = Array.from({ length: table.size }, (_, i) => table.row(table.size - 1 - i));
        expect(back.reverse()).toEqual(forward);
      }),
      { numRuns: 100 },
    );
  });

  it("gives the prompts, places and faults of one that is held", async () => {
    const rows = Array.from({ length: 3000 }, (_, i) =>
      i % 100 === 7 ? "{broken" : JSON.stringify({ prompt: `p${i % 2900}`, answer: String(i % 5) }),
    );
    write("many.jsonl", rows.join("\n\n"));
    const options = {
      path: "many.jsonl",
      on_bad_row: "skip",
      split: { part: "train", eval_share: 0.3 },
      limit: 1500,
    };
    const [small, large] = [await open(options), await open(options, 0)];
    expect([small.held, large.held]).toEqual([true, false]);
    expect(small.skipped.count).toBe(129);
    expect(contents(large)).toEqual(contents(small));
    // the same dataset again is not gone through again
    expect(await open(options, 0)).toBe(large);
    utimesSync(join(baseDir, "many.jsonl"), 1, 1);
    expect(await open(options, 0)).not.toBe(large);
  });

  it("is noticed when it changes while it is in use", async () => {
    const path = write("moving.jsonl", '{"prompt":"a","answer":"1"}\n{"prompt":"b","answer":"1"}\n');
    const table = await openTable(join(baseDir, path), "jsonl", { bytes: 0 });
    appendFileSync(join(baseDir, path), "{}\n");
    expect(() => table.row(1)).toThrow(
      "moving.jsonl: the file was changed while it was in use. Start again.",
    );
  });

  it("that is compressed or Parquet is stored as lines once", async () => {
    const path = golden("many-lz4.parquet");
    const stored = async () => (await openTable(path, "parquet", { bytes: 0 })).row(5);
    const row = await stored();
    const table = await openTable(path, "parquet", { bytes: 0 });
    const file = join(cache, "rows", `${table.sha256}-1.jsonl`);
    expect(readFileSync(file, "utf8").split("\n")).toHaveLength(1001);
    expect([table.path, table.bytes]).toEqual([path, readFileSync(path).length]);
    // it is not written again
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("topic ", "stored "));
    expect(JSON.stringify(await stored())).toBe(JSON.stringify(row).replace("topic 5", "stored 5"));
    rmSync(file);
  });
});
