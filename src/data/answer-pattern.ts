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

/** Time goes with the pattern's size times the text's: this one takes half a second over 20,000 characters. */
const LARGEST_PROGRAM = 1000;

const programSize = (text: string): number =>
  RE2JS.compile(RE2JS.translateRegExp(text), RE2JS.MULTILINE).programSize();

/** What is wrong with a pattern, or null. */
export function answerPatternFault(text: string): string | null {
  let groups: number;
  try {
    groups = new RegExp(`${text}|`, "m").exec("")!.length - 1;
  } catch (error) {
    return `is not a regular expression: ${(error as Error).message.replace(/^Invalid regular expression: /, "")}`;
  }
  if (groups < 1)
    return "has no group; put parentheses around the part that is the answer, as in '####\\s*(.+)$'";
  try {
    if (programSize(text) > LARGEST_PROGRAM)
      return "repeats too much ({1000}, or repeats of repeats): over a long row it would take minutes; say it shorter";
  } catch {
    return "looks ahead or back (?=, ?!, ?<=, \\1) or counts too far: such patterns can take hours over one row; say it without, with the answer as the first group";
  }
  return null;
}
