import { compact, MAX_RAW_CHARS, normalise } from "./normalise.ts";
import { equalRationals, readNumber } from "./rational.ts";

export interface MathPair {
  /** The completion's answer, as extracted. */
  candidate: string;
  gold: string;
}

/** `unparsed`: the candidate cannot be read; `error`: the gold answer cannot. */
export interface MathVerdict {
  equal: boolean;
  status: "ok" | "unparsed" | "error" | "timeout";
  note?: string;
}

const PLAIN = /^-?(?:\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})$/;

/** Settles identical spellings and plain numbers without reading LaTeX. Undefined: it takes the grader. */
export function gradeFast({ candidate, gold }: MathPair): MathVerdict | undefined {
  if (candidate.length > MAX_RAW_CHARS || gold.length > MAX_RAW_CHARS) {
    if (candidate === gold) return { equal: true, status: "ok" };
    const long = gold.length > MAX_RAW_CHARS ? "gold answer" : "answer";
    const note = `the ${long} has more than ${MAX_RAW_CHARS} characters`;
    return { equal: false, status: long === "answer" ? "unparsed" : "error", note };
  }
  const left = compact(normalise(candidate));
  const right = compact(normalise(gold));
  if (right === "") return { equal: false, status: "error", note: "the gold answer is empty" };
  if (left === "") return { equal: false, status: "unparsed", note: "the answer is empty" };
  if (left === right) return { equal: true, status: "ok" };
  if (!PLAIN.test(left) || !PLAIN.test(right)) return undefined;
  const a = readNumber(left);
  const b = readNumber(right);
  return a === null || b === null ? undefined : { equal: equalRationals(a, b), status: "ok" };
}
