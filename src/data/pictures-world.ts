/** The world of dataset kind `pictures`: words, classes, four datasets and what is said of their pictures. One for all seeds. */
import { createRng } from "../lib/rng.ts";

export const COLOURS = ["red", "green", "blue", "yellow", "pink", "cyan", "white", "orange"] as const;
export const SHAPES = ["disc", "square", "diamond", "ring", "plus", "ex", "triangle", "frame"] as const;
export const TEXTURES = ["solid", "rows", "columns", "checks"] as const;
export const COUNTS = ["one", "two", "three", "four"] as const;
/** Coordinates of boxes on the 8 x 8 grid of scenes. */
export const PLACES = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"] as const;

/** Fashion-MNIST's labels 0 to 9, with what is said of each: kind, length, front. */
const CLOTHES = {
  tshirt: ["upper", "short", "plain"],
  trouser: ["lower", "long", "plain"],
  pullover: ["upper", "long", "plain"],
  dress: ["whole", "nolength", "plain"],
  coat: ["upper", "long", "open"],
  sandal: ["shoe", "short", "open"],
  shirt: ["upper", "long", "buttons"],
  sneaker: ["shoe", "short", "plain"],
  bag: ["held", "nolength", "plain"],
  boot: ["shoe", "long", "plain"],
} as const;

/** Digits 0 to 9, with what is said of each: loops, strokes, where most of it lies. */
const DIGITS = {
  digit0: ["loop1", "round", "even"],
  digit1: ["loop0", "straight", "even"],
  digit2: ["loop0", "mixed", "bottom"],
  digit3: ["loop0", "round", "even"],
  digit4: ["loop1", "straight", "top"],
  digit5: ["loop0", "mixed", "top"],
  digit6: ["loop1", "round", "bottom"],
  digit7: ["loop0", "straight", "top"],
  digit8: ["loop2", "round", "even"],
  digit9: ["loop1", "round", "top"],
} as const;

export interface PictureClass {
  /** Place in its dataset; of real pictures, their label. */
  index: number;
  /** One or two words: "red disc", "coat". */
  name: string;
  /** What may be said of a picture that speaks for this class. */
  words: readonly string[];
}

export interface PictureDataset {
  name: string;
  /** Values of each attribute that is said of its pictures. */
  attributes: readonly (readonly string[])[];
  /** Fewest and most words said in a thought. */
  said: readonly [number, number];
  classes: readonly PictureClass[];
  base: readonly PictureClass[];
  fresh: readonly PictureClass[];
  /** Candidates in a list of shots and tests: four fifths of a half. */
  list: number;
}

const LOOKS = [COLOURS, SHAPES, TEXTURES, COUNTS] as const;

/** Classes are pairs of words; the first 8 of a fixed order are base, the next 8 new. */
function drawn(name: string, first: readonly string[], second: readonly string[]): PictureDataset {
  const classes = first
    .flatMap((a) => second.map((b) => [a, b]))
    .map((words, index): PictureClass => ({ index, name: words.join(" "), words }));
  const order = createRng(0).fork("pictures", name).permutation(classes.length);
  const half = (from: number) => order.slice(from, from + 8).map((i) => classes[i]!);
  return { name, attributes: LOOKS, said: [3, 4], classes, base: half(0), fresh: half(8), list: 6 };
}

function real(
  name: string,
  table: Readonly<Record<string, readonly string[]>>,
  base: readonly string[],
): PictureDataset {
  const classes = Object.entries(table).map(([word, words], index) => ({ index, name: word, words }));
  const attributes = [0, 1, 2].map((place) => [...new Set(classes.map(({ words }) => words[place]!))]);
  return {
    name,
    attributes,
    said: [2, 3],
    classes,
    base: base.map((word) => classes.find((one) => one.name === word)!),
    fresh: classes.filter((one) => !base.includes(one.name)),
    list: 4,
  };
}

/** Colour and shape; texture and count; Fashion-MNIST; handwritten digits. */
export const pictureDatasets: readonly PictureDataset[] = [
  drawn("D0", COLOURS, SHAPES),
  drawn("D1", TEXTURES, COUNTS),
  real("D2", CLOTHES, ["dress", "tshirt", "sneaker", "bag", "shirt"]),
  real("D3", DIGITS, ["digit9", "digit0", "digit7", "digit4", "digit6"]),
];

/** The words of the laboratory's vision-language model in the order of their ids, [89]. */
export function picturesVocabulary(): string[] {
  return [
    ...["<pad>", "<bos>", "<eos>", "<image>", "<fake_token_around_image>", "<global-img>"],
    ...["<end_of_utterance>", "<think>", "</think>", "<answer>", "</answer>"],
    ...["|", "[think]", "[direct]", "its", "where"],
    ...LOOKS.flat(),
    ...Object.keys(CLOTHES),
    ...Object.keys(DIGITS),
    ...["upper", "lower", "whole", "shoe", "held", "short", "long", "nolength", "plain", "open", "buttons"],
    ...["loop0", "loop1", "loop2", "straight", "round", "mixed", "top", "bottom", "even"],
    ...PLACES,
  ];
}
