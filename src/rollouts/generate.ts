/**
 * Batched generation: prompts and a policy in, groups of completions out.
 * Every draw is a function of (stream, prompt id, sample index, token index), so a completion does not
 * depend on what else is in the batch.
 */
import type { Rng } from "../lib/rng.ts";
import type {
  Completion,
  FinishReason,
  GenerativePolicy,
  Group,
  Prompt,
  PromptPictures,
  Tokenizer,
} from "../types.ts";
import { type ForcedModes, modeConstraint } from "./modes.ts";
import { type SamplingOptions, sampleToken, undrawnIds } from "./sample-token.ts";

export interface GenerateOptions extends SamplingOptions {
  groupSize: number;
  maxNewTokens: number;
  stop: readonly string[];
  /** Rows decoded at once; whole groups stay together. */
  batchRows: number;
  /** Completions of each group that are made to think or not; none when absent. */
  modes?: ForcedModes;
  /** Called after each decoded token with the number of new tokens. */
  onTokens?: (count: number) => void;
  /** Called after each batch with the prompts that are done. */
  onPrompts?: ((done: number) => void) | undefined;
}

export interface EncodedPrompt {
  prompt: Prompt;
  tokens: Int32Array; // [S]
  /** null or absent: it shows none. */
  pictures?: PromptPictures | null;
}

/** A text that is being sampled. */
export interface Row {
  /** Of a later turn: all that stands before it. */
  prompt: EncodedPrompt;
  sampleIndex: number;
  /** 0..G-1 within its group. */
  place: number;
  random: Rng;
  tokens: number[];
  logprobs: number[];
  entropies: number[];
  finishReason: FinishReason | null;
  /** Its own token limit, below that of the batch. */
  limit?: number;
}

/** Rows that ended leave the batch once they are this share of it; compacting the cache has a cost too. */
const COMPACT_SHARE = 1 / 8;

/**
 * @param stream names the purpose and step: `rng.fork("rollout", step)`
 * @returns one group per prompt, in order. A prompt that occurs again continues its sample indices.
 */
export async function generate(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  prompts: readonly EncodedPrompt[],
  options: GenerateOptions,
  stream: Rng,
): Promise<Group[]> {
  const seen = new Map<string, number>();
  const rows = prompts.map((prompt) => {
    const first = seen.get(prompt.prompt.id) ?? 0;
    seen.set(prompt.prompt.id, first + options.groupSize);
    return Array.from({ length: options.groupSize }, (_, k): Row => {
      const sampleIndex = first + k;
      const random = stream.fork(prompt.prompt.id, sampleIndex);
      return {
        prompt,
        sampleIndex,
        place: k,
        random,
        tokens: [],
        logprobs: [],
        entropies: [],
        finishReason: null,
      };
    });
  });
  const groupsAtOnce = Math.max(1, Math.floor(options.batchRows / options.groupSize));
  for (let start = 0; start < rows.length; start += groupsAtOnce) {
    await decodeBatch(policy, tokenizer, rows.slice(start, start + groupsAtOnce), options);
    options.onPrompts?.(Math.min(rows.length, start + groupsAtOnce));
  }
  return rows.map((group, i) => ({
    prompt: prompts[i]!.prompt,
    promptTokens: prompts[i]!.tokens,
    pictures: prompts[i]!.pictures ?? null,
    completions: group.map((row) => toCompletion(row, tokenizer)),
  }));
}

/** Samples rows to their ends, all of them at once. @param groups with rows of the same prompt in each, as many as `groupSize` */
export async function decodeBatch(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  groups: readonly Row[][],
  options: GenerateOptions,
): Promise<void> {
  if (policy.sampleRows) {
    return sampleInProgram(policy.sampleRows, policy.vocabSize, tokenizer, groups, options);
  }
  const session = await policy.startGeneration(
    groups.map((group) => group[0]!.prompt.tokens),
    { repeats: options.groupSize, maxNewTokens: options.maxNewTokens, ...shownTo(groups) },
  );
  const eos = new Set(tokenizer.eosIds);
  const tail = stopTail(options);
  const undrawn = undrawnIds(tokenizer, policy.vocabSize);
  try {
    let batch = groups.flat();
    for (let t = 0; ; t++) {
      const next = new Int32Array(batch.length).fill(tokenizer.padId);
      let live = 0;
      let sampled = 0;
      for (const [i, row] of batch.entries()) {
        if (row.finishReason !== null) continue;
        const { token, logprob, entropy } = sampleToken(
          session.logits,
          i * policy.vocabSize,
          policy.vocabSize,
          options,
          row.random.uniform(t),
          options.modes === undefined ? undefined : modeConstraint(options.modes, row.place, t),
          undrawn,
        );
        row.tokens.push(token);
        row.logprobs.push(logprob);
        row.entropies.push(entropy);
        sampled++;
        next[i] = token;
        row.finishReason = finishReason(row, token, eos, tokenizer, options, tail);
        if (row.finishReason === null) live++;
      }
      options.onTokens?.(sampled);
      if (live === 0) return;
      if (batch.length - live >= batch.length * COMPACT_SHARE) {
        const kept = batch.map((_, i) => i).filter((i) => batch[i]!.finishReason === null);
        session.keep(kept);
        batch = kept.map((i) => batch[i]!);
        await session.step(Int32Array.from(kept, (i) => next[i]!));
      } else {
        await session.step(next);
      }
    }
  } finally {
    session.dispose();
  }
}

/** The same where the policy samples inside its own program: the host finds the ends. */
async function sampleInProgram(
  sampleRows: NonNullable<GenerativePolicy["sampleRows"]>,
  vocabSize: number,
  tokenizer: Tokenizer,
  groups: readonly Row[][],
  options: GenerateOptions,
): Promise<void> {
  const rows = groups.flat();
  const eos = new Set(tokenizer.eosIds);
  const tail = stopTail(options);
  /** Takes tokens one by one, as if they had just been sampled. */
  const take = (row: Row, sampled: readonly number[]): void => {
    while (row.finishReason === null && row.tokens.length < sampled.length) {
      const token = sampled[row.tokens.length]!;
      row.tokens.push(token);
      row.finishReason = finishReason(row, token, eos, tokenizer, options, tail);
    }
  };
  const { modes } = options;
  const sampled = await sampleRows(
    groups.map((group) => group[0]!.prompt.tokens),
    {
      ...shownTo(groups),
      repeats: options.groupSize,
      maxNewTokens: options.maxNewTokens,
      temperature: options.temperature,
      top_p: options.top_p,
      top_k: options.top_k,
      min_p: options.min_p,
      eosIds: tokenizer.eosIds,
      uniform: (row, token) => rows[row]!.random.uniform(token),
      constraint: (row, token) =>
        modes === undefined ? undefined : modeConstraint(modes, rows[row]!.place, token),
      undrawn: undrawnIds(tokenizer, vocabSize),
      constrainedTokens: modes === undefined ? 0 : Math.max(1, modes.close.length),
      ended: (row, tokens) => {
        take(rows[row]!, tokens);
        return rows[row]!.finishReason !== null;
      },
    },
  );
  for (const [i, row] of rows.entries()) {
    const { tokens, logprobs, entropies } = sampled[i]!;
    take(row, tokens);
    row.logprobs = logprobs.slice(0, row.tokens.length);
    row.entropies = entropies.slice(0, row.tokens.length);
  }
  options.onTokens?.(rows.reduce((sum, row) => sum + row.tokens.length, 0));
}

/** Pictures of each group's prompt, where any has one. */
function shownTo(groups: readonly Row[][]): { pictures?: (PromptPictures | null)[] } {
  const pictures = groups.map((group) => group[0]!.prompt.pictures ?? null);
  return pictures.every((own) => own === null) ? {} : { pictures };
}

/** Tokens that a stop string can span at most: the longest one in bytes bounds it. */
function stopTail({ stop }: GenerateOptions): number {
  return Math.max(0, ...stop.map((text) => Buffer.byteLength(text))) + 4;
}

function finishReason(
  row: Row,
  token: number,
  eos: ReadonlySet<number>,
  tokenizer: Tokenizer,
  options: GenerateOptions,
  tail: number,
): FinishReason | null {
  if (eos.has(token)) return "eos";
  if (options.stop.length > 0) {
    const text = tokenizer.decode(row.tokens.slice(-tail));
    if (options.stop.some((stop) => text.includes(stop))) return "stop";
  }
  return row.tokens.length >= (row.limit ?? options.maxNewTokens) ? "length" : null;
}

function toCompletion(row: Row, tokenizer: Tokenizer): Completion {
  const words = row.finishReason === "eos" ? row.tokens.slice(0, -1) : row.tokens;
  return {
    promptId: row.prompt.prompt.id,
    sampleIndex: row.sampleIndex,
    tokens: Int32Array.from(row.tokens),
    logprobs: Float32Array.from(row.logprobs),
    entropies: Float32Array.from(row.entropies),
    text: tokenizer.decode(words),
    finishReason: row.finishReason ?? "length",
  };
}
