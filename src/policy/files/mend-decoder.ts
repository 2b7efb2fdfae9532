/** Decoders of @huggingface/tokenizers (0.2) that write other text than the reference, set right in place. */
import { BYTE_SYMBOLS } from "./tokenizer-json.ts";

interface DecoderStep {
  config?: { type?: string; replacement?: string };
  decoders?: unknown[];
  text_decoder?: unknown;
  decode_chain?(tokens: string[]): string[];
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });

/** The byte that each symbol of byte-level BPE stands for. */
const BYTE_OF: ReadonlyMap<string, number> = new Map(BYTE_SYMBOLS.map((symbol, byte) => [symbol, byte]));

/** A token whose characters all stand for bytes is these bytes, an added one too; any other is its own text. */
function byteLevelText(tokens: readonly string[]): string[] {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap((token) => {
    const own = Array.from(token, (symbol) => BYTE_OF.get(symbol));
    return own.every((byte) => byte !== undefined) ? own : [...encoder.encode(token)];
  });
  return [lossy.decode(Uint8Array.from(bytes))];
}

/** @param decoder of the package, or null */
export function mendDecoder(decoder: unknown): void {
  if (decoder === null || (typeof decoder !== "object" && typeof decoder !== "function")) return;
  const step = decoder as DecoderStep;
  for (const child of step.decoders ?? []) mendDecoder(child);
  switch (step.config?.type) {
    case "ByteLevel":
      step.decode_chain = byteLevelText;
      return;
    case "ByteFallback":
      // U+FFFD for each byte of a run that is no text; browsers write fewer, and drop a byte order mark
      step.text_decoder = {
        decode: (bytes: Uint8Array) => {
          try {
            return strict.decode(bytes);
          } catch {
            return "\ufffd".repeat(bytes.length);
          }
        },
      };
      return;
    case "Metaspace": {
      const mark = step.config.replacement ?? "\u2581";
      step.decode_chain = (tokens) => tokens.map((token, i) => token.replaceAll(mark, i === 0 ? "" : " "));
    }
  }
}
