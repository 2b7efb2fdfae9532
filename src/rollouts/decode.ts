/**
 * Decoding for whoever waits for it token by token: rows with settings, seeds and ends of their own, in one batch. A row's
 * draws are a function of its own stream, so that its text does not depend on what else is in the batch.
 */
import type { Rng } from "../lib/rng.ts";
import type { GenerationSession, GenerativePolicy, Tokenizer } from "../types.ts";
import { type SamplingOptions, sampleToken, undrawnIds } from "./sample-token.ts";
import { TextStream } from "./text-stream.ts";

export interface DecodeRow {
  prompt: Int32Array; // [S]
  sampling: SamplingOptions;
  maxNewTokens: number;
  stop: readonly string[];
  /** Draw number t is the t-th token's. */
  random: Rng;
  /** The most likely ids to report with each token; 0: none, and no logprobs. null: no logprobs. */
  topLogprobs: number | null;
  /** Called with each token as it comes; text is what can be shown by now, "" where a character or stop string is open. */
  onToken?(step: DecodedToken): void;
  /** Asked before each token: true ends the row. */
  cancelled?(): boolean;
}

export interface DecodedToken {
  id: number;
  text: string;
  /** Under the policy's own distribution (temperature 1), nats; null where none was asked for. */
  logprob: number | null;
  top: readonly { id: number; logprob: number }[];
}

export interface DecodedRow {
  /** The end token included. */
  tokens: number[];
  /** Without end token and stop string. */
  text: string;
  steps: DecodedToken[];
  end: "eos" | "stop" | "length" | "cancelled";
}

interface Live {
  row: DecodeRow;
  stream: TextStream;
  result: DecodedRow;
}

/**
 * @param session that stands before the first token of the only row, to go on from; it stays the caller's. Absent: prompts are
 * read from their beginning
 * @returns one per row, in order
 */
export async function decodeRows(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  rows: readonly DecodeRow[],
  session?: GenerationSession,
): Promise<DecodedRow[]> {
  const own =
    session ??
    (await policy.startGeneration(
      rows.map(({ prompt }) => prompt),
      { repeats: 1, maxNewTokens: Math.max(...rows.map(({ maxNewTokens }) => maxNewTokens)) },
    ));
  const all = rows.map(
    (row): Live => ({
      row,
      stream: new TextStream(tokenizer, row.stop),
      result: { tokens: [], text: "", steps: [], end: "length" },
    }),
  );
  const undrawn = undrawnIds(tokenizer, policy.vocabSize);
  try {
    let live = all;
    for (let t = 0; live.length > 0; t++) {
      const goesOn = live.map((one, i) => {
        if (one.row.cancelled?.()) return finish(one, "cancelled");
        return takeToken(one, own.logits, i * policy.vocabSize, policy.vocabSize, t, tokenizer, undrawn);
      });
      const kept = live.flatMap((_, i) => (goesOn[i] ? [i] : []));
      if (kept.length === 0) break;
      if (kept.length < live.length) own.keep(kept);
      live = kept.map((i) => live[i]!);
      await own.step(Int32Array.from(live, ({ result }) => result.tokens.at(-1)!));
      // lets signals and connections be heard
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    if (session === undefined) own.dispose();
  }
  return all.map(({ result }) => result);
}

/** @returns false where the row has ended */
function takeToken(
  one: Live,
  logits: Float32Array,
  offset: number,
  size: number,
  t: number,
  tokenizer: Tokenizer,
  undrawn: Uint8Array | null,
): boolean {
  const { row, stream, result } = one;
  const { token } = sampleToken(
    logits,
    offset,
    size,
    row.sampling,
    row.random.uniform(t),
    undefined,
    undrawn,
  );
  result.tokens.push(token);
  const reported =
    row.topLogprobs === null ? null : likeliest(logits, offset, size, token, row.topLogprobs, undrawn);
  const isEnd = tokenizer.eosIds.includes(token);
  const { text, stopped } = isEnd ? { text: stream.end(), stopped: false } : stream.push(token);
  const isLast = result.tokens.length >= row.maxNewTokens;
  const rest = isLast && !isEnd && !stopped ? stream.end() : "";
  const step: DecodedToken = {
    id: token,
    text: text + rest,
    logprob: reported?.logprob ?? null,
    top: reported?.top ?? [],
  };
  result.text += step.text;
  result.steps.push(step);
  row.onToken?.(step);
  if (isEnd) result.end = "eos";
  else if (stopped) result.end = "stop";
  return !isEnd && !stopped && !isLast;
}

function finish(one: Live, end: DecodedRow["end"]): false {
  one.result.text += one.stream.end();
  one.result.end = end;
  return false;
}

function likeliest(
  logits: Float32Array,
  offset: number,
  size: number,
  token: number,
  count: number,
  undrawn: Uint8Array | null,
) {
  let max = -Infinity;
  for (let i = 0; i < size; i++) max = Math.max(max, logits[offset + i]!);
  let total = 0;
  for (let i = 0; i < size; i++) total += Math.exp(logits[offset + i]! - max);
  const log = Math.log(total) + max;
  const top: { id: number; logprob: number }[] = [];
  for (let i = 0; count > 0 && i < size; i++) {
    if (undrawn?.[i] === 1) continue;
    const logprob = logits[offset + i]! - log;
    if (top.length === count && logprob <= top.at(-1)!.logprob) continue;
    const at = top.findIndex((other) => logprob > other.logprob);
    top.splice(at < 0 ? top.length : at, 0, { id: i, logprob });
    if (top.length > count) top.pop();
  }
  return { logprob: logits[offset + token]! - log, top };
}
