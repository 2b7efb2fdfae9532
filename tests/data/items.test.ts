import { describe, expect, it } from "vitest";
import { drawGlimpses, fitOf, itemsSource } from "../../src/data/items.ts";
import { itemsOptions } from "../../src/data/items-options.ts";
import { ATTRIBUTES, type ItemClass, itemsVocabulary, itemsWorld } from "../../src/data/items-world.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { Prompt } from "../../src/types.ts";

const source = (options: object, seed = 1) =>
  itemsSource(itemsOptions.parse({ kind: "items", ...options }), seed);
const all = (options: object, seed = 1): Prompt[] => {
  const prompts = source(options, seed);
  return Array.from({ length: prompts.size! }, (_, i) => prompts.at(i));
};
const text = ({ input }: Prompt): string => (input.kind === "text" ? input.text : "");
const world = itemsWorld();
const byName = new Map(world.classes.map((one) => [one.name, one]));
const glimpsesOf = (words: string) =>
  words.split(" ").map((word) => ({ attribute: ATTRIBUTES.indexOf(word[0] as "a"), value: Number(word[1]) }));

describe("the world", () => {
  it("has 64 classes of 8 genera and 8 species, any two of which differ in two places or more", () => {
    expect(world.classes).toHaveLength(64);
    const codes = (from: number, key: "genus" | "species") =>
      new Map(world.classes.map((one) => [one[key], one.values.slice(from, from + 3)]));
    for (const set of [codes(0, "genus"), codes(3, "species")]) {
      expect(set.size).toBe(8);
      for (const [a, left] of set) {
        for (const [b, right] of set) {
          if (a < b) expect(left.filter((v, i) => v !== right[i]).length).toBeGreaterThanOrEqual(2);
        }
      }
    }
  });

  it("cuts three datasets of 8 base and 8 new classes, none in two", () => {
    const names = world.datasets.flatMap(({ base, fresh }) => [...base, ...fresh]).map(({ name }) => name);
    expect(world.datasets.map(({ base, fresh }) => [base.length, fresh.length])).toEqual([
      [8, 8],
      [8, 8],
      [8, 8],
    ]);
    expect(new Set(names).size).toBe(48);
  });

  it("speaks 64 words, and prompts and targets use no other", () => {
    const words = itemsVocabulary();
    expect(new Set(words).size).toBe(64);
    const prompts = source({ use: "pretraining", mode: "mixed" });
    for (let i = 0; i < 300; i++) {
      const prompt = prompts.at(i);
      for (const word of `${text(prompt)} ${prompt.target}`.split(" ")) expect(words).toContain(word);
    }
  });
});

describe("an item", () => {
  it("shows 9.6 glimpses, a fifth of them wrong, and its class to a reader that knows the codes", () => {
    const prompts = all({ use: "test", items_per_cell: 1000 }).slice(0, 1000);
    const seen = prompts.map((prompt) => glimpsesOf(text(prompt).split(" | ")[0]!));
    const count = seen.reduce((sum, one) => sum + one.length, 0);
    expect(count / 1000).toBeCloseTo(9.6, 0);
    const right = prompts.reduce((sum, { answer }, i) => sum + fitOf(seen[i]!, byName.get(answer)!), 0);
    expect(right / count).toBeCloseTo(0.75 + 0.25 / 6, 1);
    const best = prompts.filter((prompt, i) => {
      const candidates = (prompt.fields["choices"] as string[]).map((name) => byName.get(name)!);
      const top = Math.max(...candidates.map((one) => fitOf(seen[i]!, one)));
      const winners = candidates.filter((one) => fitOf(seen[i]!, one) === top);
      return winners.length === 1 && winners[0]!.name === prompt.answer;
    });
    expect(best.length / 1000).toBeGreaterThan(0.93);
    expect(best.length / 1000).toBeLessThan(0.99);
  });

  it("shows nothing when unreadable", () => {
    const item = world.classes[0] as ItemClass;
    const seen = Array.from({ length: 400 }, (_, i) =>
      drawGlimpses(item, false, createRng(1).fork(i)),
    ).flat();
    expect(fitOf(seen, item) / seen.length).toBeCloseTo(1 / 6, 1);
  });
});

describe("pretraining", () => {
  const prompts = source({ use: "pretraining", mode: "mixed" });
  const drawn = Array.from({ length: 4000 }, (_, i) => prompts.at(i));
  const share = (list: readonly Prompt[], test: (prompt: Prompt) => boolean) =>
    list.filter(test).length / list.length;
  const thinking = drawn.filter((prompt) => text(prompt).endsWith("[think]"));
  const direct = drawn.filter((prompt) => text(prompt).endsWith("[direct]"));

  it("is half thinking, half direct, over lists of 4 to 8", () => {
    expect(thinking.length + direct.length).toBe(4000);
    expect(thinking.length / 4000).toBeCloseTo(0.5, 1);
    const sizes = new Set(drawn.map(({ fields }) => (fields["choices"] as string[]).length));
    expect([...sizes].sort()).toEqual([4, 5, 6, 7, 8]);
    const genera = (prompt: Prompt) =>
      new Set((prompt.fields["choices"] as string[]).map((name) => name.slice(0, 2)));
    const eights = drawn.filter(({ fields }) => (fields["choices"] as string[]).length === 8);
    // eight classes of one block have 4 genera at most; of all 64, chance alone gives that in about a tenth
    const few = share(eights, (prompt) => genera(prompt).size <= 4);
    expect(few).toBeGreaterThan(0.48);
    expect(few).toBeLessThan(0.62);
  });

  it("is wrong as often as it should be", () => {
    const label = (prompt: Prompt) => prompt.target!.replace("its ", "");
    expect(share(direct, (p) => p.target!.startsWith("its "))).toBeCloseTo(0.15, 1);
    // a replaced label is the right one again in 1 of 4 to 8 draws
    expect(share(direct, (p) => label(p) !== p.answer)).toBeCloseTo(0.15 * (1 - 1 / 5.8), 1);
    expect(share(thinking, (p) => !p.target!.includes("</think>"))).toBeCloseTo(0.06, 1);
    expect(share(thinking, (p) => !p.target!.includes("<answer>"))).toBeCloseTo(0.06, 1);
    const clean = source({
      use: "pretraining",
      mode: "direct",
      imperfections: { wrong_label: 0, preamble: 0 },
    });
    for (let i = 0; i < 50; i++) expect(clean.at(i).target).toBe(clean.at(i).answer);
  });

  it("restates 2 to 6 attributes that were seen, once each, and answers by them", () => {
    const lengths = new Map<number, number>();
    for (const prompt of thinking) {
      const seen = text(prompt).split(" | ")[0]!.split(" ");
      const words = prompt.target!.split(" ").filter((word) => /^[a-f]\d$/.test(word));
      lengths.set(words.length, (lengths.get(words.length) ?? 0) + 1);
      for (const word of words) expect(seen).toContain(word);
      expect(new Set(words.map((word) => word[0])).size).toBe(words.length);
      const answer = byName.get(/G\d s\d/.exec(prompt.target!)![0])!;
      const restated = glimpsesOf(words.join(" "));
      const candidates = (prompt.fields["choices"] as string[]).map((name) => byName.get(name)!);
      expect(fitOf(restated, answer)).toBe(Math.max(...candidates.map((one) => fitOf(restated, one))));
    }
    expect([...lengths.keys()].sort()).toEqual([2, 3, 4, 5, 6]);
  });

  it("answers first when asked to, right in 87%, and gives reasons that it saw and the answer ignores", () => {
    const first = source({ use: "pretraining", mode: "answer_first" });
    const samples = Array.from({ length: 1500 }, (_, i) => first.at(i));
    const pattern = /^<answer> (G\d s\d) <\/answer> <think> ((?:[a-f]\d ?)+)<\/think>$/;
    const whole = samples.flatMap((prompt) => {
      const found = pattern.exec(prompt.target!);
      return found === null ? [] : [{ prompt, name: found[1]!, reason: found[2]!.trim() }];
    });
    // .94 have their end of thought, .94 their answer tags
    expect(whole.length / 1500).toBeCloseTo(0.94 ** 2, 1);
    expect(samples.every((prompt) => text(prompt).endsWith("[think]"))).toBe(true);
    // .85, and a candidate drawn for the others is right 1 time in 6
    const right = whole.filter(({ prompt, name }) => name === prompt.answer).length / whole.length;
    expect(right).toBeGreaterThan(0.85);
    expect(right).toBeLessThan(0.9);
    for (const { prompt, reason } of whole) {
      const seen = text(prompt).split(" | ")[0]!.split(" ");
      expect(reason.split(" ").every((word) => seen.includes(word))).toBe(true);
      expect(new Set(reason.split(" ").map((word) => word[0])).size).toBe(reason.split(" ").length);
    }
    const best = whole.filter(({ prompt, name, reason }) => {
      const choices = prompt.fields["choices"] as string[];
      const fits = choices.map((one) => fitOf(glimpsesOf(reason), byName.get(one)!));
      return fitOf(glimpsesOf(reason), byName.get(name)!) === Math.max(...fits);
    });
    // an answer that followed from the reason would fit it best every time
    expect(best.length / whole.length).toBeLessThan(0.9);
  });
});

describe("few shots", () => {
  it("are four of each base class, with lists of all eight, a quarter unreadable", () => {
    const base = world.datasets[1]!.base.map(({ name }) => name);
    const many = Array.from({ length: 30 }, (_, seed) => all({ use: "few_shot", dataset: 1 }, seed)).flat();
    expect(many).toHaveLength(30 * 32);
    const first = many.slice(0, 32);
    for (const name of base) expect(first.filter(({ answer }) => answer === name)).toHaveLength(4);
    for (const { fields, target, answer } of first) {
      expect([...(fields["choices"] as string[])].sort()).toEqual([...base].sort());
      expect(target).toBe(answer);
    }
    expect(many.filter(({ slices }) => slices["readable"] === "no").length / many.length).toBeCloseTo(
      0.25,
      1,
    );
    expect(all({ use: "few_shot", mode: "think" }).every(({ target }) => target === undefined)).toBe(true);
  });

  it("are fixed by the run's seed, the same items for both modes", () => {
    const items = (options: object, seed: number) => all({ use: "few_shot", ...options }, seed);
    expect(items({}, 1)).toEqual(items({}, 1));
    expect(items({}, 1).map(text)).not.toEqual(items({}, 2).map(text));
    const strip = (prompts: Prompt[]) => prompts.map((prompt) => text(prompt).replace(/\[\w+\]$/, ""));
    expect(strip(items({ mode: "think" }, 1))).toEqual(strip(items({}, 1)));
  });
});

describe("test items", () => {
  it("come in cells: base, new, and each other dataset, candidates being the item's half", () => {
    const prompts = all({ use: "test", dataset: 1, items_per_cell: 16 });
    expect(prompts.map(({ slices }) => `${slices["split"]} ${slices["dataset"]}`)).toEqual([
      ...Array(16).fill("base D1"),
      ...Array(16).fill("new D1"),
      ...Array(16).fill("other D0"),
      ...Array(16).fill("other D2"),
    ]);
    for (const { answer, fields, slices } of prompts) {
      const { base, fresh } = world.datasets[Number(slices["dataset"]![1])]!;
      const half = base.some(({ name }) => name === answer) ? base : fresh;
      if (slices["split"] !== "other") expect(half).toBe(slices["split"] === "base" ? base : fresh);
      expect([...(fields["choices"] as string[])].sort()).toEqual(half.map(({ name }) => name).sort());
      expect(fields["readable"]).toBe(true);
    }
    // eight of an other dataset's sixteen are of its base classes
    const others = prompts.slice(32, 48).map(({ answer }) => answer);
    expect(world.datasets[0]!.base.filter(({ name }) => others.includes(name))).toHaveLength(8);
  });

  it("are the same for every seed and whatever is trained on", () => {
    const test = (dataset: number, seed: number) => all({ use: "test", dataset, items_per_cell: 16 }, seed);
    expect(test(0, 1)).toEqual(test(0, 2));
    const d0 = new Map(test(0, 1).map((prompt) => [prompt.id, text(prompt)]));
    const shared = test(1, 1).filter(({ id }) => d0.has(id));
    expect(shared.length).toBeGreaterThanOrEqual(32);
    for (const prompt of shared) expect(text(prompt)).toBe(d0.get(prompt.id));
  });
});
