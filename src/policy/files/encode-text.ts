/**
 * Text to tokens in the reference's order: added tokens are cut out of the raw text, the rest is normalised, more added
 * tokens are cut out of that, and what is left is cut into pieces which the model encodes one by one.
 */
import type { Normalizer } from "./normalizer.ts";
import type { AddedToken } from "./tokenizer-json.ts";

/** What is used of the package's tokenizer, whose own loop takes ordinary text that reads like an added token for one. */
export interface TokenizerParts {
  pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  model: ((pieces: string[]) => string[]) & {
    /** Tokens by id. */
    vocab: string[];
    tokens_to_ids: ReadonlyMap<string, number>;
    unk_token_id?: number;
    unk_token?: string;
    /** Of unigram models. */
    tokenize?(piece: string): string[];
  };
}

interface Section {
  text: string;
  token: AddedToken | null;
  /** Begins where the whole text begins. */
  first: boolean;
}

type Match = { token: AddedToken; length: number };
interface TrieNode {
  next: Map<string, TrieNode>;
  token: AddedToken | null;
}

function trieOf(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string): TrieNode | null {
  const root: TrieNode = { next: new Map(), token: null };
  for (const token of tokens) {
    let node = root;
    for (const unit of contentOf(token).split("")) {
      let child = node.next.get(unit);
      if (child === undefined) {
        child = { next: new Map(), token: null };
        node.next.set(unit, child);
      }
      node = child;
    }
    if (node !== root) node.token = token;
  }
  return root.next.size === 0 ? null : root;
}

/** The longest added token that begins at an index. */
function matchAt(root: TrieNode, text: string, at: number): Match | null {
  let node: TrieNode | undefined = root;
  let found: Match | null = null;
  for (let i = at; i < text.length; i++) {
    node = node.next.get(text[i]!);
    if (node === undefined) break;
    if (node.token !== null) found = { token: node.token, length: i + 1 - at };
  }
  return found;
}

const SPACE = /\p{White_Space}/u;

function cut(section: Section, root: TrieNode | null): Section[] {
  if (root === null || section.token !== null) return [section];
  const { text } = section;
  const sections: Section[] = [];
  let done = 0;
  const push = (from: number, to: number, token: AddedToken | null): void => {
    if (to > from || token !== null) {
      sections.push({ text: text.slice(from, to), token, first: section.first && from === 0 });
    }
  };
  for (let at = 0; at < text.length; ) {
    const match = matchAt(root, text, at);
    if (match === null) {
      at++;
      continue;
    }
    let start = at;
    let end = at + match.length;
    // white space beside the token belongs to it
    if (match.token.lstrip) while (start > done && SPACE.test(text[start - 1]!)) start--;
    if (match.token.rstrip) while (end < text.length && SPACE.test(text[end]!)) end++;
    push(done, start, null);
    push(start, end, match.token);
    done = end;
    at = end;
  }
  push(done, text.length, null);
  return sections;
}

/** Unknown characters in a row are one token, or the bytes that they are made of. */
function unigramTokens(model: TokenizerParts["model"], piece: string, byteFallback: boolean): string[] {
  const tokens: string[] = [];
  let unknown = "";
  const flush = (): void => {
    if (unknown === "") return;
    const bytes = Array.from(
      new TextEncoder().encode(unknown),
      (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    );
    if (byteFallback && bytes.every((token) => model.tokens_to_ids.has(token))) tokens.push(...bytes);
    else tokens.push(unknown);
    unknown = "";
  };
  for (const token of model.tokenize!(piece)) {
    const id = model.tokens_to_ids.get(token);
    if (id === undefined || id === model.unk_token_id) unknown += token;
    else {
      flush();
      tokens.push(token);
    }
  }
  flush();
  return tokens;
}

export interface EncodedPart {
  /** As the model wrote it, or the added token's content. */
  token: string;
  /** undefined: the vocabulary has neither it nor an unknown token. */
  id: number | undefined;
}

/** @param byteFallback of a unigram model */
export function textEncoder(
  parts: TokenizerParts,
  added: readonly AddedToken[],
  normalizer: Normalizer | null,
  byteFallback: boolean,
): (text: string) => EncodedPart[] {
  const { model } = parts;
  const raw = trieOf(
    added.filter(({ normalized }) => !normalized),
    ({ content }) => content,
  );
  const normal = trieOf(
    added.filter(({ normalized }) => normalized),
    ({ content }) => (normalizer === null ? content : normalizer(content)),
  );
  const isUnigram = model.tokenize !== undefined;
  const encodePiece = (piece: string): EncodedPart[] => {
    if (piece === "") return [];
    const tokens = isUnigram ? unigramTokens(model, piece, byteFallback) : model([piece]);
    return tokens.map((token) => ({ token, id: model.tokens_to_ids.get(token) ?? model.unk_token_id }));
  };
  const encodeSection = ({ text, token, first }: Section): EncodedPart[] => {
    if (token !== null) return [{ token: token.content, id: token.id }];
    const pieces = parts.pre_tokenizer?.(text, { section_index: first ? 0 : 1 }) ?? [text];
    return pieces.flatMap(encodePiece);
  };
  return (text) =>
    cut({ text, token: null, first: true }, raw)
      .map((section) =>
        section.token !== null || normalizer === null
          ? section
          : { ...section, text: normalizer(section.text) },
      )
      .flatMap((section) => cut(section, normal))
      .filter(({ text: part, token }) => token !== null || part !== "")
      .flatMap(encodeSection);
}
