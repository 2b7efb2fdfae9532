/** Donation is written into the signature of @main, where XLA reads it. */
import { BackendError } from "../../lib/errors.ts";

/**
 * Marks arguments of @main as memory that the outputs may take (`jax.buffer_donor`, which XLA's import of
 * StableHLO turns into its own table).
 * @param module StableHLO text
 * @param donate indices of arguments
 * @throws BackendError when the text has no @main or too few arguments
 */
export function withDonation(module: string, donate: readonly number[]): string {
  if (donate.length === 0) return module;
  const begin = /func\.func\s+(?:public\s+)?@main\s*\(/.exec(module);
  if (begin === null) throw new BackendError("the program has no function @main");
  const start = begin.index + begin[0].length;
  const parts = splitArguments(module, start);
  const wanted = new Set(donate);
  const beyond = donate.find((index) => index < 0 || index >= parts.texts.length);
  if (beyond !== undefined) {
    throw new BackendError(`argument ${beyond} cannot be donated: @main has ${parts.texts.length}`);
  }
  const marked = parts.texts.map((text, index) => {
    if (!wanted.has(index)) return text;
    const attributes = /\{([\s\S]*)\}\s*$/.exec(text);
    if (attributes === null) return `${text} {jax.buffer_donor = true}`;
    return `${text.slice(0, attributes.index)}{${attributes[1]}, jax.buffer_donor = true}`;
  });
  return module.slice(0, start) + marked.join(",") + module.slice(parts.end);
}

/** Commas that separate arguments stand outside every bracket and string. */
function splitArguments(module: string, start: number): { texts: string[]; end: number } {
  const texts: string[] = [];
  let depth = 0;
  let quoted = false;
  let from = start;
  for (let at = start; at < module.length; at++) {
    const char = module[at]!;
    if (quoted) {
      if (char === "\\") at++;
      else if (char === '"') quoted = false;
      continue;
    }
    if (char === '"') quoted = true;
    else if ("<{[(".includes(char)) depth++;
    else if (char === ")" && depth === 0) {
      if (module.slice(from, at).trim() !== "") texts.push(module.slice(from, at));
      return { texts, end: at };
    } else if (">}])".includes(char)) depth--;
    else if (char === "," && depth === 0) {
      texts.push(module.slice(from, at));
      from = at + 1;
    }
  }
  throw new BackendError("the argument list of @main does not end");
}
