import { z } from "zod";
import { createRng } from "../lib/rng.ts";
import type { ChatMessage, ToolCall } from "../types.ts";
import { calculate } from "./calculate.ts";
import { defineEnvironment, type Environment } from "./define.ts";
import { common } from "./part-options.ts";

const options = z.strictObject({
  kind: z.literal("calculator"),
  largest: z.int().min(2).max(1_000_000).default(99).describe("largest number of a problem"),
  numbers: z.int().min(2).max(12).default(3).describe("numbers of a problem"),
  ...common,
});

const TOOL = {
  type: "function",
  function: {
    name: "calculator",
    description: "Works out an arithmetic expression.",
    parameters: {
      type: "object",
      properties: { expression: { type: "string", description: "such as (12 + 3) * 7" } },
      required: ["expression"],
    },
  },
};

/**
 * A sum of products to work out, with a calculator that may be called. A text without a call is the answer: reward 1 if its last
 * number is right. A call that cannot be carried out is answered with why.
 */
export const calculator = defineEnvironment({
  kind: "calculator",
  options,
  create({ largest, numbers }): Environment {
    let right = 0;
    return {
      reset(seed) {
        const rng = createRng(seed).fork("calculator");
        let expression = String(1 + rng.integer(largest, 0));
        for (let i = 1; i < numbers; i++) {
          expression += ` ${["+", "-", "*"][rng.fork("operator").integer(3, i)]} ${1 + rng.integer(largest, i)}`;
        }
        right = calculate(expression);
        return {
          messages: [{ role: "user", content: `What is ${expression}? End with the number.` }],
          tools: [TOOL],
        };
      },
      step({ text, toolCalls }) {
        if (toolCalls.length > 0) return { messages: toolCalls.map(answerOf), reward: 0, done: false };
        const last = text.match(/-?\d+(?:\.\d+)?/g)?.at(-1);
        const reward = last !== undefined && Math.abs(Number(last) - right) < 1e-6 ? 1 : 0;
        return { messages: [], reward, done: true };
      },
    };
  },
});

function answerOf({ name, arguments: given, error }: ToolCall): ChatMessage {
  const say = (content: string): ChatMessage => ({ role: "tool", content, extra: { name } });
  if (error !== undefined) return say(`error: ${error}`);
  if (name !== "calculator") return say(`error: there is no tool ${name}`);
  if (typeof given.expression !== "string") return say("error: expression must be a text");
  try {
    return say(String(calculate(given.expression)));
  } catch (fault) {
    return say(`error: ${(fault as Error).message}`);
  }
}
