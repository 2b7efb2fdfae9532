/** A dataset as the policy will read it: rows token by token, and what there is to count. */
import { createHash } from "node:crypto";
import type { Recipe } from "../config/schema.ts";
import { encodeExample, encodePrompt, encodeTarget, promptText } from "../rollouts/encode.ts";
import { picturesOf } from "../rollouts/pictures.ts";
import type { Picture, Prompt, Tokenizer } from "../types.ts";
import type { ModelFacts } from "./preflight-model.ts";
import { type PictureCounts, pictureContents, pictureTexts } from "./show-pictures.ts";
import { type DataPart, excess, learnsTargets, openStageSource, rowLimits } from "./stage-data.ts";

/** Text of one token, or of several that only together are characters. */
export interface ShownToken {
  text: string;
  /** It carries loss. */
  learnt: boolean;
}

export interface ShownRow {
  id: string;
  answer: string;
  slices: Readonly<Record<string, string>>;
  /** Of tokens: fewer texts are shown where several are one character, or one picture. */
  length: number;
  tokens: ShownToken[];
  /** "[image NAME WxH]" of each picture where the tokens do not show them: those of several tiles. */
  pictures?: string[];
}

/** Tokens a row: the smallest, those that half and 95% of the rows do not exceed, and the largest. */
export interface Lengths {
  least: number;
  median: number;
  p95: number;
  most: number;
}

export interface DataCounts {
  /** Of the dataset; null: it has no end. */
  size: number | null;
  /** Rows that the counts below are of. */
  counted: number;
  prompt: Lengths;
  /** Tokens that carry loss; null where completions are sampled. */
  learnt: Lengths | null;
  /** Rows with more tokens than the limits take, and these limits. */
  tooLong: number;
  limit: number;
  emptyAnswers: number;
  /** Rows whose rendered prompt an earlier row has, with the same pictures. */
  duplicates: number;
  /** Rows whose rendered prompt the other part has, too; null without another part. */
  overlap: number | null;
  /** null: no row has a picture. */
  pictures: PictureCounts | null;
}

export interface ShownData {
  part: DataPart;
  name: string;
  rows: ShownRow[];
  counts: DataCounts;
}

/** Rows that are counted: the first, all where there are fewer. */
const COUNTED = 20_000;

/**
 * @param first number of the first row that is shown
 * @throws DataError where data cannot be read, or a row cannot be encoded
 */
export async function showData(
  recipe: Recipe,
  part: DataPart,
  { tokenizer, positions }: ModelFacts,
  { rows, first, note }: { rows: number; first: number; note: (text: string) => void },
): Promise<ShownData> {
  const source = await openStageSource(recipe, part, tokenizer, positions, note);
  const learns = part === "train" && learnsTargets(recipe);
  const limits = rowLimits(recipe, part, positions);
  const counted = Math.min(source.size ?? 1000, COUNTED);
  const prompts: number[] = [];
  const learnt: number[] = [];
  const seen = new Set<string>();
  const counts = { tooLong: 0, emptyAnswers: 0, duplicates: 0 };
  const contents = pictureContents();
  const pictures = { all: 0, seen: new Set<string>(), duplicates: 0 };
  for (let index = 0; index < counted; index++) {
    const prompt = source.at(index);
    const tokens = tokensOf(recipe, tokenizer, prompt, learns);
    const read = tokens.learnt.filter((each) => !each).length;
    prompts.push(learns ? read : tokens.ids.length);
    learnt.push(tokens.ids.length - read);
    if (excess(tokenizer, prompt, limits) !== null) counts.tooLong++;
    if (prompt.answer === "") counts.emptyAnswers++;
    const own = picturesOf(prompt).map(contents.of);
    const key = keyOf(tokenizer, prompt, own);
    if (seen.has(key)) counts.duplicates++;
    seen.add(key);
    pictures.all += own.length;
    for (const picture of own) {
      if (pictures.seen.has(picture)) pictures.duplicates++;
      pictures.seen.add(picture);
    }
  }
  const shown = Array.from(
    { length: Math.max(0, Math.min(rows, (source.size ?? Number.POSITIVE_INFINITY) - first)) },
    (_, i) => {
      const prompt = source.at(first + i);
      const { id, answer, slices } = prompt;
      const { ids, learnt: marks } = tokensOf(recipe, tokenizer, prompt, learns);
      const texts = pictureTexts(prompt);
      const runs = imageRuns(tokenizer, ids);
      const inTokens = runs.size === texts.length;
      const tokens = pieces(tokenizer, ids, marks, runs, inTokens ? texts : null);
      return { id, answer, slices, length: ids.length, tokens, ...(inTokens ? {} : { pictures: texts }) };
    },
  );
  const overlap = await overlapOf(
    recipe,
    part,
    tokenizer,
    positions,
    { prompts: seen, pictures: pictures.seen },
    contents.of,
  );
  return {
    part,
    name: source.name,
    rows: shown,
    counts: {
      size: source.size,
      counted,
      prompt: lengthsOf(prompts),
      learnt: learns ? lengthsOf(learnt) : null,
      ...counts,
      limit: limits.example ?? limits.prompt,
      overlap: overlap?.prompts ?? null,
      pictures:
        pictures.all === 0
          ? null
          : {
              pictures: pictures.all,
              duplicates: pictures.duplicates,
              shared: overlap?.pictures ?? null,
              unread: contents.unread(),
            },
    },
  };
}

/** A row's ids and which of them carry loss: none where completions are sampled. */
function tokensOf(
  recipe: Recipe,
  tokenizer: Tokenizer,
  prompt: Prompt,
  learns: boolean,
): { ids: number[]; learnt: boolean[] } {
  const before = () => encodePrompt(tokenizer, prompt, Number.POSITIVE_INFINITY, "size").tokens;
  const joined = (read: ArrayLike<number>, completion: readonly number[], marks?: readonly boolean[]) => ({
    ids: [...Array.from(read), ...completion],
    learnt: [...Array.from(read, () => false), ...(marks ?? completion.map(() => true))],
  });
  if (!learns) return joined(before(), []);
  const { end_token: endToken } = recipe.algorithm as { end_token?: string | null };
  // of a pair what is preferred is shown; the other is held against it
  if (prompt.pair !== undefined)
    return joined(before(), encodeTarget(tokenizer, prompt, prompt.pair.chosen, endToken));
  const example = encodeExample(tokenizer, prompt, Number.POSITIVE_INFINITY, endToken, "size");
  return joined(example.prompt, example.completion, example.learnt);
}

/** Where image tokens stand without a break: beginnings and ends (excluded). A picture has one such run, or one for each tile. */
function imageRuns({ pictures }: Tokenizer, ids: readonly number[]): Map<number, number> {
  const runs = new Map<number, number>();
  if (pictures === undefined) return runs;
  for (let begin = 0; begin < ids.length; begin++) {
    if (ids[begin] !== pictures.imageTokenId) continue;
    let end = begin + 1;
    while (ids[end] === pictures.imageTokenId) end++;
    runs.set(begin, end);
    begin = end;
  }
  return runs;
}

/**
 * Tokens as texts. Bytes of a character that several tokens share are put together.
 * @param pictures texts in the places of runs of image tokens; null: these are shown as what they are
 */
function pieces(
  tokenizer: Tokenizer,
  ids: readonly number[],
  learnt: readonly boolean[],
  runs: ReadonlyMap<number, number>,
  pictures: readonly string[] | null,
): ShownToken[] {
  const shown: ShownToken[] = [];
  let picture = 0;
  let open: number[] = [];
  for (let index = 0; index < ids.length; index++) {
    const end = open.length === 0 ? runs.get(index) : undefined;
    if (end !== undefined) {
      const text = pictures?.[picture++] ?? `[${end - index} image tokens]`;
      shown.push({ text, learnt: learnt[index]! });
      index = end - 1;
      continue;
    }
    open.push(ids[index]!);
    const text = tokenizer.decode(open);
    const goesOn = text.endsWith("\ufffd") && open.length < 4 && learnt[index + 1] === learnt[index];
    if (goesOn) continue;
    shown.push({ text, learnt: learnt[index]! });
    open = [];
  }
  return shown;
}

/** What makes two prompts the same: the text that the policy reads, and its pictures. */
function keyOf(tokenizer: Tokenizer, prompt: Prompt, pictures: readonly string[]): string {
  return createHash("sha256")
    .update(JSON.stringify([promptText(tokenizer, prompt), ...pictures]))
    .digest("base64")
    .slice(0, 16);
}

async function overlapOf(
  recipe: Recipe,
  part: DataPart,
  tokenizer: Tokenizer,
  positions: number,
  seen: Readonly<Record<"prompts" | "pictures", ReadonlySet<string>>>,
  contentOf: (picture: Picture) => string,
): Promise<{ prompts: number; pictures: number } | null> {
  const other: DataPart = part === "train" ? "eval" : "train";
  if (recipe.data[other] === undefined) return null;
  const source = await openStageSource(recipe, other, tokenizer, positions, () => {});
  const shared = { prompts: new Set<string>(), pictures: new Set<string>() };
  for (let index = 0; index < Math.min(source.size ?? 1000, COUNTED); index++) {
    const prompt = source.at(index);
    const own = picturesOf(prompt).map(contentOf);
    const key = keyOf(tokenizer, prompt, own);
    if (seen.prompts.has(key)) shared.prompts.add(key);
    for (const picture of own) if (seen.pictures.has(picture)) shared.pictures.add(picture);
  }
  return { prompts: shared.prompts.size, pictures: shared.pictures.size };
}

function lengthsOf(values: readonly number[]): Lengths {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { least: at(0), median: at(0.5), p95: at(0.95), most: at(1) };
}
