import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { isEvalPart, readFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import { DataError } from "../../src/lib/errors.ts";
import { optionalPart } from "../helpers/optional.ts";

const baseDir = mkdtempSync(join(tmpdir(), "rlpt-data-"));
afterAll(() => rmSync(baseDir, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(join(baseDir, name), content);
  return name;
}

const read = (options: object) =>
  readFileDataset(fileOptions.parse({ kind: "file", ...options }), { baseDir });

async function failure(options: object): Promise<string> {
  const error: unknown = await read(options).catch((each: unknown) => each);
  expect(error).toBeInstanceOf(DataError);
  return (error as Error).message.replaceAll(`${baseDir}/`, "");
}

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
      "rows.txt: the extension does not tell the format. Set format: jsonl, json or csv.",
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

describe("rows that do not fit", () => {
  const bad = [
    '{"prompt":"one","answer":"1"}',
    '{"prompt":"two","answer":"2"',
    "",
    '{"prompt":"  ","answer":"3"}',
    '{"question":"four","answer":"4"}',
    "[1, 2]",
    '{"prompt":"one","answer":"1"}',
    '{"prompt":"seven","answer":["7"]}',
    '{"prompt":"eight","answer":null}',
    '{"prompt":"nine","answer":""}',
  ].join("\n");
  const reasons = [
    [4, "its prompt is empty"],
    [5, "has no column prompt; it has question, answer"],
    [6, "is a list, not an object with columns"],
    [7, "has the same prompt and answer as line 1; remove one, or name an id column"],
    [8, "column answer is a list; only text, numbers and true/false can be used"],
    [9, "column answer is null; only text, numbers and true/false can be used"],
    [10, "its answer is empty"],
  ] as const;

  test("are all named with path:line", async () => {
    const path = write("bad.jsonl", bad);
    const lines = (await failure({ path })).split("\n");
    expect(lines[0]).toMatch(/^bad\.jsonl:2: is not valid JSON: .+\.$/);
    expect(lines.slice(1, -1)).toEqual(reasons.map(([line, reason]) => `${path}:${line}: ${reason}.`));
    expect(lines.at(-1)).toBe("Mend the rows, or set on_bad_row: skip to leave them out.");
  });

  test("are counted and left out under on_bad_row: skip", async () => {
    const { prompts, skipped } = await read({ path: write("bad.jsonl", bad), on_bad_row: "skip" });
    expect(prompts).toHaveLength(1);
    expect(skipped.slice(1)).toEqual(reasons.map(([line, reason]) => ({ line, reason })));
    expect(skipped[0]!.line).toBe(2);
  });

  test("a missing answer column says what to write, a pattern shows what it did not match", async () => {
    const path = write("open.jsonl", '{"prompt":"p"}');
    expect(await failure({ path })).toContain(
      "has no column answer; it has prompt (for the answer; set answer: null if the data has none).",
    );
    const plain = write("plain-answer.jsonl", '{"prompt":"p","answer":"no marks"}');
    expect(await failure({ path: plain, answer_pattern: "#### (.+)$" })).toContain(
      'plain-answer.jsonl:1: answer_pattern #### (.+)$ does not match its answer "no marks".',
    );
  });

  test("twenty are listed, the rest is counted", async () => {
    const path = write("many.jsonl", Array(33).fill("{}").join("\n"));
    const lines = (await failure({ path })).split("\n");
    expect(lines).toHaveLength(22);
    expect(lines[19]).toMatch(/^many\.jsonl:20: /);
    expect(lines.slice(20)).toEqual([
      "... and 13 more of 33 rows.",
      "No row fits; check prompt, answer and id against the columns.",
    ]);
  });

  test("none is left: an error even when bad rows are skipped", async () => {
    expect(await failure({ path: write("none.jsonl", "{}"), on_bad_row: "skip" })).toContain("No row fits");
    expect(await failure({ path: write("empty.jsonl", "\n") })).toBe("empty.jsonl: the dataset has no rows.");
    expect(await failure({ path: write("empty.json", "[ ]") })).toBe("empty.json: the dataset has no rows.");
    expect(await failure({ path: write("empty.csv", "prompt,answer\n") })).toBe(
      "empty.csv: the dataset has no rows.",
    );
  });

  test("same id twice", async () => {
    const path = write("ids.csv", "id,prompt,answer\n7,p,1\n8,q,2\n7,r,3\n");
    expect(await failure({ path, id: "id" })).toContain("ids.csv:4: has the id 7 of line 2.");
  });

  test("a file that is not there, and one that is not UTF-8", async () => {
    expect(await failure({ path: "nowhere.jsonl" })).toBe(
      "nowhere.jsonl: cannot read the dataset: no such file or directory.",
    );
    const latin = Buffer.from('{"prompt":"p","answer":"1"}\n{"prompt":"\xe9","answer":"1"}\n', "latin1");
    expect(await failure({ path: write("latin.jsonl", latin) })).toContain(
      "latin.jsonl:2: is not UTF-8 text.",
    );
    const csv = Buffer.from("prompt,answer\np,1\n\xe9,2\n", "latin1");
    expect(await failure({ path: write("latin.csv", csv) })).toContain("latin.csv:3: is not UTF-8 text.");
  });
});

describe("lines of faults in JSON arrays", () => {
  test("an element that does not fit has its own line, whatever stands before it", async () => {
    const text = '[\n  {"prompt": "a ] , } \\" [", "answer": "1"},\n\n  {\n    "prompt": "b"\n  },\n  7\n]\n';
    const message = await failure({ path: write("array.json", text) });
    expect(message).toContain("array.json:4: has no column answer; it has prompt");
    expect(message).toContain("array.json:7: is a number, not an object with columns.");
  });
  test.each([
    [
      "broken element",
      '[\n{"prompt":"p","answer":"1"},\n{"prompt":"q" "answer":"2"},\n{}]',
      "json:3: is not valid JSON",
    ],
    ["trailing comma", '[\n{"prompt":"p","answer":"1"},\n]', "json:3: is not valid JSON"],
    [
      "no end",
      '[\n{"prompt":"p","answer":"1"},\n\n{"prompt":"q",\n',
      "json:4: an object or list that is open here has no end",
    ],
    [
      "open string",
      '[\n{"prompt":"p","answer":"1"},\n{"prompt":"q}]\n',
      "json:3: a string that is open here has no end",
    ],
    [
      "array without end",
      '[\n{"prompt":"p","answer":"1"}\n',
      "json:2: the array that is open here has no end",
    ],
    ["text behind", '[{"prompt":"p","answer":"1"}]\n[]', "text after the end of the array: []"],
    ["JSON lines", '{"prompt":"p","answer":"1"}\n{"prompt":"q","answer":"1"}', "Set format: jsonl"],
  ])("%s", async (_, text, expected) => {
    expect(await failure({ path: write("broken.json", text) })).toContain(expected);
  });
});

describe("lines of faults in CSV", () => {
  test("are those where the row begins, behind cells with line breaks and blank lines", async () => {
    const text = 'prompt,answer\r\n"a\r\nb\r\nc",1\r\n\r\nq,2,3\r\n"d\r\n",\r\nr\r\n';
    const message = await failure({ path: write("lines.csv", text) });
    expect(message.split("\n").slice(0, 3)).toEqual([
      "lines.csv:6: has 3 cells, the header has 2.",
      "lines.csv:7: its answer is empty.",
      "lines.csv:9: has 1 cells, the header has 2.",
    ]);
  });
  test("a quote that is never closed is named where its row begins", async () => {
    const text = 'prompt,answer\n\np,1\nq,"2\nr,3\n';
    expect(await failure({ path: write("quote.csv", text) })).toMatch(
      /^quote\.csv:4: the row that begins here is not CSV: Quote Not Closed/,
    );
  });
  test("a header with a name twice", async () => {
    expect(await failure({ path: write("twice.csv", "prompt,answer,prompt\np,1,q\n") })).toBe(
      'twice.csv:1: the header has the column "prompt" twice. Rename one.',
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
  const from = (name: string, options: object) =>
    readFileDataset(fileOptions.parse({ kind: "file", path: join(shared, name), ...options }), { baseDir });

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
