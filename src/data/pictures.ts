/**
 * Task `pictures` of the laboratory: few-shot classification of drawn and real pictures, after the base-to-new and cross-dataset
 * protocols of arXiv:2503.16188. The prompt shows a picture of 32 x 32 pixels and lists candidates:
 *
 *   <image> | red disc blue ring white ex pink ring cyan plus red frame [direct]
 *
 * Answers: `red disc`, or `<think> two red checks </think> <answer> red disc </answer>`, or with the answer first.
 */
import { DataError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import type { Picture, Prompt, PromptSource } from "../types.ts";
import { drawChoices } from "./choices.ts";
import { defineDataset } from "./define.ts";
import { DEBIAN_FASHION, fashionFiles } from "./fashion.ts";
import { answerFirstTarget, bestFit, directTarget, shuffled, thinkingTarget } from "./named-targets.ts";
import { exchanged, greyPicture, PictureAlbum } from "./pictures-album.ts";
import { type PicturesOptions, picturesOptions } from "./pictures-options.ts";
import { type PictureClass, type PictureDataset, pictureDatasets } from "./pictures-world.ts";

/** Shares of the datasets in the pretraining mixture, of those that there are pictures of. */
const MIXTURE = [34, 29, 24, 10];
/** Where a picture stands; a model's processor writes image tokens there. */
const PLACEHOLDER = "<image>";

type Candidates = readonly PictureClass[];

const namesOf = (candidates: Candidates) => candidates.map(({ name }) => name);

/** Some true words in any order, each now and then replaced by a value of its attribute. */
function say(
  { attributes, said }: PictureDataset,
  words: readonly string[],
  misread: number,
  rng: Rng,
): string[] {
  const count = said[0] + rng.integer(said[1] - said[0] + 1, 0);
  return rng
    .fork("attributes")
    .permutation(words.length)
    .slice(0, count)
    .map((attribute) => {
      const values = attributes[attribute]!;
      const draw = rng.fork("word", attribute);
      return draw.uniform(0) < misread ? values[draw.integer(values.length, 1)]! : words[attribute]!;
    });
}

interface Question {
  id: string;
  label: PictureClass;
  /** In the order of the prompt. */
  candidates: Candidates;
  picture: Picture;
  thinks: boolean;
  slices: Record<string, string>;
}

function toPrompt({ id, label, candidates, picture, thinks, slices }: Question): Prompt {
  const list = namesOf(candidates);
  const mode = thinks ? "[think]" : "[direct]";
  return {
    id,
    input: { kind: "text", text: `${PLACEHOLDER} | ${list.join(" ")} ${mode}`, pictures: [picture] },
    answer: label.name,
    slices,
    fields: {
      choices: list,
      // words that speak for each candidate: what a think block may give as reasons
      evidence: Object.fromEntries(candidates.map(({ name, words }) => [name, words])),
      readable: slices["readable"] !== "no",
    },
  };
}

function wantsThought({ mode, think_share }: PicturesOptions, rng: Rng): boolean {
  return mode === "mixed" ? rng.uniform(0) < think_share : mode !== "direct";
}

function drawDataset(available: readonly number[], rng: Rng): number {
  const total = available.reduce((sum, dataset) => sum + MIXTURE[dataset]!, 0);
  let left = rng.uniform(0) * total;
  for (const dataset of available) {
    left -= MIXTURE[dataset]!;
    if (left < 0) return dataset;
  }
  return available.at(-1)!;
}

/** Lists of 4 to 6 classes; for colours and shapes half of them from a block of 3 x 3. */
function pretrainingPrompt(index: number, options: PicturesOptions, album: PictureAlbum, rng: Rng): Prompt {
  const which = drawDataset(album.datasets, rng.fork("dataset"));
  const dataset = pictureDatasets[which]!;
  const lists = rng.fork("list");
  let pool = dataset.classes;
  if (which === 0 && lists.uniform(0) < 0.5) {
    const three = (values: readonly string[], name: string) =>
      new Set(shuffled(values, lists.fork(name)).slice(0, 3));
    const [colours, shapes] = [
      three(dataset.attributes[0]!, "colours"),
      three(dataset.attributes[1]!, "shapes"),
    ];
    pool = pool.filter(({ words: [colour, shape] }) => colours.has(colour!) && shapes.has(shape!));
  }
  const candidates = shuffled(pool, lists.fork("classes")).slice(0, 4 + lists.integer(3, 1));
  const label = candidates[lists.integer(candidates.length, 2)]!;
  const { picture, words } = album.any(which, label, rng.fork("picture"));
  const thinks = wantsThought(options, rng.fork("mode"));
  const prompt = toPrompt({
    id: `pictures-pretraining-${index}`,
    label,
    candidates,
    picture: control(options, picture, () => {
      const other = rng.fork("exchanged");
      return album.any(
        which,
        dataset.classes[other.integer(dataset.classes.length, 0)]!,
        other.fork("picture"),
      ).picture;
    }),
    thinks,
    slices: { mode: thinks ? "think" : "direct", dataset: dataset.name },
  });
  const { imperfections: faults, mode } = options;
  const draw = rng.fork("target");
  if (!thinks) return { ...prompt, target: directTarget(label.name, namesOf(candidates), faults, draw) };
  const said = say(dataset, words, faults.misread, draw.fork("said"));
  if (mode === "answer_first") {
    return { ...prompt, target: answerFirstTarget(label.name, said, namesOf(candidates), faults, draw) };
  }
  const fit = (one: PictureClass) => said.filter((word) => one.words.includes(word)).length;
  return { ...prompt, target: thinkingTarget(said, bestFit(candidates, fit, draw).name, faults, draw) };
}

/** The picture itself, or what a control shows instead. */
function control({ pictures }: PicturesOptions, own: Picture, other: () => Picture): Picture {
  return pictures === "as_they_are" ? own : pictures === "grey" ? greyPicture : other();
}

/** Shots of one dataset, class by class. Their targets are the bare labels. */
function fewShots(options: PicturesOptions, album: PictureAlbum, runSeed: number, stream: Rng): PromptSource {
  const { dataset: which, shots } = options;
  const { base, list, name } = pictureDatasets[which]!;
  const unreadable = Math.round(shots * options.unreadable);
  const size = base.length * shots;
  const readable = (index: number) => {
    const order = stream.fork(which, "unreadable", Math.floor(index / shots)).permutation(shots);
    return !order.slice(0, unreadable).includes(index % shots);
  };
  const picture = (index: number): Picture => {
    const rng = stream.fork(which, index, "picture");
    if (!readable(index)) return album.collage(which, rng.fork("collage"));
    const label = base[Math.floor(index / shots)]!;
    return album.nth(which, label, index % shots, ["shots", options.seed, runSeed], rng).picture;
  };
  const others = exchanged(size, stream.fork(which, "exchanged"));
  return {
    name: `pictures ${name} (${shots} shots)`,
    size,
    at: (index) => {
      const rng = stream.fork(which, index);
      const label = base[Math.floor(index / shots)]!;
      const thinks = wantsThought(options, rng.fork("mode"));
      const names = drawChoices(label.name, namesOf(base), list, rng.fork("list"));
      const prompt = toPrompt({
        id: `pictures-${name}-shot-${index}`,
        label,
        candidates: names.map((one) => base.find((each) => each.name === one)!),
        picture: control(options, picture(index), () => picture(others[index]!)),
        thinks,
        slices: { readable: readable(index) ? "yes" : "no" },
      });
      return thinks ? prompt : { ...prompt, target: label.name };
    },
  };
}

/** A half of a dataset as a test shows it. */
interface Cell {
  which: number;
  half: "base" | "new";
  labels: Candidates;
  /** Items of it in this test. */
  size: number;
}

/** Base and new classes of one's own dataset, then both of each other dataset, in turn. */
function cellsOf(
  { dataset: own, items_per_cell, items_per_other }: PicturesOptions,
  album: PictureAlbum,
): Cell[][] {
  const cell = (which: number, half: Cell["half"], size: number): Cell => ({
    which,
    half,
    labels: pictureDatasets[which]![half === "base" ? "base" : "fresh"],
    size,
  });
  const others = album.datasets.filter((which) => which !== own);
  return [
    [cell(own, "base", items_per_cell)],
    [cell(own, "new", items_per_cell)],
    ...others.map((which) => [
      cell(which, "base", Math.ceil(items_per_other / 2)),
      cell(which, "new", Math.floor(items_per_other / 2)),
    ]),
  ];
}

function tests(options: PicturesOptions, album: PictureAlbum, stream: Rng): PromptSource {
  const cells = cellsOf(options, album);
  const places = cells.flatMap((halves, group) =>
    Array.from({ length: halves.reduce((sum, { size }) => sum + size, 0) }, (_, place) => ({
      cell: halves[place % halves.length]!,
      within: Math.floor(place / halves.length),
      split: group === 0 ? "base" : group === 1 ? "new" : "other",
    })),
  );
  const others = new Map(
    cells.flat().map((cell) => [cell, exchanged(cell.size, stream.fork("exchanged", cell.which, cell.half))]),
  );
  const picture = ({ which, half, labels }: Cell, within: number): Picture => {
    const rng = stream.fork(which, half, within, "picture");
    const round = Math.floor(within / labels.length);
    return album.nth(which, labels[within % labels.length]!, round, ["test", options.seed], rng).picture;
  };
  return {
    name: `pictures (D${options.dataset} trained)`,
    size: places.length,
    at: (index) => {
      const { cell, within, split } = places[index]!;
      const { which, half, labels } = cell;
      const { name, list } = pictureDatasets[which]!;
      const label = labels[within % labels.length]!;
      const rng = stream.fork(which, half, within);
      const names = drawChoices(label.name, namesOf(labels), list, rng.fork("list"));
      return toPrompt({
        // an item is named by what it is, so that it is the same whichever dataset is trained on
        id: `pictures-${name}-${half}-${within}`,
        label,
        candidates: names.map((one) => labels.find((each) => each.name === one)!),
        picture: control(options, picture(cell, within), () => picture(cell, others.get(cell)![within]!)),
        thinks: wantsThought(options, rng.fork("mode")),
        slices: { split, dataset: name },
      });
    },
  };
}

/** @throws DataError where the options ask for more real pictures than there are */
function checkSupply(options: PicturesOptions, album: PictureAlbum): void {
  const { use, dataset, shots } = options;
  const refuse = (key: string, which: number, label: PictureClass, wanted: number) => {
    const { name } = pictureDatasets[which]!;
    throw new DataError(
      `pictures: ${key} asks for ${wanted} different pictures of ${label.name} (${name}), and ${album.count(which, label)} are kept for ${use === "test" ? "tests" : "shots"}; lower ${key}.`,
    );
  };
  if (use === "few_shot") {
    const short = pictureDatasets[dataset]!.base.find((label) => album.count(dataset, label) < shots);
    if (short !== undefined) refuse("shots", dataset, short, shots);
  }
  if (use !== "test") return;
  for (const [group, halves] of cellsOf(options, album).entries()) {
    for (const { which, labels, size } of halves) {
      for (const [place, label] of labels.entries()) {
        const wanted = Math.ceil((size - place) / labels.length);
        if (album.count(which, label) < wanted) {
          refuse(group < 2 ? "items_per_cell" : "items_per_other", which, label, wanted);
        }
      }
    }
  }
}

/**
 * @param runSeed draws the pretraining stream and the few-shot training set; test items are the same for all runs
 * @throws DataError where Fashion-MNIST is asked for and not there, and where there are too few pictures
 */
export function picturesSource(options: PicturesOptions, runSeed: number): PromptSource {
  if (options.use !== "pretraining" && options.dataset === 2 && options.fashion === undefined) {
    throw new DataError(
      `pictures: dataset 2 is Fashion-MNIST, which does not come with rlpt. Set \`fashion\` to the folder with its four files; Debian's package dataset-fashion-mnist has them in ${DEBIAN_FASHION}.`,
    );
  }
  const stream = createRng(options.seed).fork("pictures", options.use, options.use === "test" ? -1 : runSeed);
  const album = new PictureAlbum(options.use, options.fashion);
  checkSupply(options, album);
  switch (options.use) {
    case "pretraining":
      return {
        name: "pictures (pretraining)",
        size: null,
        at: (index) => pretrainingPrompt(index, options, album, stream.fork(index)),
      };
    case "few_shot":
      return fewShots(options, album, runSeed, stream);
    case "test":
      return tests(options, album, stream);
    default: {
      const unreachable: never = options.use;
      throw new Error(`use ${unreachable}`);
    }
  }
}

export const pictures = defineDataset({
  kind: "pictures",
  options: picturesOptions,
  pool: ({ use, dataset, shots }) => ({
    key: "shots",
    size: use === "few_shot" ? pictureDatasets[dataset]!.base.length * shots : undefined,
  }),
  slices: () => [],
  files: async ({ fashion }) => (fashion === undefined ? [] : fashionFiles(fashion)),
  open: (options, { seed }) => picturesSource(options, seed),
});
