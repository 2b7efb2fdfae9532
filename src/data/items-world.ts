/** The world of task `items`: codes, classes, datasets. One for all seeds. */
import { createRng, type Rng } from "../lib/rng.ts";

export const ATTRIBUTES = ["a", "b", "c", "d", "e", "f"] as const;
export const VALUES = 6;
const GENERA = 8;
const SPECIES = 8;
export const DATASETS = 3;
const DATASET_CLASSES = 16;

/** (genus, species); the genus fixes attributes a, b, c, the species d, e, f. */
export interface ItemClass {
  genus: number;
  species: number;
  /** Two words: "G2 s5". */
  name: string;
  /** Value of each attribute, [6]. */
  values: readonly number[];
}

export interface ItemsWorld {
  /** Genus-major, [64]. */
  classes: readonly ItemClass[];
  /** Base and new classes of each dataset, 8 and 8; no class is in two. */
  datasets: readonly { base: readonly ItemClass[]; fresh: readonly ItemClass[] }[];
}

/** Random codes of three values, any two differing in at least two places. */
function drawCodes(count: number, rng: Rng): number[][] {
  const codes: number[][] = [];
  for (let attempt = 0; codes.length < count; attempt++) {
    const code = [0, 1, 2].map((place) => rng.integer(VALUES, 3 * attempt + place));
    const near = codes.some((other) => other.filter((value, place) => value !== code[place]).length < 2);
    if (!near) codes.push(code);
  }
  return codes;
}

function makeWorld(): ItemsWorld {
  const rng = createRng(0).fork("items", "world");
  const genera = drawCodes(GENERA, rng.fork("genera"));
  const species = drawCodes(SPECIES, rng.fork("species"));
  const classes = genera.flatMap((head, genus) =>
    species.map((tail, kind): ItemClass => {
      return { genus, species: kind, name: `G${genus} s${kind}`, values: [...head, ...tail] };
    }),
  );
  const order = rng.fork("datasets").permutation(classes.length);
  const datasets = Array.from({ length: DATASETS }, (_, d) => {
    const datasetClasses = order
      .slice(d * DATASET_CLASSES, (d + 1) * DATASET_CLASSES)
      .map((i) => classes[i]!);
    return {
      base: datasetClasses.slice(0, DATASET_CLASSES / 2),
      fresh: datasetClasses.slice(DATASET_CLASSES / 2),
    };
  });
  return { classes, datasets };
}

let world: ItemsWorld | undefined;

export function itemsWorld(): ItemsWorld {
  world ??= makeWorld();
  return world;
}

/** The words of its vocabulary in the order of their ids, [64]. */
export function itemsVocabulary(): string[] {
  return [
    ...["<pad>", "<bos>", "<eos>", "<think>", "</think>", "<answer>", "</answer>"],
    ...["|", ",", "[think]", "[direct]", "its"],
    ...ATTRIBUTES.flatMap((attribute) => Array.from({ length: VALUES }, (_, v) => `${attribute}${v}`)),
    ...Array.from({ length: GENERA }, (_, genus) => `G${genus}`),
    ...Array.from({ length: SPECIES }, (_, species) => `s${species}`),
  ];
}
