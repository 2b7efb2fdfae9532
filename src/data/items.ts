/**
 * Task `items` of the laboratory: few-shot classification in text, after the base-to-new and cross-dataset
 * protocols of arXiv:2503.16188. An item is a bag of noisy glimpses of six attributes, a class name is two words
 * tied to an attribute pattern, and the prompt lists the candidates:
 *
 *   d3 b2 b0 a3 f4 f4 e3 | G5 s1 , G3 s7 , G2 s5 , G1 s1 [direct]
 *
 * Answers: `G2 s5`, or `<think> e3 f4 a3 </think> <answer> G2 s5 </answer>`, or with the answer first.
 */
import { createRng, type Rng } from "../lib/rng.ts";
import type { Prompt, PromptSource } from "../types.ts";
import { defineDataset } from "./define.ts";
import { type ItemsOptions, itemsOptions } from "./items-options.ts";
import { ATTRIBUTES, DATASETS, type ItemClass, itemsWorld, VALUES } from "./items-world.ts";
import { answerFirstTarget, bestFit, directTarget, shuffled, thinkingTarget } from "./named-targets.ts";

const GLIMPSES = 2;
/** Probability that a glimpse is missing. */
const MISSING = 0.2;
/** Probability that a glimpse shows any value of its attribute. */
const NOISE = 0.25;

/** One value of one attribute, as it was seen. */
export interface Glimpse {
  attribute: number;
  value: number;
}

const glimpseWord = ({ attribute, value }: Glimpse): string => `${ATTRIBUTES[attribute]}${value}`;

/** @param readable false: every glimpse is uniform, and the item shows nothing of its class */
export function drawGlimpses(item: ItemClass, readable: boolean, rng: Rng): Glimpse[] {
  const seen: Glimpse[] = [];
  for (let attribute = 0; attribute < ATTRIBUTES.length; attribute++) {
    for (let k = 0; k < GLIMPSES; k++) {
      const draw = rng.fork(attribute, k);
      if (draw.uniform(0) < MISSING) continue;
      const noisy = !readable || draw.uniform(1) < NOISE;
      seen.push({ attribute, value: noisy ? draw.integer(VALUES, 5) : item.values[attribute]! });
    }
  }
  return shuffled(seen, rng.fork("order"));
}

/** How many of these glimpses a class has: what the best-fitting candidate has most of. */
export function fitOf(glimpses: readonly Glimpse[], { values }: ItemClass): number {
  return glimpses.filter(({ attribute, value }) => values[attribute] === value).length;
}

/** 2 to 6 attributes, one glimpse each, in any order. */
function restate(seen: readonly Glimpse[], rng: Rng): Glimpse[] {
  const count = 2 + rng.integer(ATTRIBUTES.length - 1, 0);
  return rng
    .fork("attributes")
    .permutation(ATTRIBUTES.length)
    .map((attribute) => seen.filter((glimpse) => glimpse.attribute === attribute))
    .filter((views) => views.length > 0)
    .slice(0, count)
    .map((views, place) => views[rng.fork("view").integer(views.length, place)]!);
}

interface Question {
  id: string;
  item: ItemClass;
  /** In the order of the prompt. */
  candidates: readonly ItemClass[];
  glimpses: readonly Glimpse[];
  thinks: boolean;
  slices: Record<string, string>;
}

function toPrompt({ id, item, candidates, glimpses, thinks, slices }: Question): Prompt {
  const list = candidates.map(({ name }) => name);
  const mode = thinks ? "[think]" : "[direct]";
  return {
    id,
    input: { kind: "text", text: `${glimpses.map(glimpseWord).join(" ")} | ${list.join(" , ")} ${mode}` },
    answer: item.name,
    slices,
    fields: {
      choices: list,
      // words that speak for each candidate: what a think block may give as reasons
      evidence: Object.fromEntries(
        candidates.map((one) => [
          one.name,
          one.values.map((value, attribute) => glimpseWord({ attribute, value })),
        ]),
      ),
      readable: slices["readable"] !== "no",
    },
  };
}

function wantsThought({ mode, think_share }: ItemsOptions, rng: Rng): boolean {
  return mode === "mixed" ? rng.uniform(0) < think_share : mode !== "direct";
}

/** Lists of 4 to 8 classes, half of them from all 64, half from a block of 4 genera x 4 species. */
function pretrainingPrompt(index: number, options: ItemsOptions, rng: Rng): Prompt {
  const { classes } = itemsWorld();
  const lists = rng.fork("list");
  const genera = new Set(lists.fork("genera").permutation(8).slice(0, 4));
  const species = new Set(lists.fork("species").permutation(8).slice(0, 4));
  const block = lists.uniform(0) < 0.5;
  const pool = block ? classes.filter((c) => genera.has(c.genus) && species.has(c.species)) : classes;
  const candidates = shuffled(pool, lists.fork("classes")).slice(0, 4 + lists.integer(5, 1));
  const item = candidates[lists.integer(candidates.length, 2)]!;
  const glimpses = drawGlimpses(item, true, rng.fork("glimpses"));
  const thinks = wantsThought(options, rng.fork("mode"));
  const id = `items-pretraining-${index}`;
  const prompt = toPrompt({
    id,
    item,
    candidates,
    glimpses,
    thinks,
    slices: { mode: thinks ? "think" : "direct" },
  });
  const { imperfections: faults, mode } = options;
  const draw = rng.fork("target");
  const names = candidates.map(({ name }) => name);
  if (mode === "answer_first") {
    const reason = restate(glimpses, draw.fork("reason")).map(glimpseWord);
    return { ...prompt, target: answerFirstTarget(item.name, reason, names, faults, draw) };
  }
  if (!thinks) return { ...prompt, target: directTarget(item.name, names, faults, draw) };
  const said = restate(glimpses, draw);
  const answer = bestFit(candidates, (one) => fitOf(said, one), draw);
  return { ...prompt, target: thinkingTarget(said.map(glimpseWord), answer.name, faults, draw) };
}

/** Item `index` of the training set: class by class, `shots` each. Its target is the bare label. */
function fewShotPrompt(index: number, options: ItemsOptions, rng: Rng): Prompt {
  const { base } = itemsWorld().datasets[options.dataset]!;
  const item = base[Math.floor(index / options.shots)]!;
  const readable = rng.uniform(0) >= options.unreadable;
  const thinks = wantsThought(options, rng.fork("mode"));
  const prompt = toPrompt({
    id: `items-D${options.dataset}-shot-${index}`,
    item,
    candidates: shuffled(base, rng.fork("list")),
    glimpses: drawGlimpses(item, readable, rng.fork("glimpses")),
    thinks,
    slices: { readable: readable ? "yes" : "no" },
  });
  return thinks ? prompt : { ...prompt, target: item.name };
}

/**
 * Test cells in a row: base classes of the dataset, its new classes, then each other dataset, whose items come
 * from its base and new classes in turn. Candidates are always the 8 classes of the item's half.
 */
function testPrompt(index: number, options: ItemsOptions, stream: Rng): Prompt {
  const { items_per_cell: size, dataset: own } = options;
  const cell = Math.floor(index / size);
  const others = Array.from({ length: DATASETS }, (_, d) => d).filter((d) => d !== own);
  const dataset = cell < 2 ? own : others[cell - 2]!;
  const place = index % size;
  const isBase = cell < 2 ? cell === 0 : place % 2 === 0;
  const half = itemsWorld().datasets[dataset]![isBase ? "base" : "fresh"];
  const within = cell < 2 ? place : Math.floor(place / 2);
  // an item is named by what it is, so that it is the same whichever dataset is trained on
  const id = `items-D${dataset}-${isBase ? "base" : "new"}-${within}`;
  const rng = stream.fork(dataset, isBase ? 0 : 1, within);
  const item = half[within % half.length]!;
  return toPrompt({
    id,
    item,
    candidates: shuffled(half, rng.fork("list")),
    glimpses: drawGlimpses(item, true, rng.fork("glimpses")),
    thinks: wantsThought(options, rng.fork("mode")),
    slices: { split: cell < 2 ? (isBase ? "base" : "new") : "other", dataset: `D${dataset}` },
  });
}

/** @param runSeed draws the pretraining stream and the few-shot training set; test items are the same for all runs */
export function itemsSource(options: ItemsOptions, runSeed: number): PromptSource {
  const stream = createRng(options.seed).fork("items", options.use, options.use === "test" ? -1 : runSeed);
  switch (options.use) {
    case "pretraining":
      return {
        name: "items (pretraining)",
        size: null,
        at: (index) => pretrainingPrompt(index, options, stream.fork(index)),
      };
    case "few_shot":
      return {
        name: `items D${options.dataset} (${options.shots} shots)`,
        size: itemsWorld().datasets[options.dataset]!.base.length * options.shots,
        at: (index) => fewShotPrompt(index, options, stream.fork(options.dataset, index)),
      };
    case "test":
      return {
        name: `items (D${options.dataset} trained)`,
        size: (DATASETS + 1) * options.items_per_cell,
        at: (index) => testPrompt(index, options, stream),
      };
    default: {
      const unreachable: never = options.use;
      throw new Error(`use ${unreachable}`);
    }
  }
}

export const items = defineDataset({
  kind: "items",
  options: itemsOptions,
  pool: ({ use, shots }) => ({ key: "shots", size: use === "few_shot" ? 8 * shots : undefined }),
  slices: () => [],
  files: async () => [],
  open: (options, { seed }) => itemsSource(options, seed),
});
