/**
 * Few-shot classification of pictures, as CoOp draws it and CLS-RL (arXiv:2503.16188) asks it: a picture, a list of candidate names,
 * which is it? Draws are functions of the seed and of a picture's own path, so that they stay when other pictures come or go.
 */
import { createRng, type Rng } from "../lib/rng.ts";
import type { ChatMessage, Prompt, PromptSource } from "../types.ts";
import { choiceListSize, drawChoices } from "./choices.ts";
import type { ClassificationOptions } from "./classification-options.ts";
import {
  type DataPicture,
  filePicture,
  type PictureRoot,
  quoted,
  SourceFault,
} from "./own-pictures/file-picture.ts";
import { placed } from "./own-pictures/placing.ts";
import { KEPT_FAULTS, type Place, type PlacedFault, RowFaultsError } from "./row-faults.ts";
import { fillTemplate, templateColumns } from "./template.ts";

/** A picture with its class, before anyone looked whether it is there. */
export interface LabelledPath {
  /** Relative to the root, or as a list has it. */
  path: string;
  /** Names the prompt; no other picture has it. */
  id: string;
  /** Index into `classes`. */
  label: number;
}

export interface LabelledSet {
  /** For messages. */
  name: string;
  root: PictureRoot;
  /** Names as folders or lists have them, in the order that counts. */
  classes: readonly string[];
  /** What is shown of each. */
  shown: readonly string[];
  /** Classes of the base half; null: the first half, rounded up. */
  base: readonly string[] | null;
  items: readonly LabelledPath[];
  question: string;
  /** Further slices of every prompt. */
  slices: Readonly<Record<string, string>>;
  /** Where a picture is listed, for faults. */
  placeOf(item: LabelledPath): Place;
}

/** Classes that are candidates together. */
interface Half {
  labels: ReadonlySet<number>;
  names: readonly string[];
  slices: Readonly<Record<string, string>>;
}

/** Names as they are shown: characters that stand for blanks become them. */
export function shownNames(classes: readonly string[], spacesFor: readonly string[]): string[] {
  return classes.map((name) => [...name].map((each) => (spacesFor.includes(each) ? " " : each)).join(""));
}

/** Labels of the base half: of the classes that are there, the first half, rounded up (CoOp's rule). */
export function baseLabels({ classes, base }: Pick<LabelledSet, "classes" | "base">): Set<number> {
  const first = Math.ceil(classes.length / 2);
  return new Set(
    classes.flatMap((name, label) => ((base === null ? label < first : base.includes(name)) ? [label] : [])),
  );
}

function halvesOf(set: LabelledSet, half: ClassificationOptions["half"]): Half[] {
  const all = set.classes.map((_, label) => label);
  const of = (labels: readonly number[], slices: Half["slices"]): Half => ({
    labels: new Set(labels),
    // two of ImageNet's classes may have one name, which a list shows once
    names: [...new Set(labels.map((label) => set.shown[label]!))],
    slices,
  });
  if (half === "all") return [of(all, {})];
  const base = baseLabels(set);
  const halves = [
    of(
      all.filter((label) => base.has(label)),
      { split: "base" },
    ),
    of(
      all.filter((label) => !base.has(label)),
      { split: "new" },
    ),
  ];
  return half === "both" ? halves : [halves[half === "base" ? 0 : 1]!];
}

/** `count` of the items, or all where there are fewer, in their order. */
function drawn<Item extends { id: string }>(items: readonly Item[], count: number, rng: Rng): Item[] {
  if (items.length <= count) return [...items];
  const ranked = items.map((item) => ({ item, rank: rng.fork(item.id).uint32(0) }));
  // code units decide where two ranks are the same
  ranked.sort((a, b) => a.rank - b.rank || (a.item.id < b.item.id ? -1 : 1));
  const chosen = new Set(ranked.slice(0, count).map(({ item }) => item));
  return items.filter((item) => chosen.has(item));
}

/**
 * @param note is told how many pictures were left out
 * @throws RowFaultsError naming pictures that cannot be read
 */
export function classificationSource(
  set: LabelledSet,
  options: ClassificationOptions,
  note: (text: string, level: "warning") => void,
): PromptSource {
  const rng = createRng(options.seed);
  const halves = halvesOf(set, options.half);
  const halfOf = (label: number) => halves.find(({ labels }) => labels.has(label));
  const byClass = new Map<number, LabelledPath[]>();
  for (const item of set.items) {
    if (halfOf(item.label) === undefined) continue;
    const same = byClass.get(item.label);
    if (same === undefined) byClass.set(item.label, [item]);
    else same.push(item);
  }
  const labels = [...byClass.keys()].sort((a, b) => a - b);
  const shots = options.shots ?? Number.POSITIVE_INFINITY;
  const chosen = labels.flatMap((label) => drawn(byClass.get(label)!, shots, rng.fork("shots")));
  const asked = evenly(chosen, options.limit);
  const rows: { item: LabelledPath; picture: DataPicture }[] = [];
  const first: PlacedFault[] = [];
  let count = 0;
  for (const item of asked) {
    try {
      rows.push({ item, picture: filePicture(item.path, set.root) });
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      count++;
      const reason = `the picture ${quoted(item.path)} ${error.message}`;
      if (first.length < KEPT_FAULTS) first.push({ ...set.placeOf(item), reason });
    }
  }
  if (rows.length === 0 || (count > 0 && options.on_bad_row === "error"))
    throw new RowFaultsError(
      { first, count },
      asked.length,
      "check path, half and classes against the folder",
    );
  if (count > 0)
    note(`${set.name}: ${count} pictures left out; of the first, ${first[0]!.reason}`, "warning");
  const lists = templateColumns(options.prompt).includes("choices");
  return {
    name: set.name,
    size: rows.length,
    at(index) {
      const { item, picture } = rows[index]!;
      const { names, slices } = halfOf(item.label)!;
      const answer = set.shown[item.label]!;
      const size = choiceListSize(names.length, options.share);
      const choices = lists ? drawChoices(answer, names, size, rng.fork("choices", item.id)) : [];
      return toPrompt(set, options, { item, picture, answer, choices, slices });
    },
  };
}

function evenly<Item>(items: readonly Item[], limit: number | undefined): readonly Item[] {
  if (limit === undefined || limit >= items.length) return items;
  return Array.from({ length: limit }, (_, i) => items[Math.floor((i * items.length) / limit)]!);
}

function toPrompt(
  set: LabelledSet,
  options: ClassificationOptions,
  row: {
    item: LabelledPath;
    picture: DataPicture;
    answer: string;
    choices: string[];
    slices: Half["slices"];
  },
): Prompt {
  const { item, picture, answer, choices } = row;
  const text = fillTemplate(options.prompt, (column) =>
    column === "choices" ? choices.join(", ") : set.question,
  );
  const user = (): ChatMessage => ({
    role: "user",
    content: placed(text, [picture], options.picture_marker),
  });
  const system: ChatMessage[] =
    options.system === undefined ? [] : [{ role: "system", content: options.system }];
  return {
    id: item.id,
    input: options.chat
      ? { kind: "chat", messages: [...system, user()] }
      : { kind: "text", text, pictures: [picture] },
    answer,
    target: answer,
    slices: { ...set.slices, ...row.slices },
    fields: { picture: picture.name, label: answer, ...(choices.length === 0 ? {} : { choices }) },
  };
}
