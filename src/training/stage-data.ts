/** The data of a stage as its model can take it: rows that are too long are found, left out or cut, by `on_long`. */
import { algorithmOf } from "../algorithms/kinds.ts";
import type { Recipe } from "../config/schema.ts";
import { openSource } from "../data/source.ts";
import { encodeExample, encodePrompt } from "../rollouts/encode.ts";
import { picturesOf } from "../rollouts/pictures.ts";
import type { ChatMessage, Prompt, PromptSource, Tokenizer } from "../types.ts";
import { resetPrompts } from "./episodes.ts";

export type DataPart = "train" | "eval";

/** In tokens. */
export interface RowLimits {
  prompt: number;
  /** Prompt, target and end token together; null where no target is learnt. */
  example: number | null;
}

/** Does the stage learn texts of the data, rather than sample? */
export function learnsTargets({ algorithm }: Pick<Recipe, "algorithm">): boolean {
  return !algorithmOf(algorithm).samples;
}

/** @param positions of the model */
export function rowLimits(recipe: Recipe, part: DataPart, positions: number): RowLimits {
  const { rollout, algorithm } = recipe;
  if (part === "train" && learnsTargets(recipe)) {
    const { rowLength } = algorithmOf(algorithm).batch(algorithm, rollout);
    return { prompt: positions, example: Math.min(rowLength ?? positions, positions) };
  }
  const evaluated = part === "eval" ? (recipe.eval?.max_new_tokens ?? 0) : 0;
  const longest = Math.max(rollout.max_new_tokens, evaluated);
  return { prompt: rollout.max_prompt_tokens ?? Math.max(1, positions - longest), example: null };
}

/** Tokens of a row that are too many, with the limit that they exceed; null: it fits. @throws where it cannot be encoded */
export function excess(
  tokenizer: Tokenizer,
  prompt: Prompt,
  limits: RowLimits,
): { what: "prompt" | "example"; tokens: number; limit: number } | null {
  if (prompt.conversation !== undefined) {
    const { prompt: before, completion } = encodeExample(
      tokenizer,
      prompt,
      Number.POSITIVE_INFINITY,
      undefined,
      "size",
    );
    const whole = before.length + completion.length;
    const limit = limits.example ?? limits.prompt;
    return whole > limit ? { what: "example", tokens: whole, limit } : null;
  }
  const tokens = encodePrompt(tokenizer, prompt, Number.POSITIVE_INFINITY, "size").tokens.length;
  if (tokens > limits.prompt) return { what: "prompt", tokens, limit: limits.prompt };
  if (limits.example === null || prompt.target === undefined) return null;
  const target = tokenizer.encode(prompt.target, { addSpecialTokens: false }).length + 1;
  const all = tokens + target;
  return all > limits.example ? { what: "example", tokens: all, limit: limits.example } : null;
}

/**
 * The row without the beginning of its own text: the template around it, the system message and the target stay whole,
 * and as much of the text's end as fits.
 * @returns null where nothing of it fits
 */
export function truncated(tokenizer: Tokenizer, prompt: Prompt, limits: RowLimits): Prompt | null {
  // a conversation has no text of its own that could lose its beginning, and beside pictures it is they that are long
  if (prompt.conversation !== undefined || picturesOf(prompt).length > 0) return null;
  const text = ownText(prompt);
  const fits = (kept: number): boolean =>
    excess(tokenizer, withText(prompt, text.slice(text.length - kept).join("")), limits) === null;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? null : withText(prompt, text.slice(text.length - low).join(""));
}

/** Characters of what the row itself says: the text, or the last message. */
function ownText({ input }: Prompt): string[] {
  if (input.kind === "text") return [...input.text];
  const { content } = input.messages.at(-1)!;
  return [...(typeof content === "string" ? content : "")];
}

function withText(prompt: Prompt, text: string): Prompt {
  const { input } = prompt;
  if (input.kind === "text") return { ...prompt, input: { kind: "text", text } };
  const last: ChatMessage = { ...input.messages.at(-1)!, content: text };
  return { ...prompt, input: { kind: "chat", messages: [...input.messages.slice(0, -1), last] } };
}

/** The rows that `on_long` leaves, and which it left out or cut, by their index before. Reads every row. */
export function fitRows(
  rows: Pick<PromptSource, "at"> & { size: number },
  onLong: "skip" | "truncate",
  tokenizer: Tokenizer,
  limits: RowLimits,
): { size: number; at(index: number): Prompt; skipped: number[]; cut: number[] } {
  const kept: number[] = [];
  const skipped: number[] = [];
  const cut = new Set<number>();
  for (let index = 0; index < rows.size; index++) {
    const prompt = rows.at(index);
    if (excess(tokenizer, prompt, limits) !== null) {
      if (onLong === "skip" || truncated(tokenizer, prompt, limits) === null) {
        skipped.push(index);
        continue;
      }
      cut.add(index);
    }
    kept.push(index);
  }
  const at = (index: number): Prompt => {
    const prompt = rows.at(kept[index]!);
    return cut.has(kept[index]!) ? truncated(tokenizer, prompt, limits)! : prompt;
  };
  return { size: kept.length, at, skipped, cut: [...cut] };
}

/**
 * Opens a dataset of a stage as its model can take it.
 * @param positions of the model
 * @throws DataError where a file cannot be read or holds no usable row
 */
export async function openStageSource(
  recipe: Recipe,
  part: DataPart,
  tokenizer: Tokenizer,
  positions: number,
  note: (text: string, level: "warning") => void,
): Promise<PromptSource> {
  const source = await openSource(
    recipe.data[part]!,
    recipe.seed,
    part,
    note,
    ({ name, size, at }, onLong) => {
      // an environment writes prompts of its own
      if (onLong === "error" || size === null || recipe.environment !== undefined) return { name, size, at };
      const limits = rowLimits(recipe, part, positions);
      const fitted = fitRows({ size, at }, onLong, tokenizer, limits);
      const { skipped, cut } = fitted;
      if (skipped.length > 0) note(`${name}: ${skipped.length} rows are too long and left out`, "warning");
      if (cut.length > 0) note(`${name}: the beginning of ${cut.length} long rows is cut off`, "warning");
      return { name, size: fitted.size, at: fitted.at };
    },
  );
  return learnsTargets(recipe) ? source : resetPrompts(recipe, source, tokenizer);
}
