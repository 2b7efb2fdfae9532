/** Pictures in columns of a file: what forms they come in, where they stand in a prompt, what a stranger's rows cannot do. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { fileOptions } from "../../src/data/file-options.ts";
import { selectedDataset } from "../../src/experiments/experiment.ts";
import { picturesOf } from "../../src/rollouts/pictures.ts";
import type { Prompt } from "../../src/types.ts";
import { dataFolder } from "../helpers/data-folder.ts";

const { baseDir, write, open, read, failure } = dataFolder();
const golden = join(import.meta.dirname, "../golden/data");
const { sha256, base64 } = JSON.parse(readFileSync(join(golden, "pictures.json"), "utf8")) as {
  sha256: Record<string, string>;
  base64: { red: string };
};
for (const kind of ["struct", "lists", "binary", "none"])
  copyFileSync(join(golden, `pictures-${kind}.parquet`), join(baseDir, `${kind}.parquet`));

const red = Buffer.from(base64.red, "base64");
const file = (name: string, content: string | Uint8Array = red) => {
  mkdirSync(join(baseDir, name, ".."), { recursive: true });
  writeFileSync(join(baseDir, name), content);
  return name;
};
const rows = (name: string, content: readonly object[]) =>
  write(name, content.map((row) => JSON.stringify(row)).join("\n"));
const hashes = (prompt: Prompt) =>
  picturesOf(prompt).map((picture) =>
    createHash("sha256")
      .update(picture.load() as Uint8Array)
      .digest("hex"),
  );
const names = (prompt: Prompt) => picturesOf(prompt).map(({ name }) => name);
const asked = { prompt: "{question}", pictures: "image" };
const one = async (image: unknown, options: object = {}, more: object = {}) => {
  const path = rows("one.jsonl", [{ question: "q", answer: "a", image, ...more }]);
  return (await read({ path, ...asked, ...options })).prompts[0]!;
};
const refused = async (image: unknown, options: object = {}) => {
  const path = rows("refused.jsonl", [{ question: "q", answer: "a", image }]);
  return (await failure({ path, ...asked, ...options })).replaceAll(baseDir, "ROOT");
};

file("images/red.png");
file("images/späße 图 🎉.PNG");
file("outside.png");

describe("forms of a picture", () => {
  test("a path, relative to the data file's folder, read when it is asked for", async () => {
    const prompt = await one("images/red.png");
    expect(names(prompt)).toEqual(["images/red.png"]);
    expect(hashes(prompt)).toEqual([sha256["red"]]);
    expect(prompt.input).toMatchObject({
      kind: "chat",
      messages: [{ role: "user", content: [{ type: "image" }, { type: "text", text: "q" }] }],
    });
    expect(prompt.fields).toEqual({ question: "q", answer: "a", image: "images/red.png" });
  });

  test("nothing is read before: a file that is gone by then is an error with its name", async () => {
    file("images/brief.png");
    const prompt = await one("images/brief.png");
    rmSync(join(baseDir, "images/brief.png"));
    expect(() => hashes(prompt)).toThrow(
      "images/brief.png: cannot read the picture: no such file or directory.",
    );
  });

  test("below pictures_root, absolute ones too, and with the separators of Windows", async () => {
    const options = { pictures_root: join(baseDir, "images") };
    expect(hashes(await one("red.png", options))).toEqual([sha256["red"]]);
    expect(names(await one(join(baseDir, "images/red.png"), options))).toEqual(["red.png"]);
    expect(names(await one("images\\red.png"))).toEqual(["images/red.png"]);
    expect(names(await one(".\\images\\späße 图 🎉.PNG"))).toEqual(["images/späße 图 🎉.PNG"]);
    file("images/odd\\name.png");
    expect(names(await one("images/odd\\name.png"))).toEqual(["images/odd\\name.png"]);
  });

  test("the struct of datasets, with bytes, and with bytes that are UTF-8", async () => {
    const { prompts } = await read({ path: "struct.parquet", ...asked });
    expect(prompts.flatMap(hashes)).toEqual([sha256["red"], sha256["green"], sha256["ascii_gif"]]);
    expect(names(prompts[1]!)).toEqual(["struct.parquet:2, image"]);
    expect(JSON.stringify(prompts.map(({ fields }) => fields))).not.toContain(base64.red.slice(0, 20));
  });

  test("the struct's path where it has no bytes", async () => {
    expect(hashes(await one({ bytes: null, path: "images/red.png" }))).toEqual([sha256["red"]]);
    expect(hashes(await one({ path: "images/red.png" }))).toEqual([sha256["red"]]);
  });

  test("lists of them, and several columns", async () => {
    const { prompts } = await read({ path: "lists.parquet", prompt: "{question}", pictures: "images" });
    expect(prompts.map(hashes)).toEqual([
      [sha256["red"], sha256["green"]],
      [sha256["blue"]],
      [sha256["red"]],
    ]);
    expect(names(prompts[0]!)).toEqual([
      "lists.parquet:1, images, number 1",
      "lists.parquet:1, images, number 2",
    ]);
    const both = await one("images/red.png", { pictures: ["image", "more"] }, { more: ["outside.png"] });
    expect(names(both)).toEqual(["images/red.png", "outside.png"]);
  });

  test("a binary column", async () => {
    const { prompts } = await read({ path: "binary.parquet", ...asked });
    expect(prompts.flatMap(hashes)).toEqual([sha256["red"], sha256["green"], sha256["ascii_gif"]]);
  });

  test("a data URI, and base64 in the struct's place of bytes", async () => {
    for (const value of [
      `data:image/png;base64,${base64.red}`,
      { bytes: base64.red, path: null },
      { base64: base64.red },
    ]) {
      const prompt = await one(value);
      expect(hashes(prompt)).toEqual([sha256["red"]]);
      expect(JSON.stringify(prompt.fields)).not.toContain(base64.red.slice(0, 20));
    }
  });

  test("tables that are too large for memory give the same prompts, row by row", async () => {
    const few = await open({ path: "struct.parquet", ...asked }, 10);
    expect(few.held).toBe(false);
    const all = await open({ path: "struct.parquet", ...asked });
    expect(all.held).toBe(true);
    for (let index = 0; index < 3; index++) {
      expect(few.at(index).id).toBe(all.at(index).id);
      expect(hashes(few.at(index))).toEqual(hashes(all.at(index)));
    }
    // what writes rows elsewhere gets the bytes
    expect(all.fieldsOf(0)["image"]).toMatchObject({ bytes: { base64: base64.red } });
  });

  test("a row whose picture is gone when it is read again is an error with its line", async () => {
    file("images/later.png");
    const path = rows("later.jsonl", [
      { question: "p", answer: "a", image: "images/red.png" },
      { question: "q", answer: "a", image: "images/later.png" },
    ]);
    const dataset = await open({ path, ...asked }, 10);
    rmSync(join(baseDir, "images/later.png"));
    expect(() => dataset.at(1)).toThrow(
      /later\.jsonl:2: the picture "images\/later\.png" \(column image\) cannot be read: no such file or directory\. It was changed while in use\.$/,
    );
  });
});

test("a subset that lies elsewhere finds the pool's pictures", () => {
  const pool = (more: object) =>
    fileOptions.parse({ kind: "file", path: join(baseDir, "rows.jsonl"), ...more });
  const subset = (more: object) => selectedDataset(pool(more), "/elsewhere/subset.jsonl");
  expect(subset({ pictures: "image" })).toMatchObject({
    path: "/elsewhere/subset.jsonl",
    pictures_root: baseDir,
  });
  expect(subset({ pictures: "image", pictures_root: "/photos" })).toMatchObject({ pictures_root: "/photos" });
  expect(subset({})).not.toHaveProperty("pictures_root");
});

describe("where pictures stand", () => {
  const shape = ({ input }: Prompt) =>
    input.kind === "text"
      ? input.text
      : input.messages.map(({ role, content }) =>
          typeof content === "string"
            ? `${role}: ${content}`
            : `${role}: ${content.map((part) => (part.type === "text" ? part.text : `(${part.picture.name})`)).join("|")}`,
        );
  const two = ["images/red.png", "outside.png"];

  test("before the text, or at its markers, which the data may hold as well", async () => {
    expect(shape(await one(two))).toEqual(["user: (images/red.png)|(outside.png)|q"]);
    const template = { prompt: "First <image>, then <image>\n{question}", system: "Look." };
    expect(shape(await one(two, template))).toEqual([
      "system: Look.",
      "user: First |(images/red.png)|, then |(outside.png)|\nq",
    ]);
    expect(shape(await one(two, { prompt: "[pic]{question}[pic]", picture_marker: "[pic]" }))).toEqual([
      "user: (images/red.png)|q|(outside.png)",
    ]);
    const path = rows("llava.jsonl", [{ question: "<image>\nWhat?", answer: "a", image: "images/red.png" }]);
    const { prompts } = await read({ path, ...asked });
    expect(shape(prompts[0]!)).toEqual(["user: (images/red.png)|\nWhat?"]);
  });

  test("as many as there are places, else the row is named", async () => {
    expect(await refused(two, { prompt: "<image> {question}" })).toContain(
      "refused.jsonl:1: has 2 pictures, and its prompt has 1 place for them (<image>).",
    );
    expect(await refused("outside.png", { prompt: "<image> {question} <image>" })).toContain(
      "has 1 picture, and its prompt has 2 places for them (<image>)",
    );
  });

  test("a text that is fed as it is holds a placeholder for each", async () => {
    const { input } = await one(two, { chat: false, prompt: "<image><image>{question}" });
    expect(input).toMatchObject({ kind: "text", text: "<image><image>q", pictures: [{}, {}] });
    expect(await refused(two, { chat: false })).toContain(
      "has 2 pictures, and its prompt has 0 places for them (<image>)",
    );
    const qwen = { chat: false, prompt: "<|image_pad|>{question}", picture_marker: "<|image_pad|>" };
    expect(picturesOf(await one("outside.png", qwen))).toHaveLength(1);
  });

  test("ids follow from what data say, and pictures are part of it", async () => {
    const id = async (image: unknown) => (await one(image)).id;
    expect(await id("images/red.png")).toBe(await id("images\\red.png"));
    expect(await id("images/red.png")).not.toBe(await id("outside.png"));
    // the same bytes in another form are the same picture
    expect(await id(`data:image/png;base64,${base64.red}`)).toBe(await id({ bytes: base64.red }));
    // a text alone keeps the id that it always had
    const plain = rows("plain.jsonl", [{ question: "q", answer: "a" }]);
    const { prompts } = await read({ path: plain, prompt: "{question}" });
    const known = createHash("sha256")
      .update(JSON.stringify(["q", "a", ""]))
      .digest("hex")
      .slice(0, 16);
    expect(prompts[0]!.id).toBe(known);
  });

  test("the id of a picture is that of its file, and another file's under the same path is another", async () => {
    file("images/changed.png");
    const idOf = async () => picturesOf(await one("images/changed.png"))[0]!.id;
    const before = await idOf();
    expect(await idOf()).toBe(before);
    file("images/changed.png", Buffer.concat([red, red]));
    expect(await idOf()).not.toBe(before);
  });
});

describe("what is refused, with line, column and value", () => {
  const elsewhere = join(baseDir, "..", `${baseDir.split("/").at(-1)}-elsewhere.png`);
  mkdirSync(join(baseDir, "inside"), { recursive: true });
  writeFileSync(elsewhere, red);
  symlinkSync(elsewhere, join(baseDir, "inside/link.png"));
  symlinkSync(join(baseDir, "images/nothing.png"), join(baseDir, "inside/broken.png"));
  symlinkSync(join(baseDir, "inside/loop.png"), join(baseDir, "inside/loop.png"));
  symlinkSync(join(baseDir, "images/red.png"), join(baseDir, "inside/fine.png"));
  execFileSync("mkfifo", [join(baseDir, "inside/pipe.png")]);
  file("inside/empty.png", "");

  it.each<[string, unknown, string | RegExp]>([
    [
      "a file that is not there",
      "images/blue.png",
      'the picture "images/blue.png" (column image) cannot be read: no such file or directory.',
    ],
    ["a folder", "images", "cannot be read: it is a directory."],
    ["a pipe, which would never end", "inside/pipe.png", "cannot be read: it is a pipe, not a file."],
    ["a device", "/dev/zero", "leads out of ROOT: give a path below it"],
    ["an empty file", "inside/empty.png", "is an empty file."],
    ["an empty path", "", 'the picture "" (column image) is an empty path.'],
    ["null", null, "the picture (column image) is missing."],
    ["an empty list", [], "has no picture in column image: its list is empty."],
    ["a number", 7, "the picture (column image) is a number; a picture is a path, bytes or a data URI."],
    ["a list in a list", [["images/red.png"]], "(column image, number 1) is a list in a list"],
    ["another object", { height: 3 }, "is an object with height; a picture has bytes or path."],
    ["a struct of nothing", { bytes: null, path: null }, "has neither bytes nor a path."],
    ["bytes as numbers", { bytes: [137, 80], path: null }, "has bytes that are a list."],
    [
      "a way up",
      "../x.png",
      "leads out of ROOT: give a path below it, or name the folder that holds all pictures with pictures_root.",
    ],
    ["a way up and back", "images/../../../../etc/passwd", "leads out of ROOT"],
    ["another's file", "/etc/passwd", "leads out of ROOT"],
    ["Windows' way up", "..\\x.png", "leads out of ROOT"],
    ["another machine's path", "C:\\pictures\\x.png", "is a path on another machine"],
    ["a link out", "inside/link.png", /is a link that leads out of ROOT: .* set follow_links: true/],
    ["a broken link", "inside/broken.png", "is a link to nothing."],
    ["a link to itself", "inside/loop.png", /is a link to nothing|leads back to itself/],
    ["a NUL", "images/re\0d.png", "cannot be read: no path holds a NUL character"],
    [
      "an address",
      "https://example.org/cat.png",
      'the picture "https://example.org/cat.png" (column image) is an address on the network, where training reads nothing: download the picture and give its path.',
    ],
    ["an address in capitals", "HTTP://example.org/cat.png", "download the picture"],
    ["another scheme", "file:///etc/passwd", "is an address (file:), not a path"],
    [
      "a URI of text",
      "data:text/plain;base64,aGk=",
      "is a data URI that does not begin with data:image/...;base64,",
    ],
    ["a URI without base64", "data:image/svg+xml,<svg/>", "is a data URI that does not begin with"],
    ["a URI without content", "data:image/png;base64,", "has no bytes."],
    ["a URI of something else", "data:image/png;base64,?!", "has bytes that are no base64 text."],
  ])("%s", async (_, value, message) => {
    const said = await refused(value);
    expect(said).toMatch(/^refused\.jsonl:1: /);
    expect(said.split("\n")[0]).toMatch(
      typeof message === "string" ? new RegExp(message.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) : message,
    );
  });

  test("a path of 5,000 characters is shortened where it is named", async () => {
    const said = await refused(`images/${"x".repeat(5000)}.png`);
    expect(said.length).toBeLessThan(400);
    expect(said).toMatch(
      /"images\/x+\.\.\.x+\.png" \(column image\) cannot be read: the path, or a name in it, is too long/,
    );
  });

  test("links inside are fine, and those that lead out where they are trusted", async () => {
    expect(hashes(await one("inside/fine.png"))).toEqual([sha256["red"]]);
    expect(hashes(await one("inside/link.png", { follow_links: true }))).toEqual([sha256["red"]]);
    rmSync(elsewhere);
  });

  test("one missing picture of 10,000 is named by its line, and the rest is read when it may be left out", async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({
      question: `q${i}`,
      answer: "a",
      image: i === 7_653 ? "images/missing.png" : "images/red.png",
    }));
    const path = rows("many.jsonl", many);
    expect(await failure({ path, ...asked })).toBe(
      'many.jsonl:7654: the picture "images/missing.png" (column image) cannot be read: no such file or directory.\nMend the rows, or set on_bad_row: skip to leave them out.',
    );
    const { prompts, skipped } = await read({ path, ...asked, on_bad_row: "skip" });
    expect(prompts).toHaveLength(9_999);
    expect(skipped).toHaveLength(1);
  });

  test("columns of other types, and a column that is not there", async () => {
    const of = (column: string) => failure({ path: "none.parquet", prompt: "{question}", pictures: column });
    expect(await of("number")).toContain("none.parquet:1: the picture (column number) is a number;");
    expect(await of("text")).toContain('the picture "no picture" (column text) cannot be read: no such file');
    expect(await of("empty")).toContain('the picture "" (column empty) is an empty path');
    expect(await of("numbers")).toContain("(column numbers, number 1) is a number");
    expect(await of("photo")).toContain("has no column photo; it has question, answer, number");
  });

  test("a data URI beyond the bound is refused by its length, before it is decoded", async () => {
    const said = await refused(`data:image/png;base64,${"A".repeat(90 << 20)}`);
    expect(said).toMatch(/has about 70,\d+,\d+ bytes, and at most 67,108,864 are read/);
    expect(said.length).toBeLessThan(400);
  });

  test("keys that read nothing", () => {
    const options = fileOptions.safeParse({ kind: "file", path: "x.jsonl", pictures_root: "images" });
    expect(options.error?.issues[0]).toMatchObject({
      path: ["pictures_root"],
      message: "no picture is read; name their columns with pictures, or remove it",
    });
  });
});
