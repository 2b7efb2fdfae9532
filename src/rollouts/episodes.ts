/**
 * Episodes: turns of a policy and of an environment by turns, as completions. The ids that were sampled are kept as they are;
 * an observation is encoded once and stands behind them. A turn's draws are a function of (stream, prompt id, sample index,
 * turn, token). Each round samples one turn of all live episodes of a cohort, whose histories are prompts then.
 */
import type { Rng } from "../lib/rng.ts";
import type {
  ChatMessage,
  Completion,
  EnvironmentAction,
  EnvironmentHost,
  EpisodeEnd,
  EpisodeTurn,
  GenerativePolicy,
  Group,
  Tokenizer,
} from "../types.ts";
import { decodeBatch, type EncodedPrompt, type GenerateOptions, type Row } from "./generate.ts";
import { observationIds } from "./observation.ts";

export interface EpisodeOptions {
  host: EnvironmentHost;
  maxTurns: number;
  /** null: what is left of the episode. */
  maxTurnTokens: number | null;
  maxObservationTokens: number;
  /** Parts of a batch that wait for their environments by themselves. */
  cohorts: number;
  /** Of an action. */
  toolCalls(text: string): EnvironmentAction["toolCalls"];
}

interface Live {
  key: string;
  prompt: EncodedPrompt;
  sampleIndex: number;
  random: Rng;
  ids: number[];
  logprobs: number[];
  entropies: number[];
  sampled: number[];
  messages: ChatMessage[];
  turns: EpisodeTurn[];
  lastReason: Row["finishReason"];
  end: EpisodeEnd | null;
  note?: string;
}

/**
 * @param positions tokens of a prompt with all that follows it at most
 * @param stream as of `generate`
 * @returns one group per prompt, in order
 */
export async function playEpisodes(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  prompts: readonly EncodedPrompt[],
  options: GenerateOptions,
  { positions, ...episodes }: EpisodeOptions & { positions: number },
  stream: Rng,
): Promise<Group[]> {
  const seen = new Map<string, number>();
  const all = prompts.map((prompt, p) => {
    const { id } = prompt.prompt;
    const first = seen.get(id) ?? 0;
    seen.set(id, first + options.groupSize);
    return Array.from({ length: options.groupSize }, (_, k): Live => {
      const messages = prompt.prompt.input.kind === "chat" ? [...prompt.prompt.input.messages] : [];
      return {
        key: `${p}-${first + k}`,
        prompt,
        sampleIndex: first + k,
        random: stream.fork(id, first + k),
        ids: [],
        logprobs: [],
        entropies: [],
        sampled: [],
        messages,
        turns: [],
        lastReason: null,
        end: null,
      };
    });
  });
  // one computes while others wait
  let computing: Promise<void> = Promise.resolve();
  const compute = (work: () => Promise<void>): Promise<void> => {
    const mine = computing.then(work);
    computing = mine.catch(() => {});
    return mine;
  };
  const play = async (groups: readonly Live[][]): Promise<void> => {
    await Promise.all(groups.flat().map((one) => begin(one, episodes.host)));
    for (let turn = 0; ; turn++) {
      const live = groups.map((group) => group.filter(({ end }) => end === null));
      if (live.every((group) => group.length === 0)) return;
      await compute(() => sampleTurn(policy, tokenizer, live, turn, options, { positions, ...episodes }));
      await Promise.all(live.flat().map((one) => answer(one, tokenizer, options, episodes)));
    }
  };
  try {
    const groupsAtOnce = Math.max(1, Math.floor(options.batchRows / options.groupSize));
    for (let start = 0; start < all.length; start += groupsAtOnce) {
      const batch = all.slice(start, start + groupsAtOnce);
      const size = Math.ceil(batch.length / episodes.cohorts);
      const parts = Array.from({ length: Math.ceil(batch.length / size) }, (_, i) =>
        batch.slice(i * size, (i + 1) * size),
      );
      await Promise.all(parts.map(play));
      options.onPrompts?.(Math.min(all.length, start + groupsAtOnce));
    }
  } finally {
    for (const { key } of all.flat()) episodes.host.end(key);
  }
  return all.map((group, p) => ({
    prompt: prompts[p]!.prompt,
    promptTokens: prompts[p]!.tokens,
    pictures: prompts[p]!.pictures ?? null,
    completions: group.map((one) => toCompletion(one, tokenizer)),
  }));
}

async function begin(one: Live, host: EnvironmentHost): Promise<void> {
  const { prompt } = one.prompt;
  const reply = await host.start(one.key, prompt.seed ?? 0, prompt.fields);
  if (reply.kind !== "ok") return end(one, reply.kind, `reset: ${reply.message}`);
  const { input } = prompt;
  const isSame =
    input.kind === "chat"
      ? JSON.stringify(reply.value.messages) === JSON.stringify(input.messages)
      : reply.value.messages.map(({ content }) => content).join("") === input.text;
  if (!isSame) end(one, "error", "reset returned other messages than before for the same seed and row");
}

/** One turn of each live episode. */
async function sampleTurn(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  groups: readonly Live[][],
  turn: number,
  options: GenerateOptions,
  { maxTurnTokens, positions }: Pick<EpisodeOptions, "maxTurnTokens"> & { positions: number },
): Promise<void> {
  const rowOf = (one: Live, place: number): Row => {
    const tokens = new Int32Array(one.prompt.tokens.length + one.ids.length);
    tokens.set(one.prompt.tokens);
    tokens.set(one.ids, one.prompt.tokens.length);
    const left = options.maxNewTokens - one.ids.length;
    return {
      prompt: { ...one.prompt, tokens: one.ids.length === 0 ? one.prompt.tokens : tokens },
      sampleIndex: one.sampleIndex,
      place,
      random: one.random.fork("turn", turn),
      tokens: [],
      logprobs: [],
      entropies: [],
      finishReason: null,
      limit: Math.min(left, maxTurnTokens ?? left),
    };
  };
  const rows = groups.map((group) => group.map(rowOf));
  // rows that share a prompt are read once; all others stand alone
  const isFirst = turn === 0 && groups.every((group) => group.length === options.groupSize);
  const units = isFirst ? rows : rows.flat().map((row) => [row]);
  for (const part of fitting(units, positions)) {
    const limit = Math.max(...part.flat().map((row) => row.limit!));
    const groupSize = isFirst ? options.groupSize : 1;
    await decodeBatch(policy, tokenizer, part, { ...options, groupSize, maxNewTokens: limit });
  }
  for (const [g, group] of groups.entries()) {
    for (const [k, one] of group.entries()) {
      const { tokens, logprobs, entropies, finishReason } = rows[g]![k]!;
      const from = one.ids.length;
      one.ids.push(...tokens);
      one.logprobs.push(...logprobs);
      one.entropies.push(...entropies);
      for (let t = 0; t < tokens.length; t++) one.sampled.push(1);
      one.lastReason = finishReason;
      const text = tokenizer.decode(finishReason === "eos" ? tokens.slice(0, -1) : tokens);
      one.turns.push({ from, to: one.ids.length, text, toolCalls: [], messages: [], reward: 0 });
    }
  }
}

/** Parts in which every prompt leaves room for the longest turn of the part: a session has one limit for all its rows. */
function fitting(units: readonly Row[][], positions: number): Row[][][] {
  const parts: { longest: number; limit: number; units: Row[][] }[] = [];
  for (const unit of units) {
    const length = unit[0]!.prompt.tokens.length;
    const limit = Math.max(...unit.map((row) => row.limit!));
    const fits = parts.find(
      (part) => Math.max(part.longest, length) + Math.max(part.limit, limit) <= positions,
    );
    if (fits === undefined) parts.push({ longest: length, limit, units: [unit] });
    else {
      fits.units.push(unit);
      fits.longest = Math.max(fits.longest, length);
      fits.limit = Math.max(fits.limit, limit);
    }
  }
  return parts.map((part) => part.units);
}

/** Carries the last turn to the environment, and its answer into the ids. */
async function answer(
  one: Live,
  tokenizer: Tokenizer,
  { maxNewTokens }: GenerateOptions,
  { host, maxTurns, maxObservationTokens, toolCalls }: Omit<EpisodeOptions, "cohorts">,
): Promise<void> {
  const last = one.turns.at(-1)!;
  const calls = toolCalls(last.text);
  const reply = await host.step(one.key, { text: last.text, toolCalls: calls });
  if (reply.kind !== "ok") {
    one.turns[one.turns.length - 1] = { ...last, toolCalls: calls };
    end(one, reply.kind, `turn ${one.turns.length}: ${reply.message}`);
    return;
  }
  const { messages, reward, done, info } = reply.value;
  const turn = { ...last, toolCalls: calls, messages, reward, ...(info === undefined ? {} : { info }) };
  one.turns[one.turns.length - 1] = turn;
  if (done) return end(one, "done");
  if (one.turns.length >= maxTurns) return end(one, "turns");
  const { input } = one.prompt.prompt;
  const before = {
    messages: one.messages,
    tools: input.kind === "chat" ? input.tools : undefined,
    last: one.ids.at(-1)!,
  };
  let observed: number[];
  try {
    observed = observationIds(tokenizer, before, messages);
  } catch (error) {
    return end(one, "error", `turn ${one.turns.length}: ${(error as Error).message}`);
  }
  if (observed.length > maxObservationTokens) {
    const note = `an observation of ${observed.length} tokens, the limit is ${maxObservationTokens}`;
    return end(one, "observation", `turn ${one.turns.length}: ${note}`);
  }
  // what is observed is worth its tokens only where a turn follows
  if (one.ids.length + observed.length >= maxNewTokens) return end(one, "tokens");
  one.messages.push({ role: "assistant", content: last.text }, ...messages);
  for (const id of observed) {
    one.ids.push(id);
    one.logprobs.push(0);
    one.entropies.push(0);
    one.sampled.push(0);
  }
}

function end(one: Live, reason: EpisodeEnd, note?: string): void {
  one.end = reason;
  if (note !== undefined) one.note = note;
}

function toCompletion(one: Live, tokenizer: Tokenizer): Completion {
  const isEos = one.lastReason === "eos";
  return {
    promptId: one.prompt.prompt.id,
    sampleIndex: one.sampleIndex,
    tokens: Int32Array.from(one.ids),
    logprobs: Float32Array.from(one.logprobs),
    entropies: Float32Array.from(one.entropies),
    text: tokenizer.decode(isEos ? one.ids.slice(0, -1) : one.ids),
    finishReason: one.end === "tokens" ? "length" : isEos ? "eos" : "stop",
    episode: {
      end: one.end!,
      ...(one.note === undefined ? {} : { note: one.note }),
      turns: one.turns,
      sampled: Uint8Array.from(one.sampled),
    },
  };
}
