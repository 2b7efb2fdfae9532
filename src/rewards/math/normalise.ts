import { unwrap, withoutFences } from "./fences.ts";
import { introducedNumber, introducedPiece } from "./prose.ts";
import { asciiMath } from "./spelling.ts";

/** Spelling: what LaTeX, Unicode and plain text write differently becomes one. Linear in the text's length. */

const renamed: Readonly<Record<string, string>> = {
  dfrac: "\\frac",
  tfrac: "\\frac",
  cfrac: "\\frac",
  dbinom: "\\binom",
  tbinom: "\\binom",
  mbox: "\\text",
  textnormal: "\\text",
  textrm: "\\text",
  textbf: "\\text",
  textit: "\\text",
  mathrm: "\\text",
  hbox: "\\text",
  textsf: "\\text",
  texttt: "\\text",
  operatorname: "\\operatorname",
  le: "\\leq",
  leqslant: "\\leq",
  leq: "\\leq",
  ge: "\\geq",
  geqslant: "\\geq",
  geq: "\\geq",
  lt: "<",
  gt: ">",
  ne: "\\neq",
  degree: "^\\circ",
  varnothing: "\\emptyset",
  backslash: "\\setminus",
  lbrace: "\\{",
  rbrace: "\\}",
  lbrack: "[",
  rbrack: "]",
  cdotp: "\\cdot",
  ast: "\\cdot",
  simeq: "\\approx",
  colon: ":",
  prime: "'",
  varphi: "\\phi",
  varepsilon: "\\epsilon",
  vartheta: "\\theta",
  mid: "|",
  vert: "|",
  dots: "\\ldots",
  cdots: "\\ldots",
  dotsc: "\\ldots",
  dotsb: "\\ldots",
  overrightarrow: "\\vec",
  widehat: "\\hat",
  euro: "€",
};

/** Commands that change only the look, and what stands for them. */
const dropped = new Set(
  "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr middle mathop displaystyle textstyle scriptstyle limits nolimits rm bf it mathbf mathit mathsf boldsymbol bold bm pmb mathcal mathscr mathfrak hfill noindent".split(
    " ",
  ),
);
const spaces = new Set("quad qquad enspace thinspace space".split(" "));

/** Drops \phantom with its argument. */
const PHANTOM = /\\[hv]?phantom\s*(?:\{[^{}]*\}|.)/g;

/** Upright constants, as ISO writes them; \text{e} may be the letter of a choice. */
const UPRIGHT = /\\(?:mathrm|operatorname|rm) ?\{ ?([ei]) ?\}|\{ ?\\rm ([ei]) ?\}/g;

/** A style around a single letter: \mathbf{e}_r is a symbol with an index. */
const STYLED =
  /\\(?:mathbf|boldsymbol|bm|mathit|mathsf|mathcal|mathscr|mathfrak) ?\{ ?([A-Za-z]|\\[A-Za-z]+) ?\}/g;

/** What may stand between groups of three digits: thin spaces and their relatives, also around a comma. */
const THOUSANDS =
  /(?<![\d.,])\d{1,3}(?:(?: ?\{ ?, ?\} ?| ?, ?\\! ?| ?\\! ?, ?|\\,|\\ |\\;|\\:|~| )\d{3})+(?![\d/]| ?\/)/g;

/** Digits that repeat without end: \overline{3}, \bar{3}, \dot{3} and (3) after a decimal point. */
const REPEATING =
  /(?<![\d.])(\d{0,30})\.(\d{0,30})(?:\\(?:overline|bar|dot) ?(?:\{ ?(\d{1,30}) ?\}|(\d))|\((\d{1,30})\)(?![\d(]))/g;

function repeating(whole: string, fixed: string, digits: string): string {
  const all = BigInt(`0${whole}${fixed}${digits}`) - BigInt(`0${whole}${fixed}`);
  const nines = `${"9".repeat(digits.length)}${"0".repeat(fixed.length)}`;
  return `(\\frac{${all}}{${nines}})`;
}

/** Longest text that is spelled out, in characters; the rest is only compared letter by letter. */
export const MAX_RAW_CHARS = 8000;

/** \\\\frac of a text that was escaped twice; in a matrix \\\\ ends a row. */
function withSingleBackslashes(text: string): string {
  return text.includes("\\begin") ? text : text.replace(/\\\\(?=[a-zA-Z{}()[\]%])/g, "\\");
}

/** @param answer as extracted. @returns the same answer in one spelling; still LaTeX */
export function normalise(answer: string): string {
  const unwrapped = unwrap(withSingleBackslashes(asciiMath(answer)));
  const text = withoutFences(introducedPiece(unwrapped) ?? introducedNumber(unwrapped) ?? unwrapped)
    .replace(/,? for (?:any|all|every|each) (?:integers?|real numbers?|reals?)(?: [a-zA-Z])? ?\.?$/, "")
    .replace(PHANTOM, "")
    .replace(UPRIGHT, (_, a: string | undefined, b: string | undefined) => ` ${a ?? b} `)
    .replace(STYLED, " $1 ")
    .replace(THOUSANDS, (number) => number.replace(/\D/g, ""))
    // between digits {,} and ,\! only group thousands
    .replace(/(?<=\d)(?:\{,\}|,\\!|\\,|\\!,)(?=\d{3}(?!\d))/g, "")
    .replace(REPEATING, (_, whole: string, fixed: string, ...digits: (string | undefined)[]) =>
      repeating(whole, fixed, digits.slice(0, 3).find((each) => each !== undefined)!),
    )
    .replace(/(?<=\d) ?[xX] ?(?=10 ?\^)/g, "\\times ")
    .replace(/ != ?/g, "\\neq ")
    .replace(/(?<=\d) ?[€£¥]$/, "")
    // a variable that sticks to the space before it: \quadx
    .replace(/\\q?quad(?=[a-zA-Z])/g, "  ")
    // \\ ends a row: it is matched first so that its second half is not taken for a command
    .replace(/\\\\|\\([a-zA-Z]+)/g, (whole, name: string | undefined) => {
      if (name === undefined) return whole;
      if (dropped.has(name)) return " ";
      if (spaces.has(name)) return "  ";
      return Object.hasOwn(renamed, name) ? `${renamed[name]} ` : whole;
    })
    .replace(/\\\\|\\[!,;:> ]|~/g, (space) => (space === "\\\\" ? space : space === "\\!" ? "" : " "))
    .replace(/\\%/g, "%")
    .replace(/\^ ?\{? ?('(?: ?'){0,5}) ?\}?/g, (_, primes: string) => primes.replaceAll(" ", ""))
    .replace(/^ ?(?:\\approx|=) ?/, "")
    .replace(/\s+/g, " ")
    .trim();
  return unwrap(text);
}

/** Spelling without what cannot matter: spaces and an outer \text{}. For telling identical answers. */
export function compact(normalised: string): string {
  const text = /^\\text ?\{([^{}\\]*)\}$/.exec(normalised)?.[1] ?? normalised;
  return text
    .replace(/\\([a-zA-Z]+) (?=[^a-zA-Z])/g, "\\$1")
    .replace(/ (?![a-zA-Z\d])|(?<![a-zA-Z\d]) /g, "");
}
