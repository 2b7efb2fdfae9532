/** InternBootcamp's verify_score (arXiv:2508.08636; internbootcamp/bootcamp/base.py), on any verifier. Pure. */
export interface ScoreRules {
  /** What a well-formed wrong answer gets. */
  format_score: number;
  short_penalty: boolean;
  /** Characters below which a completion is too short. */
  short_threshold: number;
  /** Without `</think>` it is worth nothing. */
  format_penalty: boolean;
}

export interface Score {
  value: number;
  /** The verifier said true or 1. */
  right: boolean;
  /** The answer, null where none was found. */
  answer: string | null;
  note: string;
}

/** The last `[answer]...[/answer]`, trimmed; null for none. */
export function answerOf(completion: string): string | null {
  const end = completion.lastIndexOf("[/answer]");
  const start = end < 0 ? -1 : completion.lastIndexOf("[answer]", end);
  if (start < 0) return null;
  return completion.slice(start + "[answer]".length, completion.indexOf("[/answer]", start)).trim();
}

/**
 * In the order of the code: too short, no end of the thought, no answer, then what the verifier says. A number it returns counts as
 * it is, 0 too; false and an exception leave format_score.
 */
export function verifyScore(
  completion: string,
  verify: (answer: string) => boolean | number,
  rules: ScoreRules,
): Score {
  const nothing = (note: string, answer: string | null): Score => ({ value: 0, right: false, answer, note });
  const answer = answerOf(completion);
  if (rules.short_penalty && completion.length < rules.short_threshold)
    return nothing(`shorter than ${rules.short_threshold} characters`, answer);
  if (rules.format_penalty && !completion.includes("</think>")) return nothing("no </think>", answer);
  if (answer === null) return nothing("no [answer]", null);
  try {
    const said = verify(answer);
    const value = said === true ? 1 : said === false ? rules.format_score : said;
    return { value, right: said === true || said === 1, answer, note: answer.slice(0, 200) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      value: rules.format_score,
      right: false,
      answer,
      note: `the verifier failed: ${reason.slice(0, 200)}`,
    };
  }
}
