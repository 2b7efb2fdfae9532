import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import type { Prompt } from "../../src/types.ts";
import { contents } from "../helpers/data-folder.ts";

const baseDir = mkdtempSync(join(tmpdir(), "rlpt-choices-"));
afterAll(() => rmSync(baseDir, { recursive: true, force: true }));

const rows = Array.from({ length: 150 }, (_, i) => ({ photo: `${i}.jpg`, label: `kind ${i % 75}` }));
const template = "{photo} What is it?\n Please choose one from list [ {choices}].";

async function read(content: readonly object[], choices: object, options: object = {}): Promise<Prompt[]> {
  writeFileSync(join(baseDir, "rows.jsonl"), content.map((row) => JSON.stringify(row)).join("\n"));
  const file = {
    kind: "file",
    path: "rows.jsonl",
    prompt: template,
    answer: "{label}",
    chat: false,
    choices,
  };
  return contents(await openFileDataset(fileOptions.parse({ ...file, ...options }), { baseDir })).prompts;
}

test("each row lists 40% of the file's classes, its own among them, and shows that list", async () => {
  const prompts = await read(rows, { column: "label" });
  for (const { input, answer, fields } of prompts) {
    const list = fields["choices"] as string[];
    expect(list).toHaveLength(30);
    expect(list).toContain(answer);
    const shown = `${fields["photo"]} What is it?\n Please choose one from list [ ${list.join(", ")}].`;
    expect(input).toEqual({ kind: "text", text: shown });
  }
  expect(new Set(prompts.map(({ fields }) => String(fields["choices"]))).size).toBe(150);
});

test("a list belongs to its row: it stays when rows move, and another seed draws another", async () => {
  const lists = (prompts: Prompt[]) =>
    new Map(prompts.map(({ fields }) => [fields["photo"], fields["choices"]]));
  const first = lists(await read(rows, { column: "label" }));
  expect(lists(await read([...rows].reverse(), { column: "label" }))).toEqual(first);
  expect(lists(await read(rows, { column: "label", seed: 1 }))).not.toEqual(first);
  const ids = lists(await read(rows, { column: "label" }, { id: "photo" }));
  expect(ids).not.toEqual(first);
});

test("few classes are all listed; base-to-new lists hold 80%", async () => {
  const size = async (count: number, share: number) =>
    ((await read(rows.slice(0, count), { column: "label", share }))[0]!.fields["choices"] as string[]).length;
  expect(await size(74, 0.4)).toBe(74);
  expect(await size(75, 0.4)).toBe(30);
  expect(await size(50, 0.8)).toBe(40);
});

test("what cannot work is refused: a prompt without the list, a column of that name, a missing class", async () => {
  await expect(read(rows, { column: "label" }, { prompt: "{photo}" })).rejects.toThrow(
    "put {choices} into prompt",
  );
  await expect(read([{ ...rows[0], choices: "x" }], { column: "label" })).rejects.toThrow(
    "has a column choices already",
  );
  await expect(read(rows, { column: "species" })).rejects.toThrow("has no column species");
});
