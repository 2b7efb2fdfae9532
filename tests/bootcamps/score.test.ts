/** InternBootcamp's verify_score: the worked examples of the method's card. */
import { describe, expect, it } from "vitest";
import { verifyScore } from "../../src/bootcamps/score.ts";
import { bootcampReward } from "../../src/rewards/bootcamp.ts";
import { completeInput } from "../../src/rewards/cases.ts";

const rules = { format_score: 0, short_penalty: true, short_threshold: 100, format_penalty: true };
const long = "a".repeat(120);
const sayIs = (right: string) => (answer: string) => answer === right;

describe("verify_score", () => {
  it("right and well formed: 1", () => {
    expect(verifyScore(`${long}</think>[answer]7[/answer]`, sayIs("7"), rules)).toMatchObject({
      value: 1,
      right: true,
    });
  });

  it("right but of 40 characters, or without </think>: 0", () => {
    const short = "aaaaaaaaa</think>[answer]      7[/answer]";
    expect(short.length).toBeLessThan(45);
    expect(verifyScore(short, sayIs("7"), rules).value).toBe(0);
    expect(verifyScore(`${long}[answer]7[/answer]`, sayIs("7"), rules).value).toBe(0);
  });

  it("wrong: format_score; a number of the verifier's: that number, 0 as well", () => {
    const text = `${long}</think>[answer]8[/answer]`;
    const some = { ...rules, format_score: 0.1 };
    expect(verifyScore(text, sayIs("7"), some).value).toBe(0.1);
    expect(verifyScore(text, () => 0.5, some)).toMatchObject({ value: 0.5, right: false });
    expect(verifyScore(text, () => 0, some).value).toBe(0);
    expect(verifyScore(text, () => 1, some)).toMatchObject({ value: 1, right: true });
  });

  it("no answer: 0; a verifier that throws: format_score", () => {
    const some = { ...rules, format_score: 0.1 };
    expect(verifyScore(`${long}</think>7`, sayIs("7"), some)).toMatchObject({ value: 0, answer: null });
    const broken = () => {
      throw new Error("out of order");
    };
    expect(verifyScore(`${long}</think>[answer]7[/answer]`, broken, some)).toMatchObject({
      value: 0.1,
      right: false,
      note: "the verifier failed: out of order",
    });
  });

  it("reads the last answer", () => {
    const text = `${long}</think>[answer]6[/answer] no, [answer] 7 [/answer]`;
    expect(verifyScore(text, sayIs("7"), rules).value).toBe(1);
    expect(verifyScore(`${long}</think>[answer]7[/answer] and so [/answer]`, sayIs("7"), rules).value).toBe(
      1,
    );
    expect(verifyScore(`${long}</think>[answer]7`, sayIs("7"), rules).value).toBe(0);
    expect(verifyScore(`${long}</think>7[/answer]`, sayIs("7"), rules).value).toBe(0);
  });
});

describe("the reward", () => {
  const score = (fields: Record<string, unknown>) =>
    bootcampReward(completeInput({ completion: "[answer]3[/answer]", fields }), {
      ...rules,
      short_penalty: false,
      format_penalty: false,
    });
  const identity = { words: ["apple", "plum"], letter: "p" };

  it("asks the row's bootcamp, the case as an object or as JSON", () => {
    expect(score({ data_source: "bootcamp/letters", identity })).toMatchObject({ value: 1, right: true });
    expect(score({ data_source: "bootcamp/letters", identity: JSON.stringify(identity) }).value).toBe(1);
    expect(score({ data_source: "bootcamp/letters", identity: { ...identity, letter: "a" } }).value).toBe(0);
  });

  it("a row of no bootcamp, or whose case is none, is an error and no score", () => {
    expect(() => score({ identity })).toThrow("data_source undefined names no bootcamp");
    expect(() => score({ data_source: "bootcamp/letter", identity })).toThrow("names no bootcamp");
    expect(() => score({ data_source: "bootcamp/letters", identity: { words: [] } })).toThrow(
      "letters: identity",
    );
  });
});
