import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { messagesOf } from "../../src/data/conversation.ts";
import { createTokenizer } from "../../src/policy/files/tokenizer.ts";
import { encodeConversation } from "../../src/rollouts/conversation.ts";
import { encodeExample, promptText } from "../../src/rollouts/encode.ts";
import type { ChatMessage, Prompt } from "../../src/types.ts";

interface Case {
  name: string;
  template: string;
  messages: Record<string, unknown>[];
  tools: unknown[] | null;
  kwargs: Record<string, unknown>;
  text: string;
  ids: number[];
  mask: number[];
  /** Of the conversation's first question. */
  prompt: string;
}

// tools/goldens/conversations.py: transformers' apply_chat_template
const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, "../golden/conversations.json"), "utf8"),
) as { tokenizer: object; cases: Case[] };

const place = { root: { folder: "/", followLinks: false }, path: "rows.jsonl", line: 1 };

const bytes = (value: object) => new TextEncoder().encode(JSON.stringify(value));

function tokenizerWith(template: string, variables: Record<string, unknown> = {}) {
  return createTokenizer(
    new Map([
      ["tokenizer.json", bytes(golden.tokenizer)],
      ["tokenizer_config.json", bytes({ chat_template: template, eos_token: "<|im_end|>" })],
    ]),
    { path: "golden", templateVariables: variables },
  );
}

function promptOf(
  messages: readonly ChatMessage[],
  learn: "all" | "last",
  tools: unknown[] | null = null,
): Prompt {
  const given = tools === null ? {} : { tools };
  const input = { kind: "chat", messages: messages.slice(0, -1), ...given } as const;
  return { id: "p", input, answer: "", slices: {}, fields: {}, conversation: { messages, learn } };
}

const withoutTags = (template: string) =>
  template.replace(/\{%(-?) (end)?generation (-?)%\}/g, "{%$1 set _ = 1 $3%}");
const masked = ({ ids, learnt }: { ids: number[]; learnt: boolean[] }) => ids.filter((_, i) => learnt[i]);

describe.each(golden.cases)(
  "$name",
  ({ template, messages: raw, tools, kwargs, text, ids, mask, prompt }) => {
    const messages = messagesOf({ messages: raw }, "messages", place);
    const tokenizer = tokenizerWith(template, kwargs);

    it("has transformers' text, ids and mask", () => {
      const given = tools === null ? {} : { tools };
      expect(tokenizer.renderChat(messages, { addGenerationPrompt: false, ...given })).toBe(text);
      const encoded = encodeConversation(tokenizer, promptOf(messages, "all", tools));
      expect(encoded.ids).toEqual(ids);
      expect(encoded.learnt.map(Number)).toEqual(mask);
    });

    it("has transformers' prompt", () => {
      const asked = messages.slice(0, messages[0]!.role === "user" ? 1 : 2);
      const input = { kind: "chat", messages: asked, ...(tools === null ? {} : { tools }) } as const;
      expect(promptText(tokenizer, { id: "p", input, answer: "", slices: {}, fields: {} })).toBe(prompt);
    });

    it("learns the last turn alone where that is asked", () => {
      const last = encodeConversation(tokenizer, promptOf(messages, "last", tools));
      const from = mask.lastIndexOf(0, mask.lastIndexOf(1)) + 1;
      expect(last.learnt.map(Number)).toEqual(mask.map((one, i) => (i < from ? 0 : one)));
    });
  },
);

describe("a template without tags", () => {
  const [plain, crossing, , calls] = golden.cases as [Case, Case, Case, Case];

  it("learns what the same template with tags learns, found by the beginnings of the conversation", () => {
    for (const { template, messages, tools, ids, mask } of [plain, calls]) {
      const tokenizer = tokenizerWith(withoutTags(template));
      const encoded = encodeConversation(
        tokenizer,
        promptOf(messagesOf({ messages }, "messages", place), "all", tools),
      );
      expect(encoded.ids).toEqual(ids);
      expect(encoded.learnt.map(Number)).toEqual(mask);
    }
  });

  it("refuses a turn whose first token joins the template's text", () => {
    const prompt = promptOf(messagesOf({ messages: crossing.messages }, "messages", place), "all");
    expect(() => encodeConversation(tokenizerWith(withoutTags(crossing.template)), prompt)).toThrow(
      "the first token of turn 2 (assistant) joins the template's text before it",
    );
  });

  it("refuses one that writes earlier turns otherwise, unless only the last is learnt", () => {
    // as Qwen3's, which leaves thoughts out of all turns but the last
    const template = withoutTags(plain.template).replace(
      "{{ message.content }}",
      "{{ message.content if loop.last else message.content.split('</think>')[-1] }}",
    );
    const messages = messagesOf(
      {
        messages: plain.messages.map((one) =>
          one["role"] === "assistant" ? { ...one, content: `<think>so</think>${one["content"]}` } : one,
        ),
      },
      "messages",
      place,
    );
    const tokenizer = tokenizerWith(template);
    expect(() => encodeConversation(tokenizer, promptOf(messages, "all"))).toThrow(
      "the chat template writes turn 3 (assistant) otherwise when the conversation goes on than when it is answered; set messages.learn: last",
    );
    const last = encodeConversation(tokenizer, promptOf(messages, "last"));
    expect(tokenizer.decode(masked(last))).toBe("<think>so</think>4\n\nünï<|im_end|>");
  });

  it("refuses one that drops a turn", () => {
    const template = plain.template.replace("{%- else %}", "{%- elif message.role == 'user' %}");
    expect(() =>
      encodeConversation(
        tokenizerWith(template),
        promptOf(messagesOf({ messages: plain.messages }, "messages", place), "all"),
      ),
    ).toThrow(
      "the chat template drops turn 1 (system); leave it out, or name another template by model.chat_template",
    );
  });
});

it("an example begins before the first token that is learnt and ends with the last", () => {
  const { template, messages, ids, mask } = golden.cases[0]!;
  const { prompt, completion, learnt } = encodeExample(
    tokenizerWith(template),
    promptOf(messagesOf({ messages }, "messages", place), "all"),
    1000,
  );
  const first = mask.indexOf(1);
  expect([...prompt]).toEqual(ids.slice(0, first));
  expect(completion).toEqual(ids.slice(first, mask.lastIndexOf(1) + 1));
  expect(learnt!.map(Number)).toEqual(mask.slice(first, mask.lastIndexOf(1) + 1));
});
