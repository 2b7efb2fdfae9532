import { describe, expect, test } from "vitest";
import { dataFolder } from "../helpers/data-folder.ts";

const { write, read, failure } = dataFolder();

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
