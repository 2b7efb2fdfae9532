import { type Answer, MathParseError, type Node } from "./ast.ts";
import { hasProse } from "./prose.ts";
import { Reader } from "./reader.ts";
import { hasGroupedDigits, tokenise } from "./tokens.ts";
import { isUnitWord } from "./units.ts";

/** 3 1/8 of plain text, before it is read as 3 * 1 / 8. */
function spellMixedNumbers(text: string): string {
  return text.replace(/(?<![\w.^/}])(\d+) (\d+) ?\/ ?(\d+)(?![\w.])/g, "$1\\frac{$2}{$3}");
}

const BASED = /^(-?[0-9A-Z]+(?:\.[0-9A-Z]+)?) ?_ ?(?:\{ ?(?:\\text ?\{)?(\d{1,2}|[a-z]+)\}?\}?|(\d))$/;
const WORDS = /^\(?[A-Za-z][A-Za-z' .-]*\)?$/;
/** Words in letters that are not Latin ones. */
const OTHER_WORDS = /^(?![ -~]*$)[\p{L}\p{M} ,;:、。,;.-]+$/u;

/** A word, and not a product of letters: east, None, ABC, right triangle. */
function isWording(text: string): boolean {
  if (OTHER_WORDS.test(text)) return true;
  if (!WORDS.test(text) || /^(infinity|pi|inf)$/i.test(text)) return false;
  const letters = text.replace(/[^A-Za-z]/g, "");
  return (
    letters.length >= 4 || /^[A-Z]{3,}$/.test(letters) || /^(yes|no|odd|two|one|six|ten)$/i.test(letters)
  );
}

function wordList(text: string): Answer {
  const items = text
    .split(/,| and | or /)
    .map((word) => word.trim())
    .filter(Boolean)
    .map((word): Node => ({ kind: "text", text: word }));
  return { items };
}

/** Bare words after a number, up to the next item of a list: "5 cm" is 5 \text{cm}. */
const UNIT_WORDS =
  /(?<=[\d})]|\\pi) ?([A-Za-z]+\.?(?:[ /][A-Za-z]+\.?)*?)(\^ ?\{?[23]\}?)?(?= ?(?:$|[,;]|(?:and|or) ))/g;

function markUnits(text: string): string {
  return text.replace(UNIT_WORDS, (all, words: string, power = "") => {
    const fits = words.split(/[ /]/).every((word) => isUnitWord(word) || /^(of|per|the|in)$/.test(word));
    return fits ? ` \\text{${words}}${power}` : all;
  });
}

/** "C. 1-i": the letter of a choice and what it says; either names the answer. */
const CHOICE = /^\(?([A-E])(?:[.:]|\)) ?(?=\S)(.+)$/;

/**
 * Reads a normalised answer. `1,234` has two readings, as a number and as a list.
 * @returns at least one reading
 * @throws MathParseError when it is not understood
 */
export function parseAnswer(normalised: string): Answer[] {
  const choice = CHOICE.exec(normalised);
  if (choice !== null) return [...parseAnswer(choice[2]!), { items: [{ kind: "symbol", name: choice[1]! }] }];
  let text = normalised;
  const whole = /^\\text ?\{([^{}]*)\}$/.exec(text);
  if (whole !== null) text = whole[1]!.trim();
  const based = BASED.exec(text.replace(/^\\text ?\{([0-9A-Z]+)\}/, "$1"));
  if (based !== null && /\d/.test(based[1]!)) {
    const base = based[2] ?? based[3] ?? "";
    const words: Readonly<Record<string, number>> = { two: 2, three: 3, eight: 8, ten: 10, sixteen: 16 };
    const value = words[base] ?? Number(base);
    if (value >= 2) return [{ items: [{ kind: "based", digits: based[1]!, base: value }] }];
  }
  if (isWording(text) || (whole !== null && !/[\d\\=+*/^]/.test(text) && /[A-Za-z]{2}/.test(text))) {
    return [wordList(text)];
  }
  if (/^\(?all real( number)?s?\)?$/i.test(text)) return [{ items: [{ kind: "constant", name: "reals" }] }];
  text = markUnits(
    spellMixedNumbers(text)
      .replace(/^\$ ?|(?<=[-(, ])\$ ?(?=\d)/g, "\\$")
      .replace(/(?<=\d ?)([ap])\.? ?m\.?$/i, "\\text{$1m}")
      .replace(/\b(infinity|inf)\b/gi, "\\infty ")
      .replace(/(?<![\\a-zA-Z])pi(?![a-zA-Z])/g, "\\pi ")
      .replace(/(?<![\\a-zA-Z])sqrt ?\(([^()]*)\)/g, "\\sqrt{$1}")
      .replace(/(?<![\\a-zA-Z])sqrt ?(\d+)/g, "\\sqrt{$1}")
      .replace(/(?<![\\a-zA-Z])(sin|cos|tan|ln|log|exp|arcsin|arccos|arctan)(?![a-zA-Z])/g, "\\$1 ")
      // \text{...} is matched first so that the word inside is left alone
      .replace(/\\text ?\{[^{}]*\}|(?<=[\d)}\]$ ,;])(and|or)(?![a-zA-Z])/g, (all, word?: string) =>
        word === undefined ? all : `\\text{${word}}`,
      ),
  );
  if (hasProse(text)) {
    if (whole !== null) return [wordList(text)];
    // Vendor 2, the 60th caller: a name, and no product of letters
    if (/^[\p{L}\d ,.'()&-]{1,80}$/u.test(normalised))
      return [{ items: [{ kind: "text", text: normalised }] }];
    throw new MathParseError("words among the mathematics");
  }
  const readings = hasGroupedDigits(text) ? [true, false] : [true];
  const answers: Answer[] = [];
  let failure: unknown;
  for (const grouped of readings) {
    try {
      answers.push(new Reader(tokenise(text, grouped)).answer());
    } catch (error) {
      if (!(error instanceof MathParseError)) throw error;
      failure = error;
    }
  }
  // October 30: a text that is no mathematics is a text
  if (answers.length === 0 && whole !== null) return [wordList(text)];
  if (answers.length === 0) throw failure;
  return answers;
}
