/**
 * Steps of tokenizer.json, said so that @huggingface/tokenizers (0.2) does what the reference does. Its own steps differ
 * beyond ASCII, in white space, and where they ignore a setting; its Split step follows the reference's regexes.
 */
import { ModelFileError } from "../../lib/errors.ts";
import { isObject, type JsonObject } from "./json.ts";

/** The pattern of ByteLevel(use_regex true), GPT-2's, written for the engine that the Split step uses. */
const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** \w of Rust's regex engine. */
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}";
const PUNCTUATION = "\\p{P}\\x{24}\\x{2b}\\x{3c}-\\x{3e}\\x{5e}\\x{60}\\x{7c}\\x{7e}";

const split = (pattern: string, behavior: string, invert = false): JsonObject => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior,
  invert,
});
const isolated = (pattern: string): JsonObject => split(pattern, "Isolated");
/** Only what matches is kept. */
const matches = (pattern: string): JsonObject => split(pattern, "Removed", true);
const sequence = (...pretokenizers: unknown[]): JsonObject => ({ type: "Sequence", pretokenizers });

function escaped(text: string): string {
  return [...text].map((c) => `\\x{${c.codePointAt(0)!.toString(16)}}`).join("");
}

/** @throws ModelFileError for behaviours that would cut otherwise */
function behaviourOf(step: JsonObject, fallback: string, path: string): string {
  const behaviour = String(step["behavior"] ?? fallback).toLowerCase();
  if (behaviour === "removed") return "Removed";
  if (behaviour === "isolated") return "Isolated";
  if (behaviour === "contiguous" && step["type"] === "Punctuation") return "Contiguous";
  throw new ModelFileError(
    `${path}: pre_tokenizer ${step["type"]} with behavior ${step["behavior"]} is not supported; Isolated and Removed are`,
  );
}

/** @throws ModelFileError for steps that would give other pieces than the reference */
export function preTokenizer(value: unknown, path: string): unknown {
  if (!isObject(value)) return null;
  switch (value["type"]) {
    case "Sequence": {
      const steps = Array.isArray(value["pretokenizers"]) ? value["pretokenizers"] : [];
      return { ...value, pretokenizers: steps.map((step) => preTokenizer(step, path)) };
    }
    case "Digits":
      return isolated(value["individual_digits"] ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel": {
      // (?=\P{Cs}): not between the halves of a surrogate pair
      const prefix =
        value["add_prefix_space"] === false
          ? []
          : [{ type: "Replace", pattern: { Regex: "\\A(?! )(?=\\P{Cs})" }, content: " " }];
      const cut = value["use_regex"] === false ? [] : [isolated(GPT2_PATTERN)];
      return sequence(...prefix, ...cut, { ...value, add_prefix_space: false, use_regex: false });
    }
    case "Whitespace":
      return matches(`[${WORD}]+|[^${WORD}\\s]+`);
    case "WhitespaceSplit":
      return split("\\s+", "Removed");
    case "Punctuation": {
      const behaviour = behaviourOf(value, "Isolated", path);
      return behaviour === "Contiguous"
        ? isolated(`[${PUNCTUATION}]+`)
        : split(`[${PUNCTUATION}]`, behaviour);
    }
    case "BertPreTokenizer":
      return sequence(split("\\s+", "Removed"), isolated(`[${PUNCTUATION}]`));
    case "CharDelimiterSplit":
      return split(escaped(String(value["delimiter"])), "Removed");
    case "FixedLength":
      return isolated(`(?:.|\\n){1,${Number(value["length"] ?? 5)}}`);
    case "Metaspace":
      return metaspace(value);
    case "Split": {
      const behaviour = behaviourOf(value, "Isolated", path);
      const pattern = isObject(value["pattern"]) ? value["pattern"] : {};
      const regex =
        typeof pattern["String"] === "string" ? escaped(pattern["String"]) : String(pattern["Regex"] ?? "");
      // matches and what lies between them are pieces either way
      return split(regex, behaviour, value["invert"] === true && behaviour === "Removed");
    }
    default:
      return value;
  }
}

function metaspace(step: JsonObject): JsonObject {
  const scheme = schemeOf(step);
  const replacement = typeof step["replacement"] === "string" ? step["replacement"] : "\u2581";
  const mark = { ...step, prepend_scheme: scheme, str_rep: replacement };
  if (step["split"] === false) return mark;
  const char = escaped(replacement);
  return sequence(mark, matches(`${char}[^${char}]*|[^${char}]+`));
}

function schemeOf(step: JsonObject): unknown {
  return step["prepend_scheme"] ?? (step["add_prefix_space"] === false ? "never" : "always");
}

/** Replacements are texts, not patterns of JavaScript's replace; Metaspace keeps a first space that was never added. */
export function decoderSteps(value: unknown): unknown {
  if (!isObject(value)) return null;
  if (value["type"] === "Sequence" && Array.isArray(value["decoders"])) {
    return { ...value, decoders: value["decoders"].map(decoderSteps) };
  }
  if (value["type"] === "Replace" && typeof value["content"] === "string") {
    return { ...value, content: value["content"].replaceAll("$", "$$$$") };
  }
  if (value["type"] === "Metaspace" && schemeOf(value) === "never") {
    return { type: "Replace", pattern: { String: value["replacement"] ?? "\u2581" }, content: " " };
  }
  return value;
}
