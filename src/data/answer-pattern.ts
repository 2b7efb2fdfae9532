/** The user's pattern for the answer, in time linear in the text: re2js never goes back over it. */
import { RE2JS } from "re2js";

export interface AnswerPattern {
  /** What the first group holds in the first match, or null without a match. */
  find(text: string): string | null;
}

/** @throws Error in the words of the engine when it does not take the pattern */
export function compileAnswerPattern(text: string): AnswerPattern {
  const pattern = RE2JS.compile(RE2JS.translateRegExp(text), RE2JS.MULTILINE);
  return {
    find(answer) {
      const matcher = pattern.matcher(answer);
      return matcher.find() ? matcher.group(1) : null;
    },
  };
}

/** Whether a pattern is found in a text. @throws Error as {@link compileAnswerPattern} does */
export function compilePattern(text: string): (value: string) => boolean {
  const pattern = RE2JS.compile(RE2JS.translateRegExp(text), RE2JS.MULTILINE);
  return (value) => pattern.matcher(value).find();
}

/** Time goes with the pattern's size times the text's: this one takes half a second over 20,000 characters. */
const LARGEST_PROGRAM = 1000;

const programSize = (text: string): number =>
  RE2JS.compile(RE2JS.translateRegExp(text), RE2JS.MULTILINE).programSize();

/** What is wrong with a pattern for an answer, or null. */
export function answerPatternFault(text: string): string | null {
  const groups = groupsOf(text);
  if (groups === 0)
    return "has no group; put parentheses around the part that is the answer, as in '####\\s*(.+)$'";
  const fault = patternFault(text);
  return fault === null || typeof groups === "string"
    ? fault
    : `${fault}, with the answer as the first group`;
}

/** What is wrong with a pattern that is looked for, or null. */
export function patternFault(text: string): string | null {
  const groups = groupsOf(text);
  if (typeof groups === "string") return `is not a regular expression: ${groups}`;
  try {
    if (programSize(text) > LARGEST_PROGRAM)
      return "repeats too much ({1000}, or repeats of repeats): over a long row it would take minutes; say it shorter";
  } catch {
    return "looks ahead or back (?=, ?!, ?<=, \\1) or counts too far: such patterns can take hours over one row; say it without";
  }
  return null;
}

/** Groups of a regular expression, or why it is none. */
function groupsOf(text: string): number | string {
  try {
    return new RegExp(`${text}|`, "m").exec("")!.length - 1;
  } catch (error) {
    return (error as Error).message.replace(/^Invalid regular expression: /, "");
  }
}
