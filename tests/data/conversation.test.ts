import { describe, expect, it } from "vitest";
import { fileOptions } from "../../src/data/file-options.ts";
import { contents, dataFolder } from "../helpers/data-folder.ts";

const { write, open, failure } = dataFolder();
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const long = [user("1+1?"), assistant("2"), user("and 2+2?"), assistant("4")];
const lines = (...rows: object[]) => rows.map((row) => JSON.stringify(row)).join("\n");

write("chat.jsonl", lines({ messages: long, answer: "4" }, { messages: [user("3+3?")], answer: "6" }));

describe("prompts of conversations", () => {
  it("end with the last user turn, or with each, and the assistant's reply is a column", async () => {
    const last = contents(
      await open({ path: "chat.jsonl", messages: { prompts: "last_user" }, on_bad_row: "skip" }),
    ).prompts;
    expect(last.map(({ input, fields }) => [input, fields["reply"]])).toEqual([
      [{ kind: "chat", messages: long.slice(0, 3) }, "4"],
      [{ kind: "chat", messages: [user("3+3?")] }, undefined],
    ]);
    const each = {
      path: "chat.jsonl",
      messages: { prompts: "each_user" },
      answer: null,
      system: "Be brief.",
    };
    const { prompts, lines: places } = contents(await open(each));
    expect(prompts.map(({ input }) => input.kind === "chat" && input.messages.length)).toEqual([2, 4, 2]);
    expect(prompts[0]!.input).toMatchObject({
      messages: [{ role: "system", content: "Be brief." }, user("1+1?")],
    });
    expect(places).toEqual([1, 1, 2]);
    expect(new Set(prompts.map(({ id }) => id)).size).toBe(3);
    expect(contents(await open(each, 0))).toEqual(contents(await open(each)));
    const replies = contents(
      await open({
        path: "chat.jsonl",
        messages: { prompts: "each_user" },
        answer: "{reply}",
        on_bad_row: "skip",
        id: "answer",
      }),
    ).prompts;
    expect(replies.map(({ id, answer }) => [id, answer])).toEqual([
      ["4", "2"],
      ["4#2", "4"],
    ]);
  });

  it("must ask something", async () => {
    expect(await failure({ path: "chat.jsonl", messages: {} })).toContain(
      "chat.jsonl:1: column messages ends with the assistant, so nothing is asked; set messages.prompts: last_user or each_user, or messages.learn for supervised training.",
    );
  });
});

it("conversations are learnt up to the last assistant turn, and need no answer", async () => {
  write("learn.jsonl", lines({ messages: [...long, user("thanks")] }));
  const { prompts } = contents(await open({ path: "learn.jsonl", messages: { learn: "all" } }));
  expect(prompts[0]).toMatchObject({
    conversation: { messages: long, learn: "all" },
    input: { messages: long.slice(0, 3) },
    answer: "",
  });
  write("none.jsonl", lines({ messages: [user("1+1?")] }));
  expect(await failure({ path: "none.jsonl", messages: { learn: "last" } })).toContain(
    "none.jsonl:1: column messages has no assistant turn to learn.",
  );
});

describe("what turns may look like", () => {
  const read = async (messages: unknown, more: object = {}) => {
    write("turns.jsonl", lines({ messages, ...more }));
    const { prompts } = contents(
      await open({
        path: "turns.jsonl",
        messages: {},
        answer: null,
        ...("tools" in more ? { tools: "tools" } : {}),
      }),
    );
    return prompts[0]!.input;
  };

  it("is ShareGPT's from and value, JSON text, parts, and calls of tools", async () => {
    expect(
      await read([
        { from: "system", value: "s" },
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
        { from: "human", value: "c" },
      ]),
    ).toEqual({
      kind: "chat",
      messages: [{ role: "system", content: "s" }, user("a"), assistant("b"), user("c")],
    });
    expect(await read(JSON.stringify([user("a")]))).toEqual({ kind: "chat", messages: [user("a")] });
    const parts = [{ type: "text", text: "a" }];
    expect(await read([{ role: "user", content: parts }])).toEqual({
      kind: "chat",
      messages: [{ role: "user", content: parts }],
    });
    const call = { function: { name: "add", arguments: { a: 1 } } };
    const tools = [{ type: "function", function: { name: "add" } }];
    // tables give every turn the same keys
    const turns = [
      { role: "user", content: "a", tool_calls: null },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", content: "3", tool_calls: null },
    ];
    expect(await read(turns, { tools })).toEqual({
      kind: "chat",
      tools,
      messages: [
        user("a"),
        { role: "assistant", content: "", extra: { tool_calls: [call] } },
        { role: "tool", content: "3" },
      ],
    });
  });

  it("is said with row, column and turn where it is something else", async () => {
    const refused = async (messages: unknown) => {
      write("bad.jsonl", lines({ messages }));
      return (await failure({ path: "bad.jsonl", messages: {}, answer: null })).split("\n")[0];
    };
    expect(await refused("hello")).toBe("bad.jsonl:1: column messages is text that is no JSON list.");
    expect(await refused(null)).toBe("bad.jsonl:1: column messages is null, not a list.");
    expect(await refused([])).toBe("bad.jsonl:1: column messages has no user turn.");
    expect(await refused([assistant("hi")])).toBe("bad.jsonl:1: column messages has no user turn.");
    expect(await refused([user("a"), "b"])).toBe(
      "bad.jsonl:1: turn 2 of column messages is no object with role and content.",
    );
    expect(await refused([{ role: "bot", content: "a" }])).toMatch(
      /^bad\.jsonl:1: turn 1 of column messages has the role "bot"; use system, /,
    );
    expect(await refused([{ role: "user", content: null }])).toBe(
      "bad.jsonl:1: turn 1 of column messages has no text: its content is null.",
    );
  });
});

it("options that contradict each other are refused", () => {
  const faults = (options: object) =>
    fileOptions
      .safeParse({ kind: "file", path: "a", ...options })
      .error!.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  expect(
    faults({ messages: { learn: "all", prompts: "each_user" }, target: "{a}", chat: false, tools: "t" }),
  ).toEqual([
    "messages: conversations need a chat template; set chat: true",
    "messages.learn: learns whole conversations, and prompts says where prompts end; give one of the two",
    "target: the conversation's own turns are learnt; give target, or messages.learn",
    "tools: only a chat template has a place for tools",
  ]);
});
