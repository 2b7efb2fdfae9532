import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isEvalPart } from "../../src/data/eval-part.ts";
import { openFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import { contents, dataFolder } from "../helpers/data-folder.ts";
import { optionalPart } from "../helpers/optional.ts";

const { baseDir, write, read, failure } = dataFolder();

describe("formats", () => {
  const rows = [
    { prompt: "Was ist 2+2? ünï 🎉", answer: "4" },
    { prompt: 'a "quoted",\nbroken line', answer: "x,y" },
  ];
  const csv = (lineBreak: string): string =>
    ["prompt,answer", '"Was ist 2+2? ünï 🎉",4', '"a ""quoted"",\nbroken line","x,y"', ""].join(lineBreak);
  const forms: [string, string][] = [
    ["plain.jsonl", rows.map((row) => JSON.stringify(row)).join("\n")],
    ["bom-crlf.jsonl", `\ufeff${rows.map((row) => JSON.stringify(row)).join("\r\n")}\r\n`],
    ["blank.jsonl", `\n\n${rows.map((row) => JSON.stringify(row)).join("\n  \n")}\n\n`],
    ["plain.json", JSON.stringify(rows)],
    ["pretty-bom.json", `\ufeff\n${JSON.stringify(rows, null, 2)}\n`],
    ["plain.csv", csv("\n")],
    ["bom-crlf.csv", `\ufeff${csv("\r\n")}`],
    ["blank.csv", csv("\n\n")],
  ];
  test.each(forms)("%s reads as the same two prompts", async (name, content) => {
    const { prompts, skipped, sha256 } = await read({ path: write(name, content) });
    expect(prompts.map(({ input, answer }) => ({ input, answer }))).toEqual(
      rows.map(({ prompt, answer }) => ({
        input: { kind: "chat", messages: [{ role: "user", content: prompt }] },
        answer,
      })),
    );
    expect(skipped).toEqual([]);
    expect(sha256).toBe(createHash("sha256").update(content).digest("hex"));
  });

  test("the format option wins over the extension, and an unknown extension asks for it", async () => {
    const content = rows.map((row) => JSON.stringify(row)).join("\n");
    const path = write("rows.txt", content);
    expect((await read({ path, format: "jsonl" })).prompts).toHaveLength(2);
    expect(await failure({ path })).toBe(
      "rows.txt: the extension does not tell the format. Set format: jsonl, json, csv or parquet.",
    );
  });

  test("any strings come back from JSONL, JSON and CSV", async () => {
    const text = fc.string({ unit: "grapheme", minLength: 1 }).filter((each) => each.trim() !== "");
    const table = fc.uniqueArray(fc.record({ prompt: text, answer: text }), {
      minLength: 1,
      maxLength: 5,
      selector: (row) => JSON.stringify([row.prompt, row.answer.trim()]),
    });
    const cell = (value: string): string => `"${value.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(table, async (generated) => {
        write("any.jsonl", generated.map((row) => JSON.stringify(row)).join("\n"));
        write("any.json", JSON.stringify(generated, null, 1));
        write(
          "any.csv",
          `prompt,answer\n${generated.map((row) => `${cell(row.prompt)},${cell(row.answer)}\n`).join("")}`,
        );
        for (const path of ["any.jsonl", "any.json", "any.csv"]) {
          const { prompts } = await read({ path, chat: false });
          expect(prompts.map((prompt) => [prompt.input, prompt.answer])).toEqual(
            generated.map((row) => [{ kind: "text", text: row.prompt }, row.answer.trim()]),
          );
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("columns", () => {
  const path = write(
    "gsm.jsonl",
    [
      { question: "Q1", answer: "1 + 1 = <<1+1=2>>2\n#### 2", level: 3, meta: { subject: "sum" }, key: "a" },
      { question: "Q2", answer: "so\n#### 1,000 \n", level: 4, meta: { subject: "word" }, key: "b" },
    ]
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );

  test("templates, a pattern for the answer, target, system, id and slices", async () => {
    const { prompts } = await read({
      path,
      prompt: "{question} ({meta.subject})\nAnswer in \\boxed{} or {{x}}.",
      answer_pattern: "####\\s*(.+)$",
      target: "{answer}",
      system: "Be brief.",
      id: "key",
      slices: ["level", "meta.subject"],
    });
    expect(prompts).toEqual([
      {
        id: "a",
        input: {
          kind: "chat",
          messages: [
            { role: "system", content: "Be brief." },
            { role: "user", content: "Q1 (sum)\nAnswer in \\boxed{} or {x}." },
          ],
        },
        answer: "2",
        target: "1 + 1 = <<1+1=2>>2\n#### 2",
        slices: { level: "3", "meta.subject": "sum" },
        fields: {
          question: "Q1",
          answer: "1 + 1 = <<1+1=2>>2\n#### 2",
          level: 3,
          meta: { subject: "sum" },
          key: "a",
        },
      },
      expect.objectContaining({ id: "b", answer: "1,000", slices: { level: "4", "meta.subject": "word" } }),
    ]);
  });

  test("without an id column the id is a hash of the content", async () => {
    const first = await read({ path, prompt: "{question}" });
    const again = await read({ path, prompt: "{question}" });
    expect(first.prompts.map(({ id }) => id)).toEqual(again.prompts.map(({ id }) => id));
    expect(new Set(first.prompts.map(({ id }) => id)).size).toBe(2);
    expect(first.prompts[0]!.id).toMatch(/^[0-9a-f]{16}$/);
  });

  test("answer: null leaves the answer empty", async () => {
    const { prompts } = await read({ path, prompt: "{question}", answer: null });
    expect(prompts.map(({ answer }) => answer)).toEqual(["", ""]);
  });

  test("whole floats lose their point, and numbers that cannot be exact are refused", async () => {
    const numbers = write("numbers.jsonl", '{"prompt":"p","answer":145.0}\n{"prompt":"q","answer":0.5}');
    expect((await read({ path: numbers })).prompts.map(({ answer }) => answer)).toEqual(["145", "0.5"]);
    const big = write("big.jsonl", '{"prompt":"p","answer":12345678901234567890}');
    expect(await failure({ path: big })).toContain(
      "big.jsonl:1: column answer is a whole number too big to be read exactly; put it in quotes.",
    );
  });
});

describe("split and limit", () => {
  const rows = Array.from({ length: 2000 }, (_, i) => ({ id: `r${i}`, prompt: `p${i}`, answer: "1" }));
  const lines = (list: typeof rows): string => list.map((row) => JSON.stringify(row)).join("\n");
  const part = async (name: string, list: typeof rows, split: object): Promise<string[]> => {
    const { prompts } = await read({ path: write(name, lines(list)), id: "id", split });
    return prompts.map(({ id }) => id);
  };

  test("train and eval are disjoint, complete, about the share, and stable when rows move", async () => {
    const train = await part("split.jsonl", rows, { part: "train", eval_share: 0.2 });
    const evaluation = await part("split.jsonl", rows, { part: "eval", eval_share: 0.2 });
    expect([...train, ...evaluation].sort()).toEqual(rows.map(({ id }) => id).sort());
    // binomial, 2000 rows at 0.2: standard deviation 18
    expect(Math.abs(evaluation.length - 400)).toBeLessThan(75);
    const moved = await part("moved.jsonl", rows.toReversed().slice(500), { part: "eval", eval_share: 0.2 });
    const rest = new Set(rows.slice(0, 1500).map(({ id }) => id));
    expect(moved.toReversed()).toEqual(evaluation.filter((id) => rest.has(id)));
  });

  test("another salt makes another split, a bigger share a superset", async () => {
    const one = await part("split.jsonl", rows, { part: "eval" });
    const salted = await part("split.jsonl", rows, { part: "eval", salt: "b" });
    expect(salted).not.toEqual(one);
    const more = new Set(await part("split.jsonl", rows, { part: "eval", eval_share: 0.3 }));
    expect(one.every((id) => more.has(id))).toBe(true);
  });

  test("is a fixed function of salt and id", () => {
    // first six bytes of sha256('["","r0"]') over 2^48: 0.7078...
    const digest = createHash("sha256").update('["","r0"]').digest("hex").slice(0, 12);
    const point = Number.parseInt(digest, 16) / 2 ** 48;
    expect(isEvalPart("r0", "", point)).toBe(false);
    expect(isEvalPart("r0", "", point + 1e-9)).toBe(true);
  });

  test("limit takes the first ones of the part; an empty part is an error", async () => {
    const { prompts } = await read({
      path: write("split.jsonl", lines(rows)),
      id: "id",
      split: { part: "train" },
      limit: 3,
    });
    const train = await part("split.jsonl", rows, { part: "train" });
    expect(prompts.map(({ id }) => id)).toEqual(train.slice(0, 3));
    const path = write("one.jsonl", lines(rows.slice(0, 1)));
    const parts = await Promise.allSettled([
      read({ path, id: "id", split: { part: "train" } }),
      read({ path, id: "id", split: { part: "eval" } }),
    ]);
    const rejected = parts.filter((each) => each.status === "rejected");
    expect(rejected).toHaveLength(1);
    expect(String(rejected[0]!.reason)).toContain("none of its 1 rows is in the");
  });
});

const shared = join(import.meta.dirname, "../../../shared/data");
optionalPart(
  "published data sets",
  existsSync(shared),
  "no ../shared/data beside the project",
)(() => {
  const from = async (name: string, options: object) =>
    contents(
      await openFileDataset(fileOptions.parse({ kind: "file", path: join(shared, name), ...options }), {
        baseDir,
      }),
    );

  test("GSM8K", async () => {
    const { prompts } = await from("benchmarks/gsm8k.jsonl", {
      prompt: "{question}",
      answer_pattern: "####\\s*(.+)$",
    });
    expect(prompts).toHaveLength(1319);
    expect(prompts[0]!.answer).toBe("18");
    expect(prompts.every(({ answer }) => /^-?[\d,.]+$/.test(answer))).toBe(true);
  });
  test("SVAMP and ASDiv", async () => {
    const svamp = await from("benchmarks/svamp.jsonl", {
      prompt: "{Body} {Question}",
      answer: "{Answer}",
      id: "ID",
      slices: ["Type"],
    });
    expect(svamp.prompts[0]).toMatchObject({
      id: "chal-777",
      answer: "145",
      slices: { Type: "Common-Division" },
    });
    const asdiv = await from("benchmarks/asdiv.jsonl", {
      prompt: "{body} {question}",
      answer_pattern: "^(\\S+)",
      id: "idx",
    });
    expect(asdiv.prompts).toHaveLength(2215);
    expect(asdiv.prompts[0]!.answer).toBe("9");
  });
  test("LIMR's MATH pool has two rows without an answer, named by line", async () => {
    await expect(from("math8k.json", { id: "id" })).rejects.toThrow(
      /math8k\.json:30326: its answer is empty\.\n.*:30950: its/,
    );
    const { prompts, skipped } = await from("math8k.json", { id: "id", on_bad_row: "skip" });
    expect([prompts.length, skipped.length]).toEqual([8521, 2]);
  });
});

describe("pairs for learning from preferences", () => {
  const lines = (name: string, rows: object[]) =>
    write(name, rows.map((row) => JSON.stringify(row)).join("\n"));
  const pairs = { answer: null, chat: false, pair: {} };

  test("come from two columns, or from templates", async () => {
    const path = lines("pairs.jsonl", [{ prompt: "1+1=", chosen: "2", rejected: "3", wrong: "4" }]);
    expect((await read({ path, ...pairs })).prompts[0]!.pair).toEqual({ chosen: "2", rejected: "3" });
    const pair = { chosen: "It is {chosen}.", rejected: "It is {wrong}." };
    expect((await read({ path, ...pairs, pair })).prompts[0]!.pair).toEqual({
      chosen: "It is 2.",
      rejected: "It is 4.",
    });
  });

  test("differ in id where only the texts differ, and are no pairs where these are the same", async () => {
    const path = lines("two.jsonl", [
      { prompt: "1+1=", chosen: "2", rejected: "3" },
      { prompt: "1+1=", chosen: "2", rejected: "4" },
    ]);
    const [first, second] = (await read({ path, ...pairs })).prompts;
    expect(first!.id).not.toBe(second!.id);
    const same = lines("same.jsonl", [{ prompt: "1+1=", chosen: "2", rejected: "2" }]);
    await expect(read({ path: same, ...pairs })).rejects.toThrow(
      "its chosen and its rejected text are the same",
    );
    const missing = lines("missing.jsonl", [{ prompt: "1+1=", chosen: "2" }]);
    await expect(read({ path: missing, ...pairs })).rejects.toThrow("has no column rejected");
  });
});
