import { describe, expect, it } from "vitest";
import { itemsSource } from "../../src/data/items.ts";
import { itemsOptions } from "../../src/data/items-options.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import {
  contradiction,
  contradictionReward,
  summariseConsistency,
  thoughtAndAnswer,
} from "../../src/rewards/contradiction.ts";

const options = contradiction.options.parse({ kind: "contradiction" });
const choices = ["cat", "catfish", "lynx"];
const verdict = (completion: string, promptText = "") =>
  thoughtAndAnswer(completeInput({ completion, promptText, fields: { choices } }), options);

describe("thought against answer", () => {
  it("reads the candidate with most evidence, whole words, in any case", () => {
    expect(verdict("<think>A Lynx, not a cat; lynx!</think><answer>cat</answer>")).toEqual({
      thought: ["lynx"],
      answer: "cat",
    });
    expect(verdict("<think>catfish</think><answer> CATFISH </answer>")).toEqual({
      thought: ["catfish"],
      answer: "catfish",
    });
    expect(verdict("<think>bobcat, lynx</think><answer>lynx</answer>")!.thought).toEqual(["lynx"]);
    expect(verdict("<think>cat or lynx</think><answer>lynx</answer>")!.thought).toEqual(["cat", "lynx"]);
  });

  it("reads an unclosed block up to the answer, and one that the prompt opened", () => {
    expect(verdict("<think>lynx <answer>cat</answer>")!.thought).toEqual(["lynx"]);
    expect(verdict("lynx</think><answer>cat</answer>", "Q <think>\n")!.thought).toEqual(["lynx"]);
  });

  it("says nothing where there is nothing to compare", () => {
    const cases = [
      "lynx",
      "<answer>cat</answer>",
      "<think>lynx</think>",
      "<think>fur</think><answer>cat</answer>",
    ];
    for (const completion of [...cases, "<think>lynx</think><answer>dog</answer>"]) {
      expect([completion, verdict(completion)]).toEqual([completion, null]);
    }
    const nothing = completeInput({ completion: "<think>lynx</think><answer>cat</answer>" });
    expect(contradictionReward(nothing, options)).toMatchObject({ value: 0, note: "nothing to compare" });
  });

  it("counts inconsistent outputs, and which side was right in them", () => {
    const row = (thought: string, answer: string, gold: string) =>
      completeInput({
        completion: `<think>${thought}</think><answer>${answer}</answer>`,
        answer: gold,
        fields: { choices },
      });
    const rows = [
      row("lynx", "lynx", "cat"),
      row("lynx", "cat", "cat"),
      row("lynx", "cat", "lynx"),
      row("cat lynx", "catfish", "cat"),
      row("fur", "cat", "cat"),
    ];
    expect(summariseConsistency(rows, options)).toEqual({
      compared: 4,
      inconsistent: 3,
      thoughtAccuracy: (0 + 1 + 0.5) / 3,
      answerAccuracy: 1 / 3,
    });
    expect(summariseConsistency([], options).thoughtAccuracy).toBeNull();
  });

  it("finds none in the laboratory's own thoughts, whose answers fit what they restate", () => {
    const source = itemsSource(itemsOptions.parse({ kind: "items", use: "pretraining", mode: "think" }), 1);
    const inputs = Array.from({ length: 300 }, (_, i) => {
      const { target, answer, fields } = source.at(i);
      return completeInput({ completion: target!, answer, fields });
    });
    const { compared, inconsistent } = summariseConsistency(inputs, options);
    expect(compared).toBeGreaterThan(250);
    expect(inconsistent).toBe(0);
  });
});
