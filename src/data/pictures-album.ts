/** From a class to pictures of it: drawn from random numbers, or taken from digits and Fashion-MNIST. Nothing is drawn before `load`. */
import { createRng, type Rng } from "../lib/rng.ts";
import type { Picture, RgbPixels } from "../types.ts";
import { digitLabels, digitPixels } from "./digits.ts";
import { type Fashion, openFashion } from "./fashion.ts";
import { shuffled } from "./named-targets.ts";
import { collage, drawLook, fromGrey, type Look, plainGrey } from "./pictures-draw.ts";
import type { PicturesOptions } from "./pictures-options.ts";
import {
  COLOURS,
  COUNTS,
  type PictureClass,
  type PictureDataset,
  pictureDatasets,
  SHAPES,
  TEXTURES,
} from "./pictures-world.ts";

/** A picture with the words that are true of it, one an attribute of its dataset. */
export interface Shown {
  picture: Picture;
  words: readonly string[];
}

type Use = PicturesOptions["use"];

/** Real pictures that one use may show; the uses share none. */
interface Part {
  name: string;
  labels: Uint8Array;
  from: number;
  to: number;
  pixels(index: number): RgbPixels;
}

export const greyPicture: Picture = { id: "grey", name: "a grey picture", load: plainGrey };

/** Named by what it holds and the key of its random numbers, so that one name is one picture. */
export function drawnPicture(holds: string, rng: Rng, draw: (rng: Rng) => RgbPixels): Picture {
  return { id: `drawn/${holds}/${rng.key.join("-")}`, name: `drawn: ${holds}`, load: () => draw(rng) };
}

function lookOf(dataset: PictureDataset, { words: [first, second] }: PictureClass, rng: Rng): Look {
  const free = { a: rng.integer(8, 0), b: rng.integer(8, 1), c: rng.integer(4, 2), d: rng.integer(4, 3) };
  return dataset.name === "D0"
    ? {
        colour: first as Look["colour"],
        shape: second as Look["shape"],
        texture: TEXTURES[free.c]!,
        count: free.d + 1,
      }
    : {
        colour: COLOURS[free.a]!,
        shape: SHAPES[free.b]!,
        texture: first as Look["texture"],
        count: COUNTS.indexOf(second as (typeof COUNTS)[number]) + 1,
      };
}

/** Digits: 0 to 999 for the mixture, 1000 to 1299 for shots, the rest for tests. */
function digitsPart(use: Use): Part {
  const [from, to] = { pretraining: [0, 1000], few_shot: [1000, 1300], test: [1300, 1797] }[use] as [
    number,
    number,
  ];
  return {
    name: "digits",
    labels: digitLabels(),
    from,
    to,
    pixels: (index) =>
      fromGrey(
        digitPixels(index).map((value) => Math.trunc((value * 255) / 16)),
        8,
        4,
      ),
  };
}

/** Fashion-MNIST: its training part for the mixture, the first 3000 test pictures for shots, the others for tests. */
function fashionPart(use: Use, { train, test }: Fashion): Part {
  const part = use === "pretraining" ? train : test;
  const [from, to] = { pretraining: [0, 60_000], few_shot: [0, 3000], test: [3000, 10_000] }[use] as [
    number,
    number,
  ];
  return {
    name: use === "pretraining" ? "fashion-train" : "fashion-test",
    labels: part.labels,
    from,
    to,
    pixels: (index) => fromGrey(part.pixels(index), 28, 1),
  };
}

export class PictureAlbum {
  /** Places in `pictureDatasets` of those that there are pictures of. */
  readonly datasets: readonly number[];
  readonly #parts: readonly (Part | null)[];
  readonly #places = new Map<number, number[]>();
  readonly #orders = new Map<string, readonly number[]>();

  /** @throws DataError where Fashion-MNIST's files are not what they should be */
  constructor(use: Use, fashion: string | undefined) {
    const clothes = fashion === undefined ? null : fashionPart(use, openFashion(fashion));
    this.#parts = [null, null, clothes, digitsPart(use)];
    this.datasets = clothes === null ? [0, 1, 3] : [0, 1, 2, 3];
  }

  /** Indices of a class's real pictures. */
  #of(dataset: number, { index: label }: PictureClass): number[] {
    const key = dataset * 100 + label;
    let places = this.#places.get(key);
    if (places === undefined) {
      const { labels, from, to } = this.#parts[dataset]!;
      places = [];
      for (let i = from; i < to; i++) if (labels[i] === label) places.push(i);
      this.#places.set(key, places);
    }
    return places;
  }

  /** Different pictures of a class: any number where they are drawn. */
  count(dataset: number, label: PictureClass): number {
    return this.#parts[dataset] === null ? Number.POSITIVE_INFINITY : this.#of(dataset, label).length;
  }

  /** Any picture of a class. */
  any(dataset: number, label: PictureClass, rng: Rng): Shown {
    if (this.#parts[dataset] === null) return this.#draw(dataset, label, rng);
    const places = this.#of(dataset, label);
    return this.#take(dataset, label, places[rng.integer(places.length, 0)]!);
  }

  /** Picture number `which` of a class: of real ones no two numbers have the same. @param order of real pictures, a stream's name */
  nth(
    dataset: number,
    label: PictureClass,
    which: number,
    order: readonly (string | number)[],
    rng: Rng,
  ): Shown {
    if (this.#parts[dataset] === null) return this.#draw(dataset, label, rng);
    const key = JSON.stringify([dataset, label.index, order]);
    let places = this.#orders.get(key);
    if (places === undefined) {
      const stream = createRng(0).fork("pictures", "order", dataset, label.index, ...order);
      places = shuffled(this.#of(dataset, label), stream);
      this.#orders.set(key, places);
    }
    return this.#take(dataset, label, places[which]!);
  }

  /** Quadrants of pictures of four classes. */
  collage(dataset: number, rng: Rng): Picture {
    const { classes } = pictureDatasets[dataset]!;
    const parts = shuffled(classes, rng.fork("classes"))
      .slice(0, 4)
      .map((label, quadrant) => this.any(dataset, label, rng.fork("part", quadrant)).picture);
    return {
      id: `collage/${parts.map(({ id }) => id).join("+")}`,
      name: `collage: ${parts.map(({ name }) => name).join(", ")}`,
      load: () => collage(parts.map((part) => part.load() as RgbPixels)),
    };
  }

  #draw(dataset: number, label: PictureClass, rng: Rng): Shown {
    const look = lookOf(pictureDatasets[dataset]!, label, rng.fork("look"));
    const words = [look.colour, look.shape, look.texture, COUNTS[look.count - 1]!];
    return {
      words,
      picture: drawnPicture(words.join("-"), rng.fork("pixels"), (draw) => drawLook(look, draw)),
    };
  }

  #take(dataset: number, label: PictureClass, index: number): Shown {
    const { name, pixels } = this.#parts[dataset]!;
    const picture = { id: `${name}/${index}`, name: `${name} ${index}`, load: () => pixels(index) };
    return { picture, words: label.words };
  }
}

/** For each place of `count` the place whose picture it shows instead: never its own where there is another. */
export function exchanged(count: number, rng: Rng): number[] {
  const order = rng.permutation(count);
  const shown: number[] = Array.from({ length: count });
  for (const [i, place] of order.entries()) shown[place] = order[(i + 1) % count]!;
  return shown;
}
