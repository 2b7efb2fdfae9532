import type { DecoderConfig } from "../interfaces.ts";

/** A decoder whose weights are called otherwise: names that begin with `from` begin with `to`. */
export function renamed(config: DecoderConfig, from: string, to: string): DecoderConfig {
  const walk = (value: unknown): unknown => {
    if (typeof value === "string") return value.startsWith(from) ? to + value.slice(from.length) : value;
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, walk(each)]));
  };
  return walk(config) as DecoderConfig;
}
