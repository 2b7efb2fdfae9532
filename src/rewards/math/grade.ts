import { type Answer, MathParseError } from "./ast.ts";
import { checkComparable, equalAnswers } from "./equal.ts";
import { gradeFast, type MathPair, type MathVerdict } from "./fast.ts";
import { normalise } from "./normalise.ts";
import { parseAnswer } from "./parse.ts";

const SHORT = 200;
/** For messages: long answers are cut. */
export function quote(text: string): string {
  return JSON.stringify(text.length > SHORT ? `${text.slice(0, SHORT)}...` : text);
}

/** Gold answers repeat over a group and over epochs. */
const parsed = new Map<string, Answer[]>();

function read(text: string): Answer[] {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const answers = parseAnswer(normalise(text));
  checkComparable(answers);
  if (parsed.size > 2000) parsed.clear();
  parsed.set(text, answers);
  return answers;
}

function message(error: unknown): string {
  if (error instanceof MathParseError || error instanceof RangeError) return error.message;
  throw error;
}

/** Mathematical equality of two answers in LaTeX or plain text. Pure; see `gradeAnswers` for the deadline. */
export function gradeMath(pair: MathPair): MathVerdict {
  const fast = gradeFast(pair);
  if (fast !== undefined) return fast;
  let gold: Answer[];
  try {
    gold = read(pair.gold);
  } catch (error) {
    return { equal: false, status: "error", note: `gold answer ${quote(pair.gold)}: ${message(error)}` };
  }
  try {
    return { equal: equalAnswers(read(pair.candidate), gold), status: "ok" };
  } catch (error) {
    return { equal: false, status: "unparsed", note: `${quote(pair.candidate)}: ${message(error)}` };
  }
}
