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
  expect(template.render([user("a")], { addGenerationPrompt: true, variables: { x: 1 } })).toBe("1True");
  expect(template.render([user("a"), user("b")], { addGenerationPrompt: true })).toBe("2False");
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
  expect(render({ role: "bot", content: "x" })).toThrow(
    /dir: message 0 has role "bot"; use system, user, assistant or tool/,
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

test("a list of templates without a default is refused, and says what there is", () => {
  const list = [
    { name: "tool_use", template: "T" },
    { name: "rag", template: "R" },
  ];
  expect(() => findChatTemplate(new Map(), { chat_template: list }, "m")).toThrow(
    /m: tokenizer_config.json's chat_template is a list without a template called "default" \(it has "tool_use", "rag"\): put the one to use into chat_template.jinja/,
  );
});

const render = (template: string, messages: readonly ChatMessage[] = [user("Hi")]): string =>
  compileChatTemplate(template, "m", CONSTANTS).render(messages, { addGenerationPrompt: false });

test("line ends of a template become \\n before anything else; those of messages stay", () => {
  const crlf =
    "{%- for m in messages %}\r\n{{- '<|im_start|>' + m.role }}\r\n{{ m.content + '<|im_end|>' }}\r\n{%- endfor %}\r\n<|im_start|>assistant\r\n";
  expect(render(crlf, [user("hi")])).toBe("<|im_start|>user\nhi<|im_end|><|im_start|>assistant");
  expect(render("a\rb{{ messages[0].content }}", [user("x\r\ny")])).toBe("a\nbx\r\ny");
});

test.each([
  ["{{ '' != false }}", "True"],
  ["{{ '' == 0 }}", "False"],
  ["{{ [1] == [1] }}", "True"],
  ["{{ {'a': [1]} == {'a': [true]} }}", "True"],
  ["{{ none == undefinedx }}", "False"],
  ["{{ 1 == 1.0 }}{{ true == 1 }}{{ '1' == 1 }}", "TrueTrueFalse"],
  ["{{ [1] in [[1]] }}{{ none in [none] }}", "TrueTrue"],
  ["{{ '\ud83d\udc4d'|length }}{{ '\ud83d\udc4db'[1] }}", "1b"],
  ["{{ ['a', none, true, \"it's\"] }}", `['a', None, True, "it's"]`],
  ["{{ none }}{{ ['\u0085'] }}", "None['\\x85']"],
  ["{{ 'hELLO wORLD'|capitalize }}", "Hello world"],
  ["{{ '\u0085 a\ufeff'.strip() }}", "a\ufeff"],
  [
    "{% for i in range(3) %}{% if loop.first %}{% set v = 'x' %}{% endif %}{{ i }}{{ v }}{% endfor %}",
    "0x12",
  ],
  ["{% for i in range(3) %}{{ i }}{% if i == 1 %}{% break %}{% endif %}-{% endfor %}", "0-1"],
  ["{{ -3 % 5 }}{{ [1, 'a']|join('+') }}", "21+a"],
  ["{{ messages|selectattr('role', 'equalto', 'user')|list|length }}", "1"],
  ["{% if tools is not none %}tools{% endif %}", ""],
])("%s is as in jinja2", (template, text) => {
  expect(render(template)).toBe(text);
});

test("Llama 2's template sees an empty system message as jinja2 does", () => {
  const template =
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}" +
    "{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% endfor %}";
  expect(render(template, [{ role: "system", content: "" }, user("x")])).toBe(
    "<s>[INST] <<SYS>>\n\n<</SYS>>\n\nx [/INST]",
  );
});

test("what Python would not do is an error, and nothing runs without an end", () => {
  const failing = (template: string) => () => render(template);
  expect(failing("{{ nothing.content }}")).toThrow(/nothing is undefined, and its content is read/);
  expect(failing("{{ 'a' + 1 }}")).toThrow(/"\+" between StringValue and IntegerValue/);
  expect(failing("{% for i in range(10**9) %}{% endfor %}")).toThrow(/more than 100,000 numbers/);
  expect(
    failing(
      "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    ),
  ).toThrow(/more than 2,000,000 operations/);
  expect(
    failing(
      "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ),
  ).toThrow(/more than 50,000,000 characters/);
  expect(failing("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")).toThrow(/cannot render/);
  expect(() => compileChatTemplate("x".repeat(1_000_001), "m")).toThrow(
    /1000001 characters; at most 1000000/,
  );
});
