/** A folder with a folder for each class: names, halves, shots, lists, and what such folders may hold besides. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { imageFolder } from "../../src/data/image-folder.ts";
import { imageFolderOptions } from "../../src/data/image-folder-options.ts";
import { picturesOf } from "../../src/rollouts/pictures.ts";
import type { Prompt } from "../../src/types.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-folder-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, content = path): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), content);
}
const CLASSES = ["border_collie", "dingo", "pug", "sled-dog", "whippet"];
for (const name of CLASSES)
  for (let i = 0; i < 6; i++)
    put(`dogs/${name}/${i % 2 ? "b/" : ""}${name} ${i}.${i === 0 ? "JPEG" : "jpg"}`);
for (const path of ["dogs/.cache/x.jpg", "dogs/pug/.hidden.jpg", "dogs/pug/notes.txt", "dogs/readme.md"])
  put(path);

async function open(options: object = {}, path = "dogs") {
  const notes: string[] = [];
  const source = await imageFolder.open(
    imageFolderOptions.parse({ kind: "image-folder", path: join(root, path), ...options }),
    { split: "train", seed: 1, note: (text) => notes.push(text) },
  );
  const prompts = Array.from({ length: source.size! }, (_, index) => source.at(index));
  return { prompts, notes, name: source.name };
}
const prompts = async (options: object = {}, path?: string) => (await open(options, path)).prompts;
const refused = async (options: object, path?: string) => {
  const error: unknown = await open(options, path).catch((each: unknown) => each);
  return (error as Error).message.replaceAll(root, "ROOT");
};
const textOf = ({ input }: Prompt) => {
  if (input.kind === "text") return input.text;
  const { content } = input.messages.at(-1)!;
  return typeof content === "string"
    ? content
    : content.map((part) => (part.type === "text" ? part.text : "(picture)")).join("|");
};
const classesOf = (all: readonly Prompt[]) => [...new Set(all.map(({ answer }) => answer))];

describe("what is in it", () => {
  test("pictures at any depth, extensions in capitals too, hidden files and others passed over", async () => {
    const all = await prompts();
    expect(all).toHaveLength(30);
    expect(all[0]).toMatchObject({
      id: "border_collie/b/border_collie 1.jpg",
      answer: "border collie",
      target: "border collie",
      slices: {},
    });
    expect(all.filter(({ id }) => id.endsWith(".JPEG"))).toHaveLength(5);
    expect(new TextDecoder().decode(picturesOf(all[0]!)[0]!.load() as Uint8Array)).toBe(
      "dogs/border_collie/b/border_collie 1.jpg",
    );
    expect(classesOf(all)).toEqual(["border collie", "dingo", "pug", "sled-dog", "whippet"]);
    expect(classesOf(await prompts({ spaces_for: ["_", "-"] }))).toContain("sled dog");
    expect(classesOf(await prompts({ spaces_for: [] }))).toContain("border_collie");
  });

  test("classes in the order that is said, under the names that are said, and no other", async () => {
    expect(classesOf(await prompts({ classes: ["pug", "dingo"] }))).toEqual(["pug", "dingo"]);
    expect(classesOf(await prompts({ classes: { whippet: "Whippet", "sled-dog": "husky" } }))).toEqual([
      "Whippet",
      "husky",
    ]);
    expect(await refused({ classes: ["poodle"] })).toBe(
      "ROOT/dogs: there is no class folder poodle. It has border_collie, dingo, pug, sled-dog, whippet.",
    );
    expect(await refused({ classes: { dingo: "dog", pug: "dog" } })).toContain(
      'the folders dingo and pug are both shown as "dog"',
    );
  });

  test("pictures without a class are said, formats that are not read and empty classes refused", async () => {
    put("mixed/a/1.png");
    put("mixed/2.png");
    expect((await open({}, "mixed")).notes).toEqual([
      `${join(root, "mixed")}: 1 pictures lie beside the class folders, have no class and are left out`,
    ]);
    put("bitmaps/a/1.BMP");
    expect(await refused({}, "bitmaps")).toBe(
      "ROOT/bitmaps/a/1.BMP: pictures of this format are not read. Convert it to PNG or JPEG, or remove it.",
    );
    put("texts/a/1.txt");
    expect(await refused({}, "texts")).toContain("ROOT/texts/a: this class folder holds no .jpg");
    put("flat/1.png");
    expect(await refused({}, "flat")).toContain(
      "ROOT/flat: the folder holds no folders; put the pictures of each class",
    );
    expect(await refused({}, "nowhere")).toBe("ROOT/nowhere: there is no such folder of pictures.");
  });

  test("a pipe, an empty file and a broken link are named, or left out and said", async () => {
    put("bad/a/fine.png");
    put("bad/a/empty.png", "");
    execFileSync("mkfifo", [join(root, "bad/a/pipe.png")]);
    symlinkSync(join(root, "bad/gone.png"), join(root, "bad/a/link.png"));
    expect(await refused({}, "bad")).toBe(
      [
        'ROOT/bad/a/empty.png:1: the picture "a/empty.png" is an empty file.',
        'ROOT/bad/a/link.png:1: the picture "a/link.png" is a link to nothing.',
        'ROOT/bad/a/pipe.png:1: the picture "a/pipe.png" cannot be read: it is a pipe, not a file.',
        "Mend the rows, or set on_bad_row: skip to leave them out.",
      ].join("\n"),
    );
    const { prompts: left, notes } = await open({ on_bad_row: "skip" }, "bad");
    expect(left.map(({ id }) => id)).toEqual(["a/fine.png"]);
    expect(notes).toEqual([
      'bad: 3 pictures left out; of the first, the picture "a/empty.png" is an empty file',
    ]);
  });

  test("links that lead out are refused unless they are trusted, and loops end", async () => {
    put("links/a/1.png");
    symlinkSync(join(root, "dogs/pug"), join(root, "links/pug"));
    symlinkSync(join(root, "links/a"), join(root, "links/a/again"));
    expect(await refused({}, "links")).toContain("ROOT/links/pug: is a link that leads out of ROOT/links.");
    expect(await prompts({ follow_links: true }, "links")).toHaveLength(7);
    symlinkSync(join(root, "links"), join(root, "linked"));
    expect(await prompts({ classes: ["a"] }, "linked")).toHaveLength(1);
  });
});

describe("halves", () => {
  test("base is the first half of the classes, rounded up, as CoOp has it", async () => {
    const base = await prompts({ half: "base" });
    expect(classesOf(base)).toEqual(["border collie", "dingo", "pug"]);
    expect(base.every(({ slices }) => slices["split"] === "base")).toBe(true);
    const fresh = await prompts({ half: "new" });
    expect(classesOf(fresh)).toEqual(["sled-dog", "whippet"]);
    expect(fresh.every(({ slices }) => slices["split"] === "new")).toBe(true);
    expect(classesOf(await prompts({ half: "base", classes: ["whippet", "pug"] }))).toEqual(["whippet"]);
  });

  test("both asks each picture among its own half", async () => {
    const both = await prompts({ half: "both" });
    expect(both).toHaveLength(30);
    for (const { slices, fields } of both)
      expect([...(fields["choices"] as string[])].sort()).toEqual(
        slices["split"] === "base" ? ["border collie", "dingo", "pug"] : ["sled-dog", "whippet"],
      );
  });

  test("they may be named", async () => {
    const classes_split = { base: ["pug", "whippet"], new: ["dingo"] };
    expect(classesOf(await prompts({ half: "base", classes_split }))).toEqual(["pug", "whippet"]);
    expect(classesOf(await prompts({ half: "both", classes_split }))).toEqual(["dingo", "pug", "whippet"]);
    expect(await refused({ half: "base", classes_split: { base: ["poodle"], new: ["pug"] } })).toBe(
      "ROOT/dogs: classes_split.base names poodle, which is no class folder.",
    );
    const parse = (options: object) =>
      imageFolderOptions.safeParse({ kind: "image-folder", path: "x", ...options }).error?.issues[0];
    expect(parse({ classes_split })?.message).toContain("set half to base, new or both");
    expect(parse({ half: "base", classes_split: { base: ["pug"], new: ["pug"] } })?.message).toContain(
      "pug is in both halves",
    );
  });
});

describe("draws", () => {
  test("shots of each class, the same for the same seed, whatever other classes and pictures there are", async () => {
    const ids = async (options: object) => (await prompts(options)).map(({ id }) => id);
    const four = await ids({ shots: 4 });
    expect(four).toHaveLength(20);
    expect(await ids({ shots: 4 })).toEqual(four);
    expect(await ids({ shots: 4, seed: 1 })).not.toEqual(four);
    expect(await ids({ shots: 4, classes: ["pug"] })).toEqual(four.filter((id) => id.startsWith("pug/")));
    // fewer shots are some of the more
    const one = await ids({ shots: 1 });
    expect(one).toHaveLength(5);
    expect(four).toEqual(expect.arrayContaining(one));
    expect(await ids({ shots: 100 })).toHaveLength(30);
  });

  test("shots stay when pictures come: at most one gives way to a new one", async () => {
    for (let i = 10; i < 30; i++) put(`growing/a/${i}.jpg`);
    const ids = async () => (await prompts({ shots: 5 }, "growing")).map(({ id }) => id);
    const before = await ids();
    for (let i = 1; i < 9; i++) {
      put(`growing/a/0${i}.jpg`);
      const after = await ids();
      expect(after).toHaveLength(5);
      for (const id of after) if (!id.startsWith("a/0")) expect(before).toContain(id);
    }
  });

  test("parts of a folder share nothing and leave nothing out", async () => {
    const part = async (name: string) =>
      (await prompts({ split: { part: name, eval_share: 0.4 } })).map(({ id }) => id);
    const [train, evaluation] = [await part("train"), await part("eval")];
    expect(new Set([...train, ...evaluation]).size).toBe(30);
    expect(train.length + evaluation.length).toBe(30);
    expect(evaluation.length).toBeGreaterThan(4);
  });

  test("a limit takes pictures of all classes", async () => {
    expect(classesOf(await prompts({ limit: 5 }))).toHaveLength(5);
  });

  test("a list belongs to its picture, and its length is the paper's", async () => {
    for (let i = 0; i < 100; i++) put(`many/class ${i}/1.png`);
    const lists = (all: readonly Prompt[]) =>
      new Map(all.map(({ id, fields }) => [id, fields["choices"] as string[]]));
    const all = lists(await prompts({}, "many"));
    for (const [id, list] of all) {
      expect(list).toHaveLength(40);
      expect(list).toContain(id.split("/")[0]);
      expect(new Set(list).size).toBe(40);
    }
    expect(new Set([...all.values()].map(String)).size).toBe(100);
    // the label stands anywhere
    expect(new Set([...all].map(([id, list]) => list.indexOf(id.split("/")[0]!))).size).toBeGreaterThan(20);
    const few = lists(await prompts({ limit: 3 }, "many"));
    for (const [id, list] of few) expect(list).toEqual(all.get(id));
    expect((await prompts({ half: "base", share: 0.8 }, "many"))[0]!.fields["choices"]).toHaveLength(40);
  });
});

describe("the prompt", () => {
  test("is CLS-RL's: the picture, then question and list", async () => {
    const [first] = await prompts();
    const list = (first!.fields["choices"] as string[]).join(", ");
    expect(textOf(first!)).toBe(
      `(picture)|What type of object is in the photo?\n Please choose one from list [ ${list}].`,
    );
  });

  test("may be another, open, with a system message, or a text as it is", async () => {
    const [open1] = await prompts({
      prompt: "{question}",
      question: "What type of animal is in the photo?",
      system: "Look.",
    });
    expect(textOf(open1!)).toBe("(picture)|What type of animal is in the photo?");
    expect(open1!.fields).toEqual({ picture: "border_collie/b/border_collie 1.jpg", label: "border collie" });
    expect(open1!.input).toMatchObject({ messages: [{ role: "system", content: "Look." }, {}] });
    const [text] = await prompts({ prompt: "<image> | {choices} [direct]", chat: false, classes: ["pug"] });
    expect(text!.input).toMatchObject({
      kind: "text",
      text: "<image> | pug [direct]",
      pictures: [{ name: "pug/b/pug 1.jpg" }],
    });
  });

  it.each<[object, string]>([
    [{ prompt: "{label}?" }, "there is no {label}; use {question} and {choices}"],
    [
      { prompt: "{question}", chat: false },
      "with chat: false the text needs the model's placeholder of a picture; put <image> into it",
    ],
    [
      { prompt: "<image><image>{question}" },
      "has 2 places for a picture (<image>), and there is one picture",
    ],
    [{ system: "x", chat: false, prompt: "<image>{question}" }, "a system message needs a chat template"],
  ])("%j is refused", (options, message) => {
    const parsed = imageFolderOptions.safeParse({ kind: "image-folder", path: "x", ...options });
    expect(parsed.error?.issues[0]?.message).toContain(message);
  });
});
