import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  compileChatTemplate,
  findChatTemplate,
  formatDate,
} from "../../../src/policy/files/chat-template.ts";
import type { ChatMessage } from "../../../src/types.ts";

interface Case {
  name: string;
  template: string;
  messages: ChatMessage[];
  variables: { add_generation_prompt: boolean; enable_thinking?: boolean };
  text: string;
}
const golden = JSON.parse(readFileSync("tests/golden/files/tokenizers.json", "utf8")).templates as Case[];
const CONSTANTS = { bos_token: "<s>", eos_token: "<|im_end|>" };
const user = (content: string): ChatMessage => ({ role: "user", content });

test("templates render as in transformers", () => {
  expect(golden.length).toBe(27);
  for (const { name, template, messages, variables, text } of golden) {
    const { add_generation_prompt: addGenerationPrompt, ...rest } = variables;
    const compiled = compileChatTemplate(template, "model", CONSTANTS);
    expect(compiled.render(messages, { addGenerationPrompt, variables: rest }), name).toBe(text);
  }
});

test("strip with characters strips those only", () => {
  const render = (expression: string): string =>
    compileChatTemplate(`{{ ${expression} }}`, "m").render([], { addGenerationPrompt: false });
  expect(render('"\\n  ab \\n".strip("\\n")')).toBe("  ab ");
  expect(render('"  ab".lstrip("\\n")')).toBe("  ab");
  expect(render('"xyab yx".rstrip("xy")')).toBe("xyab ");
  expect(render('"  ab ".strip()')).toBe("ab");
  expect(render('"\\n a".lstrip("\\n").lstrip(" ")')).toBe("a");
});

test("the date is pinned", () => {
  const template = compileChatTemplate('{{ strftime_now("%d %b %Y") }}', "m");
  expect(template.render([], { addGenerationPrompt: false })).toBe("26 Jul 2024");
  const other = compileChatTemplate('{{ strftime_now("%Y-%m-%d %A") }}', "m", {}, "2026-01-05");
  expect(other.render([], { addGenerationPrompt: false })).toBe("2026-01-05 Monday");
  expect(formatDate("2024-02-09", "%-d/%-m/%y %B 100%%")).toBe("9/2/24 February 100%");
  expect(() => formatDate("2024-02-09", "%Q")).toThrow(/%Q is not supported/);
});

test("a template renders twice, and messages do not leak", () => {
  const template = compileChatTemplate("{% set n = messages | length %}{{ n }}{{ x is defined }}", "m");
  expect(template.render([user("a")], { addGenerationPrompt: true, variables: { x: 1 } })).toBe("1true");
  expect(template.render([user("a"), user("b")], { addGenerationPrompt: true })).toBe("2false");
});

test("what a template raises, and what it cannot do, are errors that name the model", () => {
  const raising = compileChatTemplate('{{ raise_exception("roles must alternate") }}', "dir");
  expect(() => raising.render([], { addGenerationPrompt: false })).toThrow(
    /dir: chat template refuses these messages: roles must alternate/,
  );
  expect(() => compileChatTemplate("{% if %}", "dir")).toThrow(/dir: chat template cannot be read/);
  const unknown = compileChatTemplate("{{ 1 | nonsense }}", "dir");
  expect(() => unknown.render([], { addGenerationPrompt: false })).toThrow(
    /dir: chat template cannot render/,
  );
});

test("messages are checked before they are rendered", () => {
  const template = compileChatTemplate("{{ messages[0].content }}", "dir");
  const render = (message: unknown) => () =>
    template.render([message as ChatMessage], { addGenerationPrompt: false });
  expect(render({ role: "tool", content: "x" })).toThrow(
    /dir: message 0 has role "tool"; use system, user or assistant/,
  );
  expect(render({ role: "user" })).toThrow(/dir: message 0 \(user\) has no content/);
  expect(render({ role: "user", content: [{ type: "image", path: "a.png" }] })).toThrow(
    /holds an image, but/,
  );
  const parts = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  expect(render({ role: "user", content: parts })()).toBe("ab");
});

test("where the template is found", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const jinja = new Map([["chat_template.jinja", bytes("J")]]);
  expect(findChatTemplate(jinja, { chat_template: "K" }, "m")).toBe("J");
  expect(findChatTemplate(new Map(), { chat_template: "K" }, "m")).toBe("K");
  const list = [
    { name: "tool_use", template: "T" },
    { name: "default", template: "D" },
  ];
  expect(findChatTemplate(new Map(), { chat_template: list }, "m")).toBe("D");
  const json = new Map([["chat_template.json", bytes('{"chat_template": "C"}')]]);
  expect(findChatTemplate(json, {}, "m")).toBe("C");
  expect(findChatTemplate(new Map(), {}, "m")).toBeNull();
});
