/** Pictures in conversations, as OpenAI's interface, transformers, TRL and LLaVA write them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import type { ChatMessage } from "../../src/types.ts";
import { dataFolder } from "../helpers/data-folder.ts";

const { baseDir, write, read, failure } = dataFolder();
mkdirSync(join(baseDir, "images"));
for (const name of ["a", "b"]) writeFileSync(join(baseDir, "images", `${name}.png`), name);

const row = (value: object) => write("rows.jsonl", JSON.stringify({ answer: "x", ...value }));
const options = { path: "rows.jsonl", messages: {} };
const texts = (messages: readonly ChatMessage[]) =>
  messages.map(({ role, content }) =>
    typeof content === "string"
      ? `${role}: ${content}`
      : `${role}: ${content.map((part) => (part.type === "text" ? part.text : `(${part.picture.name})`)).join("|")}`,
  );
async function shown(value: object, more: object = {}): Promise<string[]> {
  row(value);
  const { input } = (await read({ ...options, ...more })).prompts[0]!;
  return input.kind === "chat" ? texts(input.messages) : [];
}
async function refused(value: object, more: object = {}): Promise<string> {
  row(value);
  return (await failure({ ...options, ...more })).replaceAll(baseDir, "ROOT");
}
const user = (...content: unknown[]) => ({ messages: [{ role: "user", content }] });
const text = (said: string) => ({ type: "text", text: said });

describe("parts that name their picture", () => {
  it.each<[string, object]>([
    ["image_url with a url", { type: "image_url", image_url: { url: "images/a.png", detail: "low" } }],
    ["image_url alone", { type: "image_url", image_url: "images/a.png" }],
    ["image", { type: "image", image: "images/a.png" }],
    ["path", { type: "image", path: "images/a.png" }],
    ["url", { type: "image", url: "images/a.png" }],
    ["a table's keys", { type: "image", text: null, image: { bytes: null, path: "images/a.png" } }],
  ])("%s", async (_, part) => {
    expect(await shown(user(part, text("What?")))).toEqual(["user: (images/a.png)|What?"]);
  });

  test("bytes, named by their place", async () => {
    const uri = "data:image/png;base64,aGVsbG8=";
    expect(await shown(user(text("See"), { type: "image_url", image_url: { url: uri } }))).toEqual([
      "user: See|(rows.jsonl:1, turn 1 of column messages, part 2)",
    ]);
    row(user({ type: "image_url", image_url: { url: uri } }));
    const { fields } = (await read(options)).prompts[0]!;
    expect(JSON.stringify(fields)).not.toContain("aGVsbG8");
  });

  test("in any turn but the assistant's, and in each beginning of a conversation", async () => {
    const messages = [
      { role: "user", content: [{ type: "image", path: "images/a.png" }, text("first")] },
      { role: "assistant", content: "one" },
      { role: "tool", content: [{ type: "image", path: "images/b.png" }] },
      { role: "user", content: "second" },
    ];
    row({ messages });
    const { prompts } = await read({ ...options, messages: { prompts: "each_user" } });
    expect(prompts.map(({ input }) => (input.kind === "chat" ? texts(input.messages) : []))).toEqual([
      ["user: (images/a.png)|first"],
      ["user: (images/a.png)|first", "assistant: one", "tool: (images/b.png)", "user: second"],
    ]);
    expect(
      await refused({
        messages: [...messages, { role: "assistant", content: [{ type: "image", path: "images/a.png" }] }],
      }),
    ).toContain("rows.jsonl:1: turn 5 of column messages is the assistant's and holds a picture");
  });

  test("conversations that are learnt keep theirs", async () => {
    row({
      messages: [
        { role: "user", content: [{ type: "image", path: "images/a.png" }, text("What?")] },
        { role: "assistant", content: "A cat." },
      ],
    });
    const [prompt] = (await read({ ...options, messages: { learn: "all" } })).prompts;
    expect(texts(prompt!.conversation!.messages)).toEqual([
      "user: (images/a.png)|What?",
      "assistant: A cat.",
    ]);
  });

  it.each<[string, object, string]>([
    [
      "an address",
      { type: "image_url", image_url: { url: "https://x.org/a.png" } },
      'the picture "https://x.org/a.png" (turn 1 of column messages, part 1) is an address on the network',
    ],
    [
      "a missing file",
      { type: "image", path: "images/c.png" },
      'the picture "images/c.png" (turn 1 of column messages, part 1) cannot be read: no such file',
    ],
    [
      "another type",
      { type: "video", video: "a.mp4" },
      'turn 1 of column messages, part 1 has the type "video"; use text, image or image_url',
    ],
    [
      "nothing but a type",
      { type: "image" },
      "column messages has an image part without image, path or url, and the row has no column images",
    ],
  ])("%s is refused", async (_, part, message) => {
    expect(await refused(user(part))).toContain(`rows.jsonl:1: ${message}`);
  });
});

describe("pictures of columns beside messages", () => {
  const image = { type: "image" };

  test("TRL's images fill parts that name none, without an option", async () => {
    const value = { ...user(image, text("and"), image), images: ["images/a.png", "images/b.png"] };
    expect(await shown(value)).toEqual(["user: (images/a.png)|and|(images/b.png)"]);
    expect(await shown({ ...user(image, text("?")), image: "images/a.png" })).toEqual([
      "user: (images/a.png)|?",
    ]);
    expect(await refused({ ...user(image), images: ["images/a.png", "images/b.png"] })).toContain(
      "has 2 pictures, and its conversation has 1 place for them",
    );
  });

  test("a named column goes to markers of the texts, or before the first user's text", async () => {
    const messages = [
      { role: "system", content: "Look." },
      { role: "user", content: "<image>What is <image>?" },
    ];
    const more = { pictures: "shots" };
    expect(await shown({ messages, shots: ["images/a.png", "images/b.png"] }, more)).toEqual([
      "system: Look.",
      "user: (images/a.png)|What is |(images/b.png)|?",
    ]);
    const plain = [{ role: "user", content: "What?" }];
    expect(await shown({ messages: plain, shots: "images/a.png" }, more)).toEqual([
      "user: (images/a.png)|What?",
    ]);
    expect(await shown({ messages: plain, shots: [] }, more)).toEqual(["user: What?"]);
    expect(await refused({ messages, shots: ["images/a.png"] }, more)).toContain(
      "has 1 picture, and its conversation has 2 places for them (<image>)",
    );
  });

  test("a marker that the assistant wrote is its text", async () => {
    const messages = [
      { role: "user", content: "<image>What?" },
      { role: "assistant", content: "An <image>." },
      { role: "user", content: "Sure?" },
    ];
    expect(await shown({ messages, shots: "images/a.png" }, { pictures: "shots" })).toEqual([
      "user: (images/a.png)|What?",
      "assistant: An <image>.",
      "user: Sure?",
    ]);
  });

  test("a marker is text where no column is named", async () => {
    expect(await shown({ messages: [{ role: "user", content: "What is <image>?" }] })).toEqual([
      "user: What is <image>?",
    ]);
  });

  test("ids tell other pictures apart", async () => {
    const idOf = async (name: string) => {
      row(user({ type: "image", path: `images/${name}.png` }, text("What?")));
      return (await read(options)).prompts[0]!.id;
    };
    expect(await idOf("a")).not.toBe(await idOf("b"));
    expect(await idOf("a")).toBe(await idOf("a"));
  });
});
