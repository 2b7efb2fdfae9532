/** The data of configs/lookup.yaml: made by its tool, told apart, and paid for its content. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { type LookupRow, lookupFiles } from "../../tools/lookup-data.ts";
import { scoreCompletions } from "../helpers/score.ts";

const read = (name: string): LookupRow[] =>
  readFileSync(`configs/data/${name}`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LookupRow);
const train = read("lookup-train.jsonl");
const heldOut = read("lookup-held-out.jsonl");
const numbers = (text: string): string[] => text.match(/\d+/g) ?? [];

it("is what node tools/lookup-data.mjs writes", () => {
  expect(lookupFiles()).toEqual({ "lookup-train.jsonl": train, "lookup-held-out.jsonl": heldOut });
  expect(train).toHaveLength(400);
  expect(heldOut).toHaveLength(150);
});

it("asks for one of three or four different numbers, wherever it stands", () => {
  const places = new Map<number, number>();
  for (const { facts, question, answer, test } of [...train, ...heldOut]) {
    const told = numbers(facts);
    expect(new Set(told).size).toBe(told.length);
    expect(told).toHaveLength(test === "four-facts" ? 4 : 3);
    expect(numbers(question)).toEqual([]);
    places.set(told.indexOf(answer), (places.get(told.indexOf(answer)) ?? 0) + 1);
  }
  expect([...places.keys()].sort()).toEqual([0, 1, 2, 3]);
  // an answer that is always the same fact's is right in about a third
  for (const place of [0, 1, 2]) expect(places.get(place)! / 550).toBeLessThan(0.4);
});

it("holds out names, topics and a fourth fact, not rows alone", () => {
  // what tells the facts of a passage apart: the words that only one of them has
  const names = (rows: readonly LookupRow[]) =>
    new Set(
      rows.flatMap(({ facts }) => {
        const parts = facts
          .toLowerCase()
          .split(/, | and |\./)
          .filter(Boolean)
          .map((part) => part.split(" "));
        return parts.flatMap((part) =>
          part.filter(
            (word) => !/\d/.test(word) && parts.filter((other) => other.includes(word)).length === 1,
          ),
        );
      }),
    );
  const trained = names(train);
  expect(trained.has("maria") && trained.has("oslo") && trained.has("library")).toBe(true);
  expect([...names(heldOut)].filter((name) => trained.has(name) && !["a", "an"].includes(name))).toEqual([]);
  const topics = (rows: readonly LookupRow[]) => [...new Set(rows.map(({ topic }) => topic))].sort();
  const fresh = heldOut.filter(({ test }) => test === "new-topics");
  expect(topics(train)).toEqual(["age", "bus", "order", "price", "room"]);
  expect(topics(fresh)).toEqual(["pages", "points", "weight"]);
});

it("pays for the number that was asked for, not for a number, nor for all of them", async () => {
  const { rewards } = loadRecipe("configs/lookup.yaml").recipe;
  const said = async (completion: (row: LookupRow) => string, finishReason: "eos" | "length" = "eos") => {
    const inputs = train.map((row) =>
      completeInput({ completion: completion(row), answer: row.answer, finishReason }),
    );
    return (await scoreCompletions(inputs, rewards, { maxErrorShare: 0 })).map(({ reward }) => reward);
  };
  const share = (values: readonly number[]) => values.filter((value) => value === 1).length / values.length;
  expect(share(await said(({ answer }) => `It is ${answer}.`))).toBe(1);
  const other = ({ facts, answer }: LookupRow) => numbers(facts).find((number) => number !== answer)!;
  expect(share(await said((row) => `It is ${other(row)}.`))).toBe(0);
  expect(share(await said((row) => `${row.answer} or ${other(row)}.`))).toBe(0);
  expect(share(await said(() => ""))).toBe(0);
  expect(share(await said(({ facts }) => facts))).toBeLessThan(0.4);
  expect(new Set(await said(({ answer }) => `It is ${answer}`, "length"))).toEqual(new Set([0.8]));
});
