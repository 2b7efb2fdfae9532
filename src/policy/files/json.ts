import { readFileSync } from "node:fs";
import { describeSystemError, ModelFileError } from "../../lib/errors.ts";

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
      if (depth === 1 && expectKey) {
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

/** The reason JSON.parse gives, with the place in bytes rather than characters where it names one. */
function jsonFault(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const position = /position (\d+)/.exec(message)?.[1];
  const at = position === undefined ? text.length : Number(position);
  return `at byte ${Buffer.byteLength(text.slice(0, at))}`;
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
    throw new ModelFileError(`${what} is not valid JSON ${jsonFault(text, cause)}`, { cause });
  }
  if (!isObject(value)) throw new ModelFileError(`${what} is not a JSON object`);
  const twice = duplicateTopLevelKey(text);
  if (twice !== null) throw new ModelFileError(`${what} has the key ${JSON.stringify(twice)} twice`);
  return value;
}

export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ModelFileError(`${path} cannot be read: ${describeSystemError(cause)}`, { cause });
  }
}

export function readJsonObject(path: string): JsonObject {
  return parseJsonObject(readBytes(path), path);
}
