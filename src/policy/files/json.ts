import { ModelFileError } from "../../lib/errors.ts";
import { openPositioned } from "./positioned-file.ts";

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A key that occurs twice in the outermost object of valid JSON, or null. JSON.parse keeps the last one silently. */
export function duplicateTopLevelKey(json: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  let expectKey = false;
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === '"') {
      const start = i;
      i++;
      while (json[i] !== '"') i += json[i] === "\\" ? 2 : 1;
      if (expectKey) {
        const key = JSON.parse(json.slice(start, i + 1)) as string;
        if (seen.has(key)) return key;
        seen.add(key);
        expectKey = false;
      }
    } else if (char === "{" || char === "[") {
      depth++;
      expectKey = depth === 1 && char === "{";
    } else if (char === "}" || char === "]") {
      depth--;
    } else if (char === "," && depth === 1) {
      expectKey = true;
    }
  }
  return null;
}

const TOKEN =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;

/** Index of the first character that JSON does not allow there. JSON.parse does not always say. */
export function jsonFaultAt(text: string): number {
  const open: string[] = [];
  // what may come next: a value, a value or the end of a list, a key or "}", a key, ":", "," or an end
  let state: "value" | "item" | "entry" | "key" | "colon" | "after" = "value";
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    const start = at + (/^[ \t\n\r]*/.exec(text.slice(at, at + 10_000))?.[0].length ?? 0);
    if (start >= text.length) break;
    if (!match) return start;
    const mark = match[1] ?? "";
    const isString = match[2] !== undefined;
    const closes = mark !== "" && mark === (open.at(-1) === "{" ? "}" : "]");
    if (state === "value" || state === "item") {
      if (mark === "{" || mark === "[") {
        open.push(mark);
        state = mark === "{" ? "entry" : "item";
      } else if (mark === "") state = "after";
      else if (state === "item" && closes) {
        open.pop();
        state = "after";
      } else return start;
    } else if (state === "entry" || state === "key") {
      if (isString) state = "colon";
      else if (state === "entry" && closes) {
        open.pop();
        state = "after";
      } else return start;
    } else if (state === "colon") {
      if (mark !== ":") return start;
      state = "value";
    } else {
      if (open.length === 0) return start;
      if (mark === ",") state = open.at(-1) === "{" ? "key" : "value";
      else if (closes) open.pop();
      else return start;
    }
    at = TOKEN.lastIndex;
  }
  return text.length;
}

/**
 * @param what how messages name it: "model.safetensors: header", "config.json"
 * @throws ModelFileError unless the bytes are UTF-8 JSON holding an object with distinct keys
 */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ModelFileError(`${what} is not UTF-8 text`, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelFileError(
      `${what} is not valid JSON at byte ${Buffer.byteLength(text.slice(0, jsonFaultAt(text)))}`,
      {
        cause,
      },
    );
  }
  if (!isObject(value)) throw new ModelFileError(`${what} is not a JSON object`);
  const twice = duplicateTopLevelKey(text);
  if (twice !== null) throw new ModelFileError(`${what} has the key ${JSON.stringify(twice)} twice`);
  return value;
}

/** Bytes that a file may have which is read whole: ten times the largest tokenizer.json of a public model. */
const LARGEST_FILE = 400_000_000;

/** @throws ModelFileError when it cannot be read, is a directory, a pipe or a device, or has too many bytes */
export function readBytes(path: string, largest = LARGEST_FILE): Uint8Array {
  const file = openPositioned(path);
  try {
    if (file.size > largest) {
      throw new ModelFileError(`${path} has ${file.size} bytes; such a file has at most ${largest}`);
    }
    return file.read(0, file.size);
  } finally {
    file.close();
  }
}

export function readJsonObject(path: string, largest?: number): JsonObject {
  return parseJsonObject(readBytes(path, largest), path);
}
