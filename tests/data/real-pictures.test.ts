import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digitLabels, digitPixels } from "../../src/data/digits.ts";
import { DEBIAN_FASHION, openFashion } from "../../src/data/fashion.ts";
import { picturesSource } from "../../src/data/pictures.ts";
import { picturesOptions } from "../../src/data/pictures-options.ts";
import type { Prompt, RgbPixels } from "../../src/types.ts";
import { workspace } from "../helpers/tiny-run.ts";

const source = (options: object, seed = 1) =>
  picturesSource(picturesOptions.parse({ kind: "pictures", ...options }), seed);
const pictureOf = ({ input }: Prompt) => (input.kind === "text" ? input.pictures![0]! : null)!;
const pixels = (prompt: Prompt) => pictureOf(prompt).load() as RgbPixels;

describe("handwritten digits", () => {
  /** tools/goldens/digits.py */
  const golden = JSON.parse(
    readFileSync(new URL("../golden/pictures/digits.json", import.meta.url), "utf8"),
  ) as {
    pixels_sha256: string;
    labels_sha256: string;
    pictures: { index: number; label: number; pixels: number[] }[];
  };
  const hash = (...parts: Uint8Array[]) => {
    const sum = createHash("sha256");
    for (const part of parts) sum.update(part);
    return sum.digest("hex");
  };

  it("are scikit-learn's, all 1,797", () => {
    expect(hash(digitLabels())).toBe(golden.labels_sha256);
    expect(hash(...Array.from({ length: 1797 }, (_, i) => digitPixels(i)))).toBe(golden.pixels_sha256);
    for (const { index, label, pixels: want } of golden.pictures) {
      expect([...digitPixels(index)]).toEqual(want);
      expect(digitLabels()[index]).toBe(label);
    }
  });

  it("become 32 x 32, each value 4 x 4 pixels of 255/16 of it, and are named by their label", () => {
    const prompts = source({ use: "test", dataset: 3, items_per_cell: 100 });
    for (const place of [0, 1, 57, 150]) {
      const prompt = prompts.at(place);
      const index = Number(pictureOf(prompt).id.slice("digits/".length));
      expect(index).toBeGreaterThanOrEqual(1300);
      expect(prompt.answer).toBe(`digit${digitLabels()[index]}`);
      const { width, height, data } = pixels(prompt);
      expect([width, height, data.length]).toEqual([32, 32, 3072]);
      for (let i = 0; i < 1024; i++) {
        const value = digitPixels(index)[Math.floor(i / 128) * 8 + Math.floor((i % 32) / 4)]!;
        expect([...data.subarray(3 * i, 3 * i + 3)]).toEqual(Array(3).fill(Math.floor((value * 255) / 16)));
      }
    }
  });

  it("show mixture, shots and tests parts of their own", () => {
    const index = (prompt: Prompt) => Number(/^digits\/(\d+)$/.exec(pictureOf(prompt).id)?.[1] ?? "-1");
    const mixture = source({ use: "pretraining" });
    const seen = Array.from({ length: 3000 }, (_, i) => index(mixture.at(i))).filter((one) => one >= 0);
    expect([Math.min(...seen) < 20, Math.max(...seen) < 1000, Math.max(...seen) > 980]).toEqual([
      true,
      true,
      true,
    ]);
    const shots = source({ use: "few_shot", dataset: 3, unreadable: 0 });
    for (let i = 0; i < 20; i++) {
      expect(index(shots.at(i))).toBeGreaterThanOrEqual(1000);
      expect(index(shots.at(i))).toBeLessThan(1300);
    }
  });
});

/** As many pictures as there are, in which everything follows from the index. */
function imaginary(count: number, part: number) {
  const header = (...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length);
    bytes.writeUInt32BE(0x0800 + sizes.length, 0);
    for (const [i, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * i);
    return bytes;
  };
  const images = Buffer.alloc(count * 784);
  const labels = Buffer.alloc(count);
  for (let i = 0; i < count; i++) {
    labels[i] = (i + part) % 10;
    images[i * 784] = i % 251;
    images[i * 784 + 783] = 10 + labels[i]!;
  }
  return {
    images: Buffer.concat([header(count, 28, 28), images]),
    labels: Buffer.concat([header(count), labels]),
  };
}

describe("Fashion-MNIST", () => {
  const space = workspace();
  const names = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
  ];
  const [train, test] = [imaginary(60_000, 0), imaginary(10_000, 3)];
  const contents = [train.images, train.labels, test.images, test.labels];
  let folder = "";

  function write(name: string, change: (place: number, bytes: Buffer) => Buffer): string {
    const made = space.path(name);
    mkdirSync(made, { recursive: true });
    for (const [i, bytes] of contents.entries()) writeFileSync(join(made, names[i]!), change(i, bytes));
    return made;
  }

  beforeAll(() => {
    folder = write("plain", (_, bytes) => bytes);
  });
  afterAll(() => space.remove());

  it("is read as it is published, and compressed as Debian installs it", () => {
    const { train: own, test: other } = openFashion(folder);
    expect([own.labels.length, other.labels.length]).toEqual([60_000, 10_000]);
    expect([own.pixels(59_999)[0], own.pixels(59_999)[783], own.labels[59_999]]).toEqual([
      59_999 % 251,
      19,
      9,
    ]);
    expect([other.pixels(7)[0], other.labels[7]]).toEqual([7, 0]);
    const packed = space.path("packed");
    mkdirSync(packed);
    for (const [i, bytes] of contents.entries()) {
      writeFileSync(join(packed, `${names[i]}.gz`), gzipSync(bytes, { level: 1 }));
    }
    const again = openFashion(packed);
    expect(again.train.pixels(1234)).toEqual(own.pixels(1234));
    expect(again.test.labels).toEqual(other.labels);
  });

  it("joins the mixture with its share, and the other datasets of a test", () => {
    const mixture = source({ use: "pretraining", fashion: folder });
    const drawn = Array.from({ length: 3000 }, (_, i) => mixture.at(i));
    const own = drawn.filter(({ slices }) => slices["dataset"] === "D2");
    expect(Math.abs(own.length / 3000 - 24 / 97)).toBeLessThan(4 * Math.sqrt((0.25 * 0.75) / 3000));
    const dataset = [
      "tshirt",
      "trouser",
      "pullover",
      "dress",
      "coat",
      "sandal",
      "shirt",
      "sneaker",
      "bag",
      "boot",
    ];
    for (const prompt of own) {
      const index = Number(/^fashion-train\/(\d+)$/.exec(pictureOf(prompt).id)![1]);
      expect(prompt.answer).toBe(dataset[index % 10]);
    }
    const tests = source({ use: "test", dataset: 0, fashion: folder, items_per_cell: 8, items_per_other: 8 });
    const cells = Array.from({ length: tests.size! }, (_, i) => tests.at(i).slices["dataset"]);
    expect([...new Set(cells.slice(16))]).toEqual(["D1", "D2", "D3"]);
    expect(cells).toHaveLength(16 + 3 * 8);
  });

  it("shows shots from the first 3000 test pictures and tests from the others, in the middle of black", () => {
    const shots = source({ use: "few_shot", dataset: 2, fashion: folder, unreadable: 0 });
    const tests = source({ use: "test", dataset: 2, fashion: folder, items_per_cell: 60 });
    const index = (prompt: Prompt) => Number(/^fashion-test\/(\d+)$/.exec(pictureOf(prompt).id)![1]);
    expect(shots.size).toBe(20);
    for (let i = 0; i < 20; i++) expect(index(shots.at(i))).toBeLessThan(3000);
    for (let i = 0; i < 120; i++) expect(index(tests.at(i))).toBeGreaterThanOrEqual(3000);
    const prompt = tests.at(5);
    const { data } = pixels(prompt);
    const at = (x: number, y: number) => [...data.subarray((y * 32 + x) * 3, (y * 32 + x) * 3 + 3)];
    expect(at(2, 2)).toEqual(Array(3).fill(index(prompt) % 251));
    expect(at(29, 29)).toEqual(Array(3).fill(10 + ((index(prompt) + 3) % 10)));
    expect([at(1, 2), at(30, 29), at(0, 0)]).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it("says which file is no file of it, and why", () => {
    const cut = write("cut", (i, bytes) => (i === 2 ? bytes.subarray(0, -1) : bytes));
    expect(() => openFashion(cut)).toThrow(
      /t10k-images-idx3-ubyte: its header tells of 7840000 values, and 7839999 follow/,
    );
    const swapped = write("swapped", (i, bytes) => (i === 1 ? contents[3]! : bytes));
    expect(() => openFashion(swapped)).toThrow(/train-images-idx3-ubyte: 60000 pictures with 10000 labels/);
    const text = write("text", (i, bytes) => (i === 0 ? Buffer.from("not pictures") : bytes));
    expect(() => openFashion(text)).toThrow(/train-images-idx3-ubyte: no IDX file of bytes in 3 dimensions/);
    const labels = write("labels", (i, bytes) =>
      i === 3 ? Buffer.concat([bytes.subarray(0, 8), Buffer.alloc(10_000, 11)]) : bytes,
    );
    expect(() => openFashion(labels)).toThrow(/of 10 classes/);
    const broken = space.path("broken");
    mkdirSync(broken);
    for (const name of names) writeFileSync(join(broken, `${name}.gz`), "no gzip");
    expect(() => openFashion(broken)).toThrow(/train-images-idx3-ubyte\.gz: it cannot be unpacked/);
  });

  it.skipIf(!existsSync(join(DEBIAN_FASHION, "t10k-labels-idx1-ubyte.gz")))("of Debian's package", () => {
    const { train: own, test: other } = openFashion(DEBIAN_FASHION);
    // 6000 and 1000 of each class
    for (let label = 0; label < 10; label++) {
      expect(own.labels.filter((one) => one === label)).toHaveLength(6000);
      expect(other.labels.filter((one) => one === label)).toHaveLength(1000);
    }
  });
});
