/**
 * The SentencePiece tokenizers of GGUF files (`tokenizer.ggml.model = llama`: Llama 2, Mistral, Phi-3) as tokenizer.json. There
 * the neighbours whose union has the best score are merged first; said in the words of byte-fallback BPE, whose merges have an order.
 */
import { ModelFileError } from "../../lib/errors.ts";
import { TOKEN_TYPE, type TokenizerSteps } from "./gguf-token-types.ts";

const SPACE = "\u2581";

export interface Pieces {
  tokens: readonly string[];
  types: readonly unknown[];
  scores: readonly unknown[] | undefined;
  /** Text, and what follows a special token, begins as a word does. */
  spacePrefix: boolean;
  unknown: string;
}

/**
 * @param path of the file, for messages
 * @throws ModelFileError for a vocabulary that merges in an order cannot say
 */
export function sentencePiece(pieces: Pieces, path: string): TokenizerSteps {
  const { tokens, spacePrefix, unknown } = pieces;
  const ids = new Map(tokens.map((token, id) => [token, id]));
  for (let byte = 0; byte < 256; byte++) {
    const token = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    if (!ids.has(token)) {
      throw new ModelFileError(
        `${path}: tokenizer.ggml.tokens has no ${token}: what no other token writes has none`,
      );
    }
  }
  const replace = (from: string, to: string) => ({
    type: "Replace",
    pattern: { String: from },
    content: to,
  });
  const spaces = replace(" ", SPACE);
  return {
    normalizer: spacePrefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: SPACE }, spaces] }
      : spaces,
    preTokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        replace(SPACE, " "),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(spacePrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: mergesOf(pieces, ids, path),
    },
    addBos: true,
  };
}

/** Every way to make a token of two others, those of better tokens first; of one token, a longer left part first. */
function mergesOf(
  { tokens, types, scores }: Pieces,
  ids: ReadonlyMap<string, number>,
  path: string,
): [string, string][] {
  if (scores?.length !== tokens.length) {
    throw new ModelFileError(
      `${path}: tokenizer.ggml.scores has ${scores?.length ?? "no"} entries for ${tokens.length} tokens`,
    );
  }
  const made: { score: number; token: string; pairs: [string, string][] }[] = [];
  for (const [token, id] of ids) {
    const type = types[id];
    // found in the text before, so that no merge can meet them; one that is written with a space's sign is not
    const { control, unknown, userDefined } = TOKEN_TYPE;
    if (type === control || type === unknown || (type === userDefined && !token.includes(SPACE))) continue;
    const characters = Array.from(token);
    if (characters.length < 2) continue;
    const pairs: [string, string][] = [];
    for (let cut = characters.length - 1; cut > 0; cut--) {
      const [left, right] = [characters.slice(0, cut).join(""), characters.slice(cut).join("")];
      if (ids.has(left) && ids.has(right)) pairs.push([left, right]);
      // such a character is bytes by then, where SentencePiece still has it whole
      const alone = [left, right].find((part) => Array.from(part).length === 1 && !ids.has(part));
      const other = alone === left ? right : left;
      if (alone !== undefined && (ids.has(other) || Array.from(other).length === 1)) {
        throw new ModelFileError(
          `${path}: tokenizer.ggml.tokens has ${JSON.stringify(token)} and no ${JSON.stringify(alone)}, which it is made of: use the model's Hugging Face directory`,
        );
      }
    }
    const score = scores[id];
    if (pairs.length === 0) continue;
    if (typeof score !== "number" || !Number.isFinite(score)) {
      throw new ModelFileError(
        `${path}: tokenizer.ggml.scores[${id}] = ${score}: ${JSON.stringify(token)} needs a number`,
      );
    }
    made.push({ score, token, pairs });
  }
  made.sort((a, b) => b.score - a.score);
  const tied = made.findIndex(({ score }, i) => score === made[i + 1]?.score);
  if (tied >= 0) {
    const [a, b] = [made[tied]!, made[tied + 1]!];
    throw new ModelFileError(
      `${path}: tokenizer.ggml.scores of ${JSON.stringify(a.token)} and ${JSON.stringify(b.token)} are both ${a.score}: then the place in the text decides, which merges in an order cannot say: use the model's Hugging Face directory`,
    );
  }
  return made.flatMap(({ pairs }) => pairs);
}
