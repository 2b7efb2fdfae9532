/** The slices of a source of prompts, for which metrics are computed apart. */
import type { PromptSource } from "../types.ts";

/** Prompts of an endless source that are looked at for their slices. */
const PROBED = 512;
/** A key with more values than this gets no columns: it names prompts, not kinds of prompts. */
const MOST_VALUES = 12;

/** "level=3" and the like, in order. The same for every run on this source, so that columns are fixed beforehand. */
export function slicesOf(source: PromptSource): string[] {
  const values = new Map<string, Set<string>>();
  // rows of a source have the same keys; a large file without slices is not gone through
  const size = Object.keys(source.at(0).slices).length === 0 ? 0 : (source.size ?? PROBED);
  for (let index = 0; index < size; index++) {
    for (const [key, value] of Object.entries(source.at(index).slices)) {
      const seen = values.get(key) ?? new Set();
      values.set(key, seen.add(value));
    }
  }
  return [...values.keys()].sort().flatMap((key) => {
    const seen = [...values.get(key)!].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    return seen.length > MOST_VALUES ? [] : seen.map((value) => `${key}=${value}`);
  });
}
