/** normalizer of tokenizer.json: text to text, as the reference's Rust does it. */
import * as tokenizers from "@huggingface/tokenizers";
import { ModelFileError } from "../../lib/errors.ts";
import { isObject, type JsonObject } from "./json.ts";

// exported, but not in the types
const { ReplaceNormalizer } = tokenizers as unknown as {
  ReplaceNormalizer: new (step: JsonObject) => { pattern: RegExp | null };
};

export type Normalizer = (text: string) => string;

/** By code point: JavaScript knows the final sigma, Rust's char::to_lowercase does not. */
const lowercased: Normalizer = (text) => Array.from(text, (point) => point.toLowerCase()).join("");

function isChinese(code: number): boolean {
  return [
    [0x4e00, 0x9fff],
    [0x3400, 0x4dbf],
    [0x20000, 0x2a6df],
    [0x2a700, 0x2b73f],
    [0x2b740, 0x2b81f],
    [0x2b920, 0x2ceaf],
    [0xf900, 0xfaff],
    [0x2f800, 0x2fa1f],
  ].some(([first, last]) => code >= first! && code <= last!);
}

function bert(step: JsonObject): Normalizer {
  const lower = step["lowercase"] !== false;
  const accents = step["strip_accents"] ?? lower;
  return (text) => {
    let result = text;
    if (step["clean_text"] !== false) {
      result = result.replace(/\0|\ufffd|(?![\t\n\r])\p{C}/gu, "").replace(/\p{White_Space}/gu, " ");
    }
    if (step["handle_chinese_chars"] !== false) {
      result = Array.from(result, (c) => (isChinese(c.codePointAt(0)!) ? ` ${c} ` : c)).join("");
    }
    if (accents === true) result = result.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercased(result) : result;
  };
}

/** @throws ModelFileError naming a step that would give other text than the reference */
export function createNormalizer(value: unknown, path: string): Normalizer | null {
  if (!isObject(value)) return null;
  const type = value["type"];
  switch (type) {
    case "Sequence": {
      const list = Array.isArray(value["normalizers"]) ? value["normalizers"] : [];
      const steps = list.map((step) => createNormalizer(step, path)).filter((step) => step !== null);
      return (text) => steps.reduce((result, step) => step(result), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Lowercase":
      return lowercased;
    case "Strip": {
      const left = value["strip_left"] ? /^\p{White_Space}+/u : /^(?!)/;
      const right = value["strip_right"];
      return (text) => {
        const rest = text.replace(left, "");
        if (!right) return rest;
        let end = rest.length;
        while (end > 0 && /\p{White_Space}/u.test(rest[end - 1]!)) end--;
        return rest.slice(0, end);
      };
    }
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Prepend":
      return (text) => (text === "" ? "" : `${String(value["prepend"])}${text}`);
    case "Replace": {
      const { pattern } = new ReplaceNormalizer(value);
      const content = String(value["content"] ?? "");
      return (text) => (pattern === null ? text : text.replace(pattern, () => content));
    }
    case "BertNormalizer":
      return bert(value);
    default:
      throw new ModelFileError(
        `${path}: normalizer ${JSON.stringify(type)} is not supported: text would become other tokens than the model was trained with`,
      );
  }
}
