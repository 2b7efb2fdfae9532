/**
 * The instructions of IFEval (Zhou et al. 2023, arXiv:2311.07911), by the rules of its published checkers. Three are not theirs to
 * the letter: sentences are told apart by Unicode's rules (Intl.Segmenter) and not by NLTK's trained model, words in capitals by
 * white space and punctuation and not by NLTK's tokenizer, and whether a text in one case is English is not asked.
 */

export type InstructionArguments = Readonly<Record<string, unknown>>;

/** Does the reply follow the instruction? */
type Check = (reply: string, given: InstructionArguments) => boolean;

const number = (given: InstructionArguments, key: string): number => Number(given[key]);
const text = (given: InstructionArguments, key: string): string => String(given[key] ?? "").trim();
const list = (given: InstructionArguments, key: string): string[] =>
  Array.isArray(given[key]) ? given[key].map(String) : [];

/** "less than" and "at least", the two relations. */
const related = (count: number, relation: unknown, bound: number): boolean =>
  relation === "less than" ? count < bound : count >= bound;

const count = (pattern: RegExp, reply: string): number => [...reply.matchAll(pattern)].length;

/** As a regular expression, which the published checkers take keywords for; as plain text where it is none. */
function pattern(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags);
  } catch {
    return new RegExp(source.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"), flags);
  }
}

const sentences = new Intl.Segmenter("en", { granularity: "sentence" });
const isUpper = (word: string) => word !== word.toLowerCase() && word === word.toUpperCase();

/** Parts between separators; empty ones may only be the first and the last. null: one in between is empty. */
function parts(reply: string, separator: RegExp | string): string[] | null {
  const all = reply.split(separator);
  const empty = (part: string, i: number) => part.trim() === "" && i !== 0 && i !== all.length - 1;
  return all.some(empty) ? null : all.filter((part) => part.trim() !== "");
}

function firstWord(paragraph: string): string {
  const word = paragraph.trim().split(/\s+/)[0]!.replace(/^'+/, "").replace(/^"+/, "");
  return word.split(/[.,?!'"]/)[0]!.toLowerCase();
}

const checks: Readonly<Record<string, Check>> = {
  "keywords:existence": (reply, given) =>
    list(given, "keywords").every((keyword) => pattern(keyword, "i").test(reply)),
  "keywords:frequency": (reply, given) =>
    related(
      count(pattern(text(given, "keyword"), "gi"), reply),
      given["relation"],
      number(given, "frequency"),
    ),
  "keywords:forbidden_words": (reply, given) =>
    list(given, "forbidden_words").every((word) => !pattern(`\\b${word}\\b`, "i").test(reply)),
  "keywords:letter_frequency": (reply, given) => {
    const letter = text(given, "letter").toLowerCase();
    const times = reply.toLowerCase().split(letter).length - 1;
    return related(times, given["let_relation"], number(given, "let_frequency"));
  },
  "length_constraints:number_sentences": (reply, given) =>
    related([...sentences.segment(reply)].length, given["relation"], number(given, "num_sentences")),
  "length_constraints:number_paragraphs": (reply, given) =>
    parts(reply, /\s?\*\*\*\s?/)?.length === number(given, "num_paragraphs"),
  "length_constraints:number_words": (reply, given) =>
    related(count(/[\p{L}\p{N}_]+/gu, reply), given["relation"], number(given, "num_words")),
  "length_constraints:nth_paragraph_first_word": (reply, given) => {
    const paragraphs = reply.split("\n\n");
    const whole = paragraphs.filter((paragraph) => paragraph.trim() !== "").length;
    const nth = number(given, "nth_paragraph");
    const chosen = paragraphs[nth - 1]?.trim() ?? "";
    if (nth > whole || chosen === "") return false;
    return (
      whole === number(given, "num_paragraphs") &&
      firstWord(chosen) === text(given, "first_word").toLowerCase()
    );
  },
  "detectable_content:number_placeholders": (reply, given) =>
    count(/\[.*?\]/g, reply) >= number(given, "num_placeholders"),
  "detectable_content:postscript": (reply, given) => {
    const marker = text(given, "postscript_marker");
    const known: Record<string, RegExp> = { "P.P.S": /p\.\s?p\.\s?s/, "P.S.": /p\.\s?s\./ };
    return (known[marker] ?? pattern(marker.toLowerCase(), "")).test(reply.toLowerCase());
  },
  "detectable_format:number_bullet_lists": (reply, given) =>
    count(/^\s*\*[^*].*$/gm, reply) + count(/^\s*-.*$/gm, reply) === number(given, "num_bullets"),
  "detectable_format:constrained_response": (reply) =>
    ["My answer is yes.", "My answer is no.", "My answer is maybe."].some((one) => reply.includes(one)),
  "detectable_format:number_highlighted_sections": (reply, given) => {
    const marked = [...reply.matchAll(/\*[^\n*]*\*/g), ...reply.matchAll(/\*\*[^\n*]*\*\*/g)];
    const filled = marked.filter(([part]) => part.replaceAll("*", "").trim() !== "");
    return filled.length >= number(given, "num_highlights");
  },
  "detectable_format:multiple_sections": (reply, given) =>
    count(pattern(`\\s?${text(given, "section_spliter")}\\s?\\d+\\s?`, "g"), reply) >=
    number(given, "num_sections"),
  "detectable_format:json_format": (reply) => {
    const bare = reply
      .trim()
      .replace(/^```(json|Json|JSON)?/, "")
      .replace(/```$/, "");
    try {
      JSON.parse(bare.trim());
      return true;
    } catch {
      return false;
    }
  },
  "detectable_format:title": (reply) =>
    [...reply.matchAll(/<<[^\n]+>>/g)].some(
      ([title]) => title.replace(/^<+/, "").replace(/>+$/, "").trim() !== "",
    ),
  "combination:two_responses": (reply) => {
    const both = parts(reply, "******");
    return both?.length === 2 && both[0]!.trim() !== both[1]!.trim();
  },
  "combination:repeat_prompt": (reply, given) =>
    reply.trim().toLowerCase().startsWith(text(given, "prompt_to_repeat").toLowerCase()),
  "startend:end_checker": (reply, given) =>
    reply
      .trim()
      .replace(/^"+|"+$/g, "")
      .toLowerCase()
      .endsWith(text(given, "end_phrase").toLowerCase()),
  "startend:quotation": (reply) => {
    const bare = reply.trim();
    return bare.length > 1 && bare.startsWith('"') && bare.endsWith('"');
  },
  "change_case:capital_word_frequency": (reply, given) => {
    const capitals = [...reply.matchAll(/[\p{L}\p{N}_'-]+/gu)].filter(([word]) => isUpper(word)).length;
    return related(capitals, given["capital_relation"], number(given, "capital_frequency"));
  },
  "change_case:english_capital": (reply) => isUpper(reply),
  "change_case:english_lowercase": (reply) => reply !== reply.toUpperCase() && reply === reply.toLowerCase(),
  "punctuation:no_comma": (reply) => !reply.includes(","),
};

export const instructionIds = Object.keys(checks);

/** Strict: the reply as it is; an empty one follows nothing. */
export function follows(id: string, given: InstructionArguments, reply: string): boolean {
  const check = checks[id];
  return check !== undefined && reply.trim() !== "" && check(reply, given);
}

/** Loose: also without the first line, the last, both, and without asterisks. */
export function followsLoosely(id: string, given: InstructionArguments, reply: string): boolean {
  const lines = reply.split("\n");
  const cut = [lines, lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((part, i) =>
    i === 0 ? reply : part.join("\n").trim(),
  );
  return [...cut, ...cut.map((part) => part.replaceAll("*", ""))].some((part) => follows(id, given, part));
}
