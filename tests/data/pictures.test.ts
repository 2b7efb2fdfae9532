import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { digitLabels, digitPixels } from "../../src/data/digits.ts";
import { pictures, picturesSource } from "../../src/data/pictures.ts";
import { drawLook } from "../../src/data/pictures-draw.ts";
import { picturesOptions } from "../../src/data/pictures-options.ts";
import {
  type PictureDataset,
  pictureDatasets,
  picturesVocabulary,
  SHAPES,
} from "../../src/data/pictures-world.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { Picture, Prompt, RgbPixels } from "../../src/types.ts";
import { points, seeLook } from "../helpers/see-pictures.ts";

const source = (options: object, seed = 1) =>
  picturesSource(picturesOptions.parse({ kind: "pictures", ...options }), seed);
const all = (options: object, seed = 1): Prompt[] => {
  const prompts = source(options, seed);
  return Array.from({ length: prompts.size! }, (_, i) => prompts.at(i));
};
const text = ({ input }: Prompt): string => (input.kind === "text" ? input.text : "");
const pictureOf = ({ input }: Prompt): Picture => {
  if (input.kind !== "text" || input.pictures?.length !== 1) throw new Error("not one picture");
  return input.pictures[0]!;
};
const pixels = (picture: Picture): RgbPixels => picture.load() as RgbPixels;
const choices = (prompt: Prompt) => prompt.fields["choices"] as string[];
const COUNTS = ["", "one", "two", "three", "four"];
const share = <T>(list: readonly T[], test: (one: T) => boolean) => list.filter(test).length / list.length;
/** Within four standard errors of a share. */
function expectShare(got: number, want: number, n: number): void {
  expect(Math.abs(got - want)).toBeLessThan(4 * Math.sqrt((want * (1 - want)) / n));
}

describe("the world", () => {
  it("has 64 and 16 classes of two words, and twice 10 of one, in halves that share none", () => {
    expect(pictureDatasets.map(({ classes }) => classes.length)).toEqual([64, 16, 10, 10]);
    expect(pictureDatasets.map(({ base, fresh }) => [base.length, fresh.length])).toEqual([
      [8, 8],
      [8, 8],
      [5, 5],
      [5, 5],
    ]);
    for (const { base, fresh, classes } of pictureDatasets) {
      const names = [...base, ...fresh].map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      expect(classes.map(({ index }) => index)).toEqual(classes.map((_, i) => i));
    }
    const half = ({ base }: PictureDataset) => base.map(({ name }) => name).join(" ");
    expect(half(pictureDatasets[2]!)).toBe("dress tshirt sneaker bag shirt");
    expect(half(pictureDatasets[3]!)).toBe("digit9 digit0 digit7 digit4 digit6");
  });

  it("speaks 89 words, and prompts and targets use no other", () => {
    const words = picturesVocabulary();
    expect([words.length, new Set(words).size]).toEqual([89, 89]);
    for (const mode of ["mixed", "answer_first"]) {
      const prompts = source({ use: "pretraining", mode });
      for (let i = 0; i < 400; i++) {
        const prompt = prompts.at(i);
        for (const word of `${text(prompt)} ${prompt.target}`.split(" ")) expect(words).toContain(word);
      }
    }
  });

  it("says three different things of clothes and digits, none of two attributes", () => {
    for (const { attributes, classes } of pictureDatasets.slice(2)) {
      expect(attributes).toHaveLength(3);
      expect(new Set(attributes.flat()).size).toBe(attributes.flat().length);
      for (const { words } of classes)
        expect(words.every((word, i) => attributes[i]!.includes(word))).toBe(true);
      expect(new Set(classes.map(({ words }) => words.join())).size).toBe(10);
    }
  });
});

describe("drawn pictures", () => {
  const read = (dataset: number) =>
    all({ use: "test", dataset, items_per_cell: 200, items_per_other: 1 })
      .slice(0, 400)
      .map((prompt) => ({ prompt, seen: seeLook(pixels(pictureOf(prompt))) }));
  const [first, second] = [read(0), read(1)];

  it("show their label to a reader who knows the rules", () => {
    const right0 = share(first, ({ prompt, seen }) => prompt.answer === `${seen.colour} ${seen.shape}`);
    const right1 = share(
      second,
      ({ prompt, seen }) => prompt.answer === `${seen.texture} ${COUNTS[seen.count]}`,
    );
    expect(right0).toBeGreaterThan(0.99);
    expect(right1).toBeGreaterThan(0.99);
  });

  it("leave free what their label does not say: each value as often as the others", () => {
    const spread = (values: readonly string[], kinds: number) => {
      const counts = new Map<string, number>();
      for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
      expect(counts.size).toBe(kinds);
      for (const count of counts.values()) expectShare(count / values.length, 1 / kinds, values.length);
    };
    spread(
      first.map(({ seen }) => seen.texture),
      4,
    );
    spread(
      first.map(({ seen }) => `${seen.count}`),
      4,
    );
    spread(
      second.map(({ seen }) => seen.colour),
      8,
    );
    spread(
      second.map(({ seen }) => seen.shape),
      8,
    );
    // places and radii of the objects: 3 x 3 x 2, one off at most
    spread(
      [...first, ...second].flatMap(({ seen }) => seen.places),
      18,
    );
  });

  it.each(SHAPES)("have the pixels of a %s that the rules give it, for both radii", (shape) => {
    // means over many objects, by radius and place from the centre: white is .7 or more, the ground .3 or less
    const sums = new Map<string, [number, number]>();
    for (let i = 0; i < 40; i++) {
      const picture = drawLook(
        { colour: "white", shape, texture: "solid", count: 4 },
        createRng(3).fork(shape, i),
      );
      for (const [q, place] of seeLook(picture).places.entries()) {
        const [cx, cy, r] = place.split(" ").map(Number) as [number, number, number];
        for (let at = 0; at < 256; at++) {
          const [x, y] = [at % 16, at >> 4];
          const value = picture.data[((y + 16 * (q >> 1)) * 32 + x + 16 * (q % 2)) * 3]! / 255;
          const key = `${r} ${x - cx} ${y - cy}`;
          const [sum, count] = sums.get(key) ?? [0, 0];
          sums.set(key, [sum + value, count + 1]);
        }
      }
    }
    for (const r of [5, 6]) {
      const lit = [...sums]
        .filter(([key, [sum, n]]) => key.startsWith(`${r} `) && sum / n > 0.5)
        .map(([key]) => key);
      expect(lit.sort()).toEqual(
        points(shape, r)
          .map(([x, y]) => `${r} ${x} ${y}`)
          .sort(),
      );
    }
  });

  it("stand on a grey ground of 0 to 0.3 under normal noise of 0.15 that no two channels share", () => {
    const grounds: number[] = [];
    const errors: [number, number][] = [];
    for (const { prompt } of [...first, ...second]) {
      const { data } = pixels(pictureOf(prompt));
      // rows 0 and 16 are never an object's
      const edge = [0, 16].flatMap((row) =>
        [...data.subarray(row * 96, row * 96 + 96)].map((one) => one / 255),
      );
      const middle = [...edge].sort((a, b) => a - b)[96]!;
      grounds.push(middle);
      // far enough from black that a half of the noise is not cut
      if (middle > 0.24)
        for (let i = 0; i < edge.length; i += 2) errors.push([edge[i]! - middle, edge[i + 1]! - middle]);
    }
    const sorted = grounds.sort((a, b) => a - b);
    for (const q of [0.2, 0.5, 0.8]) expect(sorted[Math.floor(q * sorted.length)]).toBeCloseTo(0.3 * q, 1.4);
    const above = errors.flat().filter((one) => one > 0);
    const n = errors.length * 2;
    expectShare(above.filter((one) => one > 0.15).length / n, 0.1587, n);
    expectShare(above.filter((one) => one > 0.3).length / n, 0.0228, n);
    const both = share(errors, ([a, b]) => a > 0.1 && b > 0.1);
    const one = errors.flat().filter((e) => e > 0.1).length / n;
    expectShare(both, one * one, errors.length);
  });
});

describe("pretraining", () => {
  const prompts = source({ use: "pretraining", mode: "mixed" });
  const drawn = Array.from({ length: 6000 }, (_, i) => prompts.at(i));
  const of = (name: string) => drawn.filter(({ slices }) => slices["dataset"] === name);
  const thinking = drawn.filter((prompt) => text(prompt).endsWith("[think]"));
  const direct = drawn.filter((prompt) => text(prompt).endsWith("[direct]"));
  const label = ({ target }: Prompt) => target!.replace("its ", "");

  it("has its shares of the datasets that there are, half thinking, half direct", () => {
    for (const [name, want] of [
      ["D0", 34 / 73],
      ["D1", 29 / 73],
      ["D3", 10 / 73],
    ] as const) {
      expectShare(of(name).length / 6000, want, 6000);
    }
    expect(of("D2")).toEqual([]);
    expect(thinking.length + direct.length).toBe(6000);
    expectShare(thinking.length / 6000, 0.5, 6000);
  });

  it("has lists of 4 to 6, and for colours and shapes half of them from a block of 3 x 3", () => {
    expect([...new Set(drawn.map((prompt) => choices(prompt).length))].sort()).toEqual([4, 5, 6]);
    for (const prompt of drawn) {
      expect(choices(prompt)).toContain(prompt.answer);
      expect(text(prompt)).toMatch(/^<image> \| [a-z0-9 ]+ \[(think|direct)\]$/);
      expect(text(prompt).split(" ").slice(2, -1).join(" ")).toBe(choices(prompt).join(" "));
    }
    const parts = (prompt: Prompt, i: number) =>
      new Set(choices(prompt).map((name) => name.split(" ")[i])).size;
    const narrow = share(
      of("D0").filter((p) => choices(p).length === 6),
      (p) => parts(p, 0) <= 3 && parts(p, 1) <= 3,
    );
    // six classes of 64 are hardly ever that narrow by chance alone
    expect(narrow).toBeGreaterThan(0.42);
    expect(narrow).toBeLessThan(0.58);
  });

  it("is wrong as often as it should be", () => {
    const n = direct.length;
    expectShare(
      share(direct, ({ target }) => target!.startsWith("its ")),
      0.15,
      n,
    );
    const again = direct.reduce((sum, prompt) => sum + 1 / choices(prompt).length, 0) / n;
    expectShare(
      share(direct, (p) => label(p) !== p.answer),
      0.25 * (1 - again),
      n,
    );
    expectShare(
      share(thinking, ({ target }) => !target!.includes("</think>")),
      0.06,
      thinking.length,
    );
    expectShare(
      share(thinking, ({ target }) => !target!.includes("<answer>")),
      0.06,
      thinking.length,
    );
    const clean = source({ use: "pretraining", imperfections: { wrong_label: 0, preamble: 0 } });
    for (let i = 0; i < 50; i++) expect(clean.at(i).target).toBe(clean.at(i).answer);
  });

  it("says 3 or 4 words of drawn pictures and 2 or 3 of real ones, one in twenty misread, and answers by them", () => {
    const words = new Map<string, number[]>();
    let [said, wrong] = [0, 0];
    for (const prompt of thinking) {
      const dataset = pictureDatasets.find(({ name }) => name === prompt.slices["dataset"])!;
      const thought = /^<think> ([a-z0-9 ]+?) (?:<\/think>|<answer>)/.exec(prompt.target!)?.[1];
      if (thought === undefined || prompt.target!.indexOf("<answer>") < 0) continue;
      const spoken = thought.split(" ");
      words.set(dataset.name, [...(words.get(dataset.name) ?? []), spoken.length]);
      const attributes = spoken.map((word) =>
        dataset.attributes.findIndex((values) => values.includes(word)),
      );
      expect(new Set(attributes).size).toBe(spoken.length);
      // names of drawn pictures hold their four true words
      const drawnWords = /^drawn: (.*)$/.exec(pictureOf(prompt).name)?.[1]?.split("-");
      const truth = drawnWords ?? dataset.classes.find(({ name }) => name === prompt.answer)!.words;
      said += spoken.length;
      wrong += spoken.filter((word, i) => truth[attributes[i]!] !== word).length;
      const fitOf = (name: string) => {
        const one = dataset.classes.find((each) => each.name === name)!;
        return spoken.filter((word) => one.words.includes(word)).length;
      };
      const answer = /<answer> (.*) <\/answer>/.exec(prompt.target!)![1]!;
      expect(fitOf(answer)).toBe(Math.max(...choices(prompt).map(fitOf)));
    }
    for (const [name, [least, most]] of [
      ["D0", [3, 4]],
      ["D1", [3, 4]],
      ["D3", [2, 3]],
    ] as const) {
      const lengths = words.get(name)!;
      expect([...new Set(lengths)].sort()).toEqual([least, most]);
      expectShare(
        share(lengths, (one) => one === least),
        0.5,
        lengths.length,
      );
    }
    // a replacement is the true word again in 1 of 3 to 8
    expect(wrong / said).toBeGreaterThan(0.05 * 0.7);
    expect(wrong / said).toBeLessThan(0.05 * 0.95);
  });

  it("answers first when asked to, and says what it saw after that", () => {
    const first = source({ use: "pretraining", mode: "answer_first" });
    const samples = Array.from({ length: 600 }, (_, i) => first.at(i));
    const pattern = /^<answer> [a-z0-9 ]+ <\/answer> <think> [a-z0-9 ]+ <\/think>$/;
    expectShare(
      share(samples, ({ target }) => pattern.test(target!)),
      0.94 ** 2,
      600,
    );
    expect(samples.every((prompt) => text(prompt).endsWith("[think]"))).toBe(true);
  });
});

describe("few shots", () => {
  it("are four of each base class, one of them a collage, with lists of six", () => {
    for (const dataset of [0, 1, 3]) {
      const { base, list } = pictureDatasets[dataset]!;
      const shots = all({ use: "few_shot", dataset });
      expect(shots).toHaveLength(4 * base.length);
      for (const { name } of base) {
        const own = shots.filter(({ answer }) => answer === name);
        expect(own).toHaveLength(4);
        const collages = own.filter((prompt) => pictureOf(prompt).id.startsWith("collage/"));
        expect(collages).toHaveLength(1);
        for (const prompt of own) {
          const readable = !collages.includes(prompt);
          expect([prompt.fields["readable"], prompt.slices["readable"]]).toEqual([
            readable,
            readable ? "yes" : "no",
          ]);
          expect(prompt.target).toBe(name);
          expect(choices(prompt)).toHaveLength(list);
          expect(choices(prompt)).toContain(name);
          expect(choices(prompt).every((one) => base.some((each) => each.name === one))).toBe(true);
        }
      }
    }
    expect(all({ use: "few_shot", mode: "think" }).every(({ target }) => target === undefined)).toBe(true);
    const none = all({ use: "few_shot", unreadable: 0 });
    expect(none.every(({ slices }) => slices["readable"] === "yes")).toBe(true);
  });

  it("show in a collage a quadrant of each of four classes", () => {
    const shot = all({ use: "few_shot" }).find(({ slices }) => slices["readable"] === "no")!;
    const parts = pictureOf(shot).id.slice("collage/".length).split("+");
    expect(parts).toHaveLength(4);
    const classes = parts.map((id) => id.split("/")[1]!.split("-").slice(0, 2).join(" "));
    expect(new Set(classes).size).toBe(4);
    const digits = all({ use: "few_shot", dataset: 3 }).find(({ slices }) => slices["readable"] === "no")!;
    const { data } = pixels(pictureOf(digits));
    const ids = pictureOf(digits).id.slice("collage/".length).split("+");
    expect(new Set(ids.map((id) => digitLabels()[Number(id.slice("digits/".length))])).size).toBe(4);
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        const id = ids[2 * Math.floor(y / 16) + Math.floor(x / 16)]!;
        const value = digitPixels(Number(id.slice("digits/".length)))[
          Math.floor(y / 4) * 8 + Math.floor(x / 4)
        ]!;
        expect(data[(y * 32 + x) * 3 + 1]).toBe(Math.floor((value * 255) / 16));
      }
    }
  });

  it("are fixed by the run's seed, the same pictures and lists for both modes", () => {
    const show = (options: object, seed: number) =>
      all({ use: "few_shot", ...options }, seed).map((prompt) => [
        text(prompt).replace(/\[\w+\]$/, ""),
        pictureOf(prompt).id,
      ]);
    expect(show({}, 1)).toEqual(show({}, 1));
    expect(show({ mode: "think" }, 1)).toEqual(show({}, 1));
    const [one, two] = [show({}, 1), show({}, 2)];
    for (const [i, [, id]] of one.entries()) expect(id).not.toBe(two[i]![1]);
  });
});

describe("test items", () => {
  it("come in cells: base, new, and each other dataset, candidates being of the item's half", () => {
    const prompts = all({ use: "test", dataset: 1, items_per_cell: 16, items_per_other: 9 });
    expect(prompts.map(({ slices }) => `${slices["split"]} ${slices["dataset"]}`)).toEqual([
      ...Array(16).fill("base D1"),
      ...Array(16).fill("new D1"),
      ...Array(9).fill("other D0"),
      ...Array(9).fill("other D3"),
    ]);
    for (const { answer, fields, slices } of prompts) {
      const { base, fresh, list } = pictureDatasets[Number(slices["dataset"]![1])]!;
      const half = base.some(({ name }) => name === answer) ? base : fresh;
      if (slices["split"] !== "other") expect(half).toBe(slices["split"] === "base" ? base : fresh);
      const names = fields["choices"] as string[];
      expect(names).toHaveLength(list);
      expect(names).toContain(answer);
      expect(names.every((one) => half.some(({ name }) => name === one))).toBe(true);
      expect(fields["readable"]).toBe(true);
    }
    const others = prompts.slice(32, 41).map(({ answer }) => answer);
    expect(others.filter((name) => pictureDatasets[0]!.base.some((one) => one.name === name))).toHaveLength(
      5,
    );
    expect(all({ use: "test" })).toHaveLength(2 * 320 + 2 * 160);
  });

  it("are the same for every seed and whatever is trained on", () => {
    const test = (dataset: number, seed: number) =>
      all({ use: "test", dataset, items_per_cell: 16, items_per_other: 16 }, seed);
    const show = (prompt: Prompt) => [text(prompt), pictureOf(prompt).id];
    expect(test(0, 1).map(show)).toEqual(test(0, 2).map(show));
    const d0 = new Map(test(0, 1).map((prompt) => [prompt.id, show(prompt)]));
    const shared = test(1, 1).filter(({ id }) => d0.has(id));
    expect(shared.length).toBeGreaterThanOrEqual(32);
    for (const prompt of shared) expect(show(prompt)).toEqual(d0.get(prompt.id));
  });

  it("are as long as each other within a dataset, and as its shots", () => {
    for (const dataset of [0, 1, 3]) {
      const sizes = { items_per_cell: 40, items_per_other: 40 };
      const own = [...all({ use: "test", dataset, ...sizes }), ...all({ use: "few_shot", dataset })].filter(
        ({ slices }) => (slices["dataset"] ?? `D${dataset}`) === `D${dataset}`,
      );
      // picture, bar and mode around 6 names of 2 words or 4 of 1
      expect(new Set(own.map((prompt) => text(prompt).split(" ").length))).toEqual(
        new Set([dataset === 3 ? 7 : 15]),
      );
    }
  });

  it("show no picture twice, and none that mixture or shots show", () => {
    for (const dataset of [0, 1, 3]) {
      const sizes = { items_per_cell: 200, items_per_other: 160 };
      const tests = all({ use: "test", dataset, ...sizes }).map((prompt) => pictureOf(prompt).id);
      expect(new Set(tests).size).toBe(tests.length);
      const shots = all({ use: "few_shot", dataset, unreadable: 0 }).map((prompt) => pictureOf(prompt).id);
      expect(new Set(shots).size).toBe(shots.length);
      const mixture = source({ use: "pretraining" });
      const seen = new Set(Array.from({ length: 3000 }, (_, i) => pictureOf(mixture.at(i)).id));
      for (const id of tests) expect(seen.has(id) || shots.includes(id)).toBe(false);
      for (const id of shots) expect(seen.has(id)).toBe(false);
    }
  });
});

it("one id is one picture, whoever asks: the same pixels at each load, other pixels for other ids", () => {
  const hashes = new Map<string, string>();
  const hash = (picture: Picture) => createHash("sha256").update(pixels(picture).data).digest("hex");
  for (const options of [
    { use: "test", items_per_cell: 30, items_per_other: 30 },
    { use: "test", dataset: 3, items_per_cell: 30, items_per_other: 30 },
    { use: "few_shot" },
    { use: "few_shot", shots: 5 },
    { use: "few_shot", dataset: 1 },
    { use: "test", pictures: "shuffled", items_per_cell: 30, items_per_other: 30 },
  ]) {
    for (const prompt of all(options)) {
      const picture = pictureOf(prompt);
      const got = hash(picture);
      expect(hash(picture)).toBe(got);
      expect(hashes.get(picture.id) ?? got).toBe(got);
      hashes.set(picture.id, got);
    }
  }
  expect(new Set(hashes.values()).size).toBe(hashes.size);
});

describe("controls", () => {
  const own = all({ use: "test", items_per_cell: 40, items_per_other: 20 });
  const shown = (mode: string) =>
    all({ use: "test", items_per_cell: 40, items_per_other: 20, pictures: mode });

  it("grey: the same prompts, each with a plain picture", () => {
    const grey = shown("grey");
    expect(grey.map(text)).toEqual(own.map(text));
    for (const prompt of grey) expect(new Set(pixels(pictureOf(prompt)).data)).toEqual(new Set([127]));
  });

  it("shuffled: the same prompts and pictures, none with its own, each within its half", () => {
    const shuffled = shown("shuffled");
    expect(shuffled.map(text)).toEqual(own.map(text));
    const half = ({ id }: Prompt) => id.replace(/-\d+$/, "");
    for (const name of new Set(own.map(half))) {
      const ids = (prompts: Prompt[]) =>
        prompts.filter((one) => half(one) === name).map((one) => pictureOf(one).id);
      expect(ids(shuffled).sort()).toEqual(ids(own).sort());
    }
    for (const [i, prompt] of own.entries()) {
      expect(pictureOf(shuffled[i]!).id).not.toBe(pictureOf(prompt).id);
    }
    for (const options of [{ use: "few_shot" }, { use: "few_shot", dataset: 3 }]) {
      const [plain, other] = [all(options), all({ ...options, pictures: "shuffled" })];
      for (const [i, prompt] of plain.entries())
        expect(pictureOf(other[i]!).id).not.toBe(pictureOf(prompt).id);
    }
    const mixture = source({ use: "pretraining", pictures: "shuffled" });
    const agree = Array.from({ length: 300 }, (_, i) => mixture.at(i)).filter(
      (prompt) =>
        pictureOf(prompt).name.includes(prompt.answer.replace(" ", "-")) && prompt.slices["dataset"] === "D0",
    );
    expect(agree.length).toBeLessThan(12);
  });
});

describe("what cannot be", () => {
  it("Fashion-MNIST without a folder, or in one that lacks a file", async () => {
    for (const use of ["few_shot", "test"]) {
      expect(() => source({ use, dataset: 2 })).toThrow(
        /dataset 2 is Fashion-MNIST.*Set `fashion`.*\/usr\/share\/datasets\/fashion-mnist/,
      );
    }
    const fault = /\/nowhere: has no file train-images-idx3-ubyte or train-images-idx3-ubyte\.gz/;
    expect(() => source({ use: "pretraining", fashion: "/nowhere" })).toThrow(fault);
    await expect(
      pictures.files(picturesOptions.parse({ kind: "pictures", use: "test", fashion: "/nowhere" })),
    ).rejects.toThrow(fault);
  });

  it("more real pictures than there are", () => {
    expect(() => source({ use: "test", dataset: 3 })).toThrow(
      /items_per_cell asks for 64 different pictures of digit9 \(D3\), and \d\d are kept for tests; lower items_per_cell/,
    );
    expect(() => source({ use: "test", items_per_other: 1000 })).toThrow(/items_per_other asks for 100 /);
    expect(() => source({ use: "few_shot", dataset: 3, shots: 40 })).toThrow(
      /shots asks for 40 .* kept for shots/,
    );
  });
});
