/**
 * The data of configs/lookup.yaml: a few facts of one kind with a number each, a question about one of them, and its
 * number as the answer. No name, thing or place of the training rows is in the held-out ones, which ask for three
 * kinds of transfer: other names alone, topics that were never trained, and a fourth fact.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRng, type Rng } from "../src/lib/rng.ts";

type Part = "train" | "held";

interface Topic {
  name: string;
  /** What facts are told of. Topics without a training list are held out as a whole. */
  of: Partial<Record<Part, readonly string[]>>;
  /** A thing that all facts of a passage share. */
  with?: Record<Part, readonly string[]>;
  /** Numbers are drawn from low..high. */
  low: number;
  high: number;
  fact(of: string, number: number, thing: string): string;
  ask(of: string, thing: string): string;
}

export interface LookupRow {
  id: string;
  facts: string;
  question: string;
  answer: string;
  topic: string;
  /** The part of the data: train, new-names, new-topics or four-facts. */
  test: string;
}

const words = (text: string): string[] => text.split(" ");
const article = (noun: string): string => `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;

const people = {
  train: words("Maria Tom Aisha Kenji Olga Luis Priya Ben Sara Ivan Nora Pablo Grace Omar Lena Victor"),
  held: words("Hugo Fatima Chen Rosa Emil Zoe Marco Ingrid"),
};
const foods = {
  train: words("pear lemon melon cake pie sandwich salad pizza coffee soup burger cookie"),
  held: words("peach muffin pancake smoothie bagel waffle"),
};
const goods = {
  train: words("lamps chairs plates mugs pens pillows candles towels"),
  held: words("boxes spoons blankets baskets"),
};
const places = {
  train: words("library office gym kitchen studio shop lab bank"),
  held: words("chapel cinema museum clinic bakery"),
};
const cities = {
  train: words("Oslo Lima Paris Cairo Delhi Rome Dublin Tokyo Madrid Boston"),
  held: words("Vienna Seoul Athens Lisbon Quito"),
};

const topics: readonly Topic[] = [
  {
    name: "price",
    of: foods,
    low: 2,
    high: 30,
    fact: (food, number) => `${article(food)} costs ${number} dollars`,
    ask: (food) => `How much does ${article(food)} cost?`,
  },
  {
    name: "age",
    of: people,
    low: 18,
    high: 90,
    fact: (person, number) => `${person} is ${number} years old`,
    ask: (person) => `How old is ${person}?`,
  },
  {
    name: "order",
    of: people,
    with: goods,
    low: 2,
    high: 60,
    fact: (person, number, thing) => `${person} ordered ${number} ${thing}`,
    ask: (person, thing) => `How many ${thing} did ${person} order?`,
  },
  {
    name: "room",
    of: places,
    low: 2,
    high: 99,
    fact: (place, number) => `the ${place} is in room ${number}`,
    ask: (place) => `In which room is the ${place}?`,
  },
  {
    name: "bus",
    of: cities,
    low: 2,
    high: 99,
    fact: (city, number) => `bus ${number} goes to ${city}`,
    ask: (city) => `Which bus goes to ${city}?`,
  },
  {
    name: "weight",
    of: { held: words("dog cat goat rabbit sheep pony") },
    low: 3,
    high: 80,
    fact: (animal, number) => `the ${animal} weighs ${number} kilos`,
    ask: (animal) => `How much does the ${animal} weigh?`,
  },
  {
    name: "pages",
    of: { held: words("atlas novel diary cookbook dictionary guide") },
    low: 20,
    high: 99,
    fact: (book, number) => `the ${book} has ${number} pages`,
    ask: (book) => `How many pages does the ${book} have?`,
  },
  {
    name: "points",
    of: { held: words("red blue green yellow white black") },
    low: 2,
    high: 70,
    fact: (team, number) => `the ${team} team has ${number} points`,
    ask: (team) => `How many points does the ${team} team have?`,
  },
];
const known = topics.filter(({ of }) => of.train !== undefined);
const fresh = topics.filter(({ of }) => of.train === undefined);

interface Slice {
  test: string;
  part: Part;
  pool: readonly Topic[];
  /** Facts in a passage. */
  facts: number;
  rows: number;
}

const files: Record<string, readonly Slice[]> = {
  "lookup-train.jsonl": [{ test: "train", part: "train", pool: known, facts: 3, rows: 400 }],
  "lookup-held-out.jsonl": [
    { test: "new-names", part: "held", pool: known, facts: 3, rows: 70 },
    { test: "new-topics", part: "held", pool: fresh, facts: 3, rows: 40 },
    { test: "four-facts", part: "held", pool: known, facts: 4, rows: 40 },
  ],
};

/** `count` different ones of a list, in a drawn order. */
function some<T>(list: readonly T[], count: number, rng: Rng): T[] {
  return rng
    .permutation(list.length)
    .slice(0, count)
    .map((at) => list[at]!);
}

function passage(topic: Topic, { part, facts }: Slice, draw: Rng) {
  const told = some(topic.of[part]!, facts, draw.fork("whose"));
  const thing = topic.with === undefined ? "" : some(topic.with[part], 1, draw.fork("thing"))[0]!;
  const range = Array.from({ length: topic.high - topic.low + 1 }, (_, at) => topic.low + at);
  const numbers = some(range, facts, draw.fork("numbers"));
  const sentences = told.map((of, at) => topic.fact(of, numbers[at]!, thing));
  const text = `${sentences.slice(0, -1).join(", ")} and ${sentences.at(-1)}.`;
  const asked = draw.fork("asked").integer(facts, 0);
  return {
    facts: text[0]!.toUpperCase() + text.slice(1),
    question: topic.ask(told[asked]!, thing),
    answer: String(numbers[asked]),
    topic: topic.name,
  };
}

/** The topics in turn, no passage twice. */
function rowsOf(slice: Slice, rng: Rng): LookupRow[] {
  const rows: LookupRow[] = [];
  const seen = new Set<string>();
  for (let i = 0; rows.length < slice.rows; i++) {
    const row = passage(slice.pool[i % slice.pool.length]!, slice, rng.fork(slice.test, i));
    if (seen.has(row.facts)) continue;
    seen.add(row.facts);
    rows.push({ id: `${slice.test}-${rows.length}`, ...row, test: slice.test });
  }
  return rows;
}

/** Rows of each file of configs/data, by its name. */
export function lookupFiles(): Record<string, LookupRow[]> {
  const rng = createRng(20260105).fork("lookup");
  return Object.fromEntries(
    Object.entries(files).map(([name, slices]) => [name, slices.flatMap((slice) => rowsOf(slice, rng))]),
  );
}

/** @param root the project's folder */
export function main(root: string): void {
  for (const [name, rows] of Object.entries(lookupFiles())) {
    writeFileSync(
      join(root, "configs", "data", name),
      rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
    );
    console.log(`${rows.length} rows in ${name}`);
  }
}
