/** CoOp's lists of pictures: its split files, ImageNet's folders, and FGVC-Aircraft's own lists. */
import { readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { DataError, describeSystemError } from "../../lib/errors.ts";
import { FileReadError, isFolder, readRegularFile } from "../../lib/regular-file.ts";
import { type LabelledPath, type LabelledSet, shownNames } from "../classification.ts";
import { COOP_DATASETS } from "../coop-layout.ts";
import type { CoopOptions } from "../coop-options.ts";
import type { Place } from "../row-faults.ts";
import { picturesBelow } from "./class-folders.ts";

type Part = "train" | "val" | "test";

/** Bytes; SUN397's split file has some 3 MB. */
const LARGEST_LIST = 256 << 20;

/** Pictures with labels and names, as a list has them. */
interface Lists {
  items: LabelledPath[];
  /** By label, of the training list: its order and its labels make the halves. */
  names: ReadonlyMap<number, string>;
  /** Folder that paths begin in, where it is not the dataset's folder of pictures. */
  root?: string;
  placeOf(item: LabelledPath): Place;
}

/** Files that say which pictures there are. @throws DataError where the dataset's folder is not there */
export function listFiles({ path, dataset }: Pick<CoopOptions, "path" | "dataset">): string[] {
  const { folder, split } = COOP_DATASETS[dataset];
  const at = join(resolve(path), folder);
  if (split !== null) return [join(at, split)];
  return (dataset === "imagenet" ? ["classnames.txt"] : AIRCRAFT_FILES).map((name) => join(at, name));
}

/** @throws DataError where a list or a folder is not there, or a list is not of CoOp's form */
export function readCoop(options: CoopOptions, part: Part): LabelledSet {
  const { dataset } = options;
  const layout = COOP_DATASETS[dataset];
  const folder = join(resolve(options.path), layout.folder);
  const pictures = join(folder, layout.pictures);
  for (const each of [folder, pictures]) {
    if (isFolder(each)) continue;
    throw new DataError(
      `${each}: there is no such folder. ${dataset} lies in ${relative(resolve(options.path), pictures)} below path, as CoOp's DATASETS.md says.`,
    );
  }
  const {
    items,
    names,
    placeOf,
    root = pictures,
  } = layout.split !== null
    ? splitFile(join(folder, layout.split), part)
    : dataset === "imagenet"
      ? imagenet(folder, pictures, part, options.follow_links)
      : aircraft(folder, part);
  // labels of the training list, in their order, are the classes
  const labels = [...names.keys()].sort((a, b) => a - b);
  const index = new Map(labels.map((label, place) => [label, place]));
  const classes = labels.map((label) => names.get(label)!);
  return {
    name: `${dataset} (${part})`,
    root: { folder: root, followLinks: options.follow_links },
    classes,
    shown: shownNames(classes, options.spaces_for),
    base: null,
    items: items.map((item) => ({ ...item, id: `${dataset}/${item.id}`, label: index.get(item.label)! })),
    question: options.question ?? layout.question,
    slices: { dataset },
    placeOf,
  };
}

function textOf(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readRegularFile(path, LARGEST_LIST));
  } catch (error) {
    const reason = error instanceof FileReadError ? error.message : "it is not UTF-8 text";
    throw new DataError(`${path}: cannot read this list of pictures: ${reason}.`, { cause: error });
  }
}

type Entry = [path: string, label: number, name: string];

/** `{train, val, test}`, each a list of [path, label, class name]. */
function splitFile(path: string, part: Part): Lists {
  const text = textOf(path);
  let value: Partial<Record<Part, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    throw new DataError(`${path}: is no JSON: ${describeSystemError(error)}. Fetch it again.`, {
      cause: error,
    });
  }
  const listOf = (which: Part): Entry[] => {
    const list: unknown = value?.[which];
    if (!Array.isArray(list) || list.length === 0)
      throw new DataError(`${path}: has no list ${which}; a split file has train, val and test.`);
    const bad = list.findIndex((entry) => !isEntry(entry));
    if (bad >= 0)
      throw new DataError(
        `${path}: entry ${bad + 1} of ${which} is ${JSON.stringify(list[bad])?.slice(0, 80)}, not [path, label, class name].`,
      );
    return list as Entry[];
  };
  const train = listOf("train");
  const names = namesOf(path, train);
  const entries = part === "train" ? train : listOf(part);
  const unknown = entries.find(([, label]) => !names.has(label));
  if (unknown !== undefined)
    throw new DataError(`${path}: ${part} has the label ${unknown[1]} (${unknown[2]}), which train has not.`);
  let lines: Map<string, number> | undefined;
  return {
    names,
    items: distinct(path, part, entries),
    placeOf: (item) => {
      lines ??= linesOf(text);
      return { path, line: lines.get(item.path) ?? 1 };
    },
  };
}

const isEntry = (entry: unknown): entry is Entry =>
  Array.isArray(entry) &&
  entry.length === 3 &&
  typeof entry[0] === "string" &&
  Number.isSafeInteger(entry[1]) &&
  entry[1] >= 0 &&
  typeof entry[2] === "string" &&
  entry[2].trim() !== "";

function namesOf(path: string, entries: readonly Entry[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const [, label, name] of entries) {
    const known = names.get(label);
    if (known !== undefined && known !== name)
      throw new DataError(`${path}: label ${label} is called both ${known} and ${name}.`);
    names.set(label, name);
  }
  return names;
}

function distinct(path: string, part: Part, entries: readonly Entry[]): LabelledPath[] {
  const seen = new Set<string>();
  return entries.map(([picture, label]) => {
    if (seen.has(picture)) throw new DataError(`${path}: ${part} lists ${picture} twice. Remove one.`);
    seen.add(picture);
    return { path: picture, id: picture, label };
  });
}

/** Lines of a split file at which its pictures' paths stand. */
function linesOf(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  let line = 1;
  let from = 0;
  for (const match of text.matchAll(/\[\s*("(?:[^"\\]|\\.)*")\s*,\s*\d/g)) {
    const at = match.index + match[0].indexOf('"');
    for (let i = text.indexOf("\n", from); i !== -1 && i < at; i = text.indexOf("\n", i + 1)) line++;
    from = at;
    const picture = JSON.parse(match[1]!) as string;
    if (!lines.has(picture)) lines.set(picture, line);
  }
  return lines;
}

/** classnames.txt says "n01440764 tench"; pictures lie in images/train/n01440764 and images/val/n01440764. */
function imagenet(folder: string, pictures: string, part: Part, followLinks: boolean): Lists {
  const list = join(folder, "classnames.txt");
  const called = new Map(
    linesWithText(list).map(({ text, line }) => {
      const [, id, name] = /^(\S+)\s+(\S.*)$/.exec(text) ?? [];
      if (id === undefined || name === undefined)
        throw new DataError(
          `${list}:${line}: ${JSON.stringify(text.slice(0, 60))} is no folder with a class name.`,
        );
      return [id, name] as const;
    }),
  );
  const which = part === "train" ? "train" : "val";
  const root = join(pictures, which);
  if (!isFolder(root))
    throw new DataError(`${root}: there is no such folder. It holds a folder for each class.`);
  const ids = readdirSync(root, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith(".") && isFolder(join(root, name)))
    .map(({ name }) => name)
    .sort();
  if (ids.length === 0) throw new DataError(`${root}: holds no folders; ImageNet has one for each class.`);
  const names = new Map(
    ids.map((id, label) => {
      const name = called.get(id);
      if (name === undefined) throw new DataError(`${list}: has no name for the folder ${id} of ${root}.`);
      return [label, name] as const;
    }),
  );
  const items = ids.flatMap((id, label) =>
    picturesBelow(join(root, id), followLinks, root).map((path): LabelledPath => {
      const below = relative(root, path).replaceAll("\\", "/");
      return { path: below, id: `${which}/${below}`, label };
    }),
  );
  return { names, items, root, placeOf: ({ path }) => ({ path: join(root, path), line: 1 }) };
}

const AIRCRAFT_FILES = [
  "variants.txt",
  "images_variant_train.txt",
  "images_variant_val.txt",
  "images_variant_test.txt",
] as const;

/** Lines say "1025794 707-320"; variants.txt has the classes in their order. */
function aircraft(folder: string, part: Part): Lists {
  const variants = join(folder, "variants.txt");
  const order = linesWithText(variants).map(({ text }) => text);
  const list = join(folder, `images_variant_${part}.txt`);
  const lines = new Map<string, number>();
  const items = linesWithText(list).map(({ text, line }): LabelledPath => {
    const [, number, name] = /^(\S+)\s+(\S.*)$/.exec(text) ?? [];
    const label = order.indexOf(name ?? "");
    if (number === undefined || label < 0)
      throw new DataError(
        `${list}:${line}: ${JSON.stringify(text.slice(0, 60))} is no picture with a class of ${variants}.`,
      );
    const path = `${number}.jpg`;
    if (lines.has(path)) throw new DataError(`${list}:${line}: lists ${number} a second time. Remove one.`);
    lines.set(path, line);
    return { path, id: path, label };
  });
  if (items.length === 0) throw new DataError(`${list}: the list is empty.`);
  return {
    names: new Map(order.map((name, label) => [label, name])),
    items,
    placeOf: ({ path }) => ({ path: list, line: lines.get(path) ?? 1 }),
  };
}

function linesWithText(path: string): { text: string; line: number }[] {
  return textOf(path)
    .split("\n")
    .map((text, index) => ({ text: text.trim(), line: index + 1 }))
    .filter(({ text }) => text !== "");
}
