import { expect, it } from "vitest";
import { fileOptions } from "../../src/data/file-options.ts";
import { contents, dataFolder } from "../helpers/data-folder.ts";

const { write, open, failure } = dataFolder();
const rows = [
  { q: "1+1", level: 1, topic: "sum", meta: { hard: false } },
  { q: "2*3", level: 2, topic: "product", meta: { hard: false } },
  { q: "7*8-5", level: 3, topic: "product", meta: { hard: true } },
  { q: "9-9", level: 4.5, topic: null, meta: { hard: true } },
].map((row, i) => JSON.stringify({ ...row, answer: String(i) }));
write("rows.jsonl", rows.join("\n"));

const kept = async (...filter: object[]) =>
  contents(await open({ path: "rows.jsonl", prompt: "{q}", filter }))
    .prompts.map(({ answer }) => answer)
    .join("");

it("keeps rows that fulfil all conditions", async () => {
  expect(await kept({ column: "topic", in: ["sum", "difference"] })).toBe("0");
  expect(await kept({ column: "topic", not_in: ["sum"] })).toBe("123");
  expect(await kept({ column: "level", min: 2 })).toBe("123");
  expect(await kept({ column: "level", min: 2, max: 4.4 })).toBe("12");
  expect(await kept({ column: "level", in: [1, 4.5] })).toBe("03");
  expect(await kept({ column: "meta.hard", in: [true] })).toBe("23");
  expect(await kept({ column: "q", matches: "^\\d[*]\\d$" })).toBe("1");
  expect(await kept({ column: "q", min_characters: 4 })).toBe("2");
  expect(await kept({ column: "q", max_characters: 3 }, { column: "level", min: 2 })).toBe("13");
  // null is no text
  expect(await kept({ column: "topic", matches: "." })).toBe("012");
});

it("leaves rows out before they become prompts, so that these need not fit", async () => {
  write(
    "odd.jsonl",
    `${rows[0]}\n${rows[0]}\n{"q":"", "answer":"x", "level":9}\n{"q":"8","answer":"8","level":8}`,
  );
  const dataset = await open({ path: "odd.jsonl", prompt: "{q}", filter: [{ column: "level", in: [8] }] });
  expect([dataset.size, dataset.filtered, dataset.skipped.count]).toEqual([1, 3, 0]);
  expect(dataset.placeOf(0).line).toBe(4);
});

it("says which row or condition is at fault", async () => {
  const failed = (condition: object) => failure({ path: "rows.jsonl", prompt: "{q}", filter: [condition] });
  expect(await failed({ column: "topic", min: 1 })).toContain(
    'rows.jsonl:1: column topic is "sum", and filter compares it with a number.',
  );
  expect(await failed({ column: "kind", in: ["a"] })).toContain(
    "rows.jsonl:1: has no column kind; it has q, level, topic, meta, answer.",
  );
  expect(await failed({ column: "level", min: 10 })).toBe(
    "rows.jsonl: none of its 4 rows fulfils filter. Change the conditions, or use other data.",
  );
  const refused = (condition: object) =>
    fileOptions.safeParse({ kind: "file", path: "a", filter: [{ column: "q", ...condition }] }).error
      ?.issues[0]?.message;
  expect(refused({})).toMatch(/^says nothing of the column/);
  expect(refused({ matches: "(" })).toMatch(/^is not a regular expression/);
  expect(refused({ matches: "(a)\\1" })).toMatch(/^looks ahead or back/);
});

it("maps columns by template, and values that stand alone as they are", async () => {
  const map = { prompt: "{topic}: {q}?", answer: "{level}", topics: "{meta}", q: "x{q}" };
  const options = { path: "rows.jsonl", map, filter: [{ column: "topic", in: ["sum"] }] };
  const { prompts } = contents(await open(options));
  expect(prompts[0]).toMatchObject({
    input: { messages: [{ role: "user", content: "sum: 1+1?" }] },
    answer: "1",
    // each is made of the row as it was read
    fields: { topics: { hard: false }, q: "x1+1", level: 1 },
  });
  const long = await open({
    ...options,
    filter: [
      { column: "answer", max: 2 },
      { column: "topic", matches: "." },
    ],
  });
  expect(contents(long).prompts.map(({ answer }) => answer)).toEqual(["1", "2"]);
  expect(contents(await open(options, 0))).toEqual(contents(await open(options)));
  expect(await failure({ path: "rows.jsonl", map: { prompt: "{no} {q}" } })).toContain(
    "rows.jsonl:1: has no column no;",
  );
});
