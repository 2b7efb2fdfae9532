/** What the kinds of tokenizers of GGUF files have in common. */
import type { JsonObject } from "./json.ts";

/** `tokenizer.ggml.token_type` */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

/** What a kind of tokenizer puts into tokenizer.json. */
export interface TokenizerSteps {
  normalizer: JsonObject | null;
  preTokenizer: JsonObject | null;
  decoder: JsonObject;
  /** Beside what all of BPE have. */
  model: JsonObject;
  addBos: boolean;
}
