import { createRng } from "../../src/lib/rng.ts";
import type { GenerationSession, GenerativePolicy, Tokenizer } from "../../src/types.ts";

/** One character, one id: a..z and a few signs; 0 pads, 1 ends. */
export const characters: Tokenizer = {
  size: 128,
  bosId: null,
  eosIds: [1],
  padId: 0,
  hasChatTemplate: false,
  encode: (text) => [...text].map((c) => c.charCodeAt(0)),
  decode: (ids) => String.fromCharCode(...Array.from(ids)),
  renderChat: () => {
    throw new Error("no chat template");
  },
};

/** A policy whose logits are a function of the row's tokens so far, and that counts the rows it computes. */
export function fakePolicy(
  logitsOf: (tokens: readonly number[], vocabSize: number) => number[],
  vocabSize = 128,
): GenerativePolicy & { rowSteps: number; live: () => number } {
  let sessions = 0;
  const policy = {
    vocabSize,
    rowSteps: 0,
    live: () => sessions,
    async startGeneration(
      prompts: readonly Int32Array[],
      { repeats }: { repeats: number },
    ): Promise<GenerationSession> {
      sessions++;
      let rows = prompts.flatMap((prompt) => Array.from({ length: repeats }, () => [...prompt]));
      const compute = () => Float32Array.from(rows.flatMap((row) => logitsOf(row, vocabSize)));
      let logits = compute();
      return {
        get logits() {
          return logits;
        },
        get rows() {
          return rows.length;
        },
        async step(tokens) {
          if (tokens.length !== rows.length)
            throw new Error(`${tokens.length} tokens for ${rows.length} rows`);
          policy.rowSteps += rows.length;
          for (const [i, row] of rows.entries()) row.push(tokens[i]!);
          logits = compute();
        },
        keep(kept) {
          rows = kept.map((i) => rows[i]!);
        },
        dispose() {
          sessions--;
        },
      };
    },
  };
  return policy;
}

/** Pseudo-random logits that depend on the whole row; the end token is likely after `length` tokens. */
export function hashedLogits(length: number) {
  return (tokens: readonly number[], vocabSize: number): number[] => {
    const stream = createRng(5).fork(tokens.join());
    return Array.from({ length: vocabSize }, (_, i) =>
      i === 1 ? (tokens.length > length ? 3 : -3) : i < 97 || i > 122 ? -20 : 2 * stream.normal(i),
    );
  };
}

/** Says exactly this, then ends. Rows are told apart by their prompt. */
export function scriptedLogits(script: Readonly<Record<string, string>>) {
  return (tokens: readonly number[], vocabSize: number): number[] => {
    const text = String.fromCharCode(...tokens);
    const prompt = Object.keys(script).find((start) => text.startsWith(start))!;
    const next = `${script[prompt]}\u0001`.charCodeAt(text.length - prompt.length);
    return Array.from({ length: vocabSize }, (_, i) => (i === next ? 50 : 0));
  };
}
