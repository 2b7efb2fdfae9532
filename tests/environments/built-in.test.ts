import { describe, expect, it } from "vitest";
import { calculate } from "../../src/environments/calculate.ts";
import { bestGuessing } from "../../src/environments/guess.ts";
import { openEnvironment } from "../../src/environments/open.ts";
import { environmentOptions } from "../../src/environments/options.ts";
import { toolCallsOf } from "../../src/environments/tool-calls.ts";
import type { EnvironmentReply } from "../../src/types.ts";

function value<Value>(reply: EnvironmentReply<Value>): Value {
  if (reply.kind !== "ok") throw new Error(reply.message);
  return reply.value;
}

const act = (text: string) => ({ text, toolCalls: toolCallsOf(text) });

describe("tool calls", () => {
  it.each([
    [
      'a <tool_call>\n{"name": "f", "arguments": {"x": [1, "</b>"]}}\n</tool_call> b',
      [{ name: "f", arguments: { x: [1, "</b>"] } }],
    ],
    [
      '<tool_call>{"name":"f","parameters":{"x":1}}</tool_call><tool_call>{"name":"g"}</tool_call>',
      [
        { name: "f", arguments: { x: 1 } },
        { name: "g", arguments: {} },
      ],
    ],
    [
      "<tool_call>\n<function=f>\n<parameter=x>\n1 < 2\n</parameter>\n<parameter=y>\n\n</parameter>\n</function>\n</tool_call>",
      [{ name: "f", arguments: { x: "1 < 2", y: "" } }],
    ],
    ["no call", []],
    ["</tool_call>", []],
  ])("%j", (text, calls) => {
    expect(toolCallsOf(text)).toEqual(calls);
  });

  it.each([
    ["<tool_call>{", /is not closed/],
    ["<tool_call>{'name': 1}</tool_call>", /not JSON/],
    ["<tool_call>[1]</tool_call>", /no name/],
    ['<tool_call>{"name": "f", "arguments": "x"}</tool_call>', /arguments are no object/],
    ["<tool_call><function=f><parameter=x>1</function></tool_call>", /<parameter=x> is not closed/],
    ["<tool_call><function=f></tool_call>", /<function=name> is not closed/],
  ])("that are malformed say why: %j", (text, error) => {
    expect(toolCallsOf(text)).toEqual([expect.objectContaining({ error: expect.stringMatching(error) })]);
  });
});

describe("the calculator", () => {
  it("works out expressions, and says what it cannot read", () => {
    expect(calculate("1 + 2 * 3 - -4 / (5 - 3)")).toBe(9);
    expect(calculate("2.5 * 4")).toBe(10);
    for (const wrong of ["", "1 +", "(1", "1 2", "process.exit()", "1 / 0", `${"(".repeat(1001)}`]) {
      expect(() => calculate(wrong), wrong).toThrow();
    }
  });

  it("answers calls, malformed ones too, and rewards the right last number", async () => {
    const host = await openEnvironment(environmentOptions.parse({ kind: "calculator" }));
    const { messages, tools } = value(await host.start("a", 5, {}));
    expect(tools).toHaveLength(1);
    const asked = /What is (.+)\?/.exec(messages[0]!.content as string)![1]!;
    const call = (body: string) => act(`<tool_call>${body}</tool_call>`);
    const said = value(
      await host.step("a", call(JSON.stringify({ name: "calculator", arguments: { expression: asked } }))),
    );
    expect(said).toMatchObject({ reward: 0, done: false });
    expect(said.messages).toEqual([
      { role: "tool", content: String(calculate(asked)), extra: { name: "calculator" } },
    ]);
    for (const [body, answer] of [
      ["{", /^error: not JSON/],
      ['{"name": "search"}', /^error: there is no tool search/],
      ['{"name": "calculator", "arguments": {"expression": "2 +"}}', /^error: the expression ends too soon/],
      ['{"name": "calculator"}', /^error: expression must be a text/],
    ] as const) {
      expect(value(await host.step("a", call(body))).messages[0]!.content).toMatch(answer);
    }
    expect(value(await host.step("a", act(`It is ${calculate(asked)}.`)))).toMatchObject({
      reward: 1,
      done: true,
    });
    value(await host.start("b", 5, {}));
    expect(value(await host.step("b", act("It is 0.5.")))).toMatchObject({ reward: 0, done: true });
  });
});

describe("guess", () => {
  it.each([
    [7, 3],
    [7, 2],
    [100, 5],
  ])("%d numbers in %d turns: halving finds what the formula says", async (numbers, turns) => {
    const host = await openEnvironment(environmentOptions.parse({ kind: "guess", numbers }));
    const found = new Set<number>();
    const missed = new Set<number>();
    for (let seed = 0; seed < 40 * numbers; seed++) {
      value(await host.start("a", seed, {}));
      let [low, high] = [1, numbers];
      let guess = 0;
      for (let turn = 0; turn < turns; turn++) {
        // the middle of what the turns left can still tell apart
        const most = 2 ** (turns - turn - 1);
        guess = Math.min(low + most - 1, Math.floor((low + high + 1) / 2));
        const { done, messages } = value(await host.step("a", act(String(guess))));
        if (done) break;
        if (messages[0]!.content === "higher") low = guess + 1;
        else high = guess - 1;
        guess = 0;
      }
      if (guess > 0) found.add(guess);
      else missed.add(seed);
    }
    expect(found.size / numbers).toBeCloseTo(bestGuessing(numbers, turns), 9);
    expect(missed.size > 0).toBe(bestGuessing(numbers, turns) < 1);
    await host.close();
  });

  it("has the same number for the same seed, and a word for what is none", async () => {
    const host = await openEnvironment(environmentOptions.parse({ kind: "guess", numbers: 7 }));
    const play = async (seed: number) => {
      value(await host.start("a", seed, {}));
      const said = [];
      for (let guess = 1; guess <= 7; guess++)
        said.push(value(await host.step("a", act(` ${guess}\n`))).done);
      return said.indexOf(true);
    };
    expect(await play(12)).toBe(await play(12));
    value(await host.start("b", 1, {}));
    for (const text of ["", "seven", "0", "8", "1 2", "9999999999"]) {
      expect(value(await host.step("b", act(text))).messages[0]!.content).toBe("invalid");
    }
  });
});
