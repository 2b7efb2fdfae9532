/** Characters beyond ASCII that mathematics is written with, and how LaTeX spells them. */

const single: Readonly<Record<string, string>> = {
  "×": "\\times ",
  "✕": "\\times ",
  "·": "\\cdot ",
  "⋅": "\\cdot ",
  "∙": "\\cdot ",
  "•": "\\cdot ",
  "∗": "*",
  "÷": "/",
  "⁄": "/",
  "∕": "/",
  "∞": "\\infty ",
  "°": "^\\circ ",
  º: "^\\circ ",
  "≤": "\\leq ",
  "⩽": "\\leq ",
  "≦": "\\leq ",
  "≥": "\\geq ",
  "⩾": "\\geq ",
  "≧": "\\geq ",
  "≠": "\\neq ",
  "≈": "\\approx ",
  "≃": "\\approx ",
  "≡": "\\equiv ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∈": "\\in ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "∅": "\\emptyset ",
  "∖": "\\setminus ",
  "∣": "|",
  "⟨": "\\langle ",
  "⟩": "\\rangle ",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
  "∑": "\\sum ",
  "∏": "\\prod ",
  "∠": "\\angle ",
  "△": "\\triangle ",
  "′": "'",
  "’": "'",
  "″": "''",
  "…": "\\ldots ",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  ℕ: "\\mathbb{N}",
  ℚ: "\\mathbb{Q}",
  ℂ: "\\mathbb{C}",
  "∛": "\\sqrt[3]",
  "∜": "\\sqrt[4]",
};

const minus = "−–‒‐‑﹣－";
const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ";
const superscriptSpelling = "0123456789+-()ni";
const subscripts = "₀₁₂₃₄₅₆₇₈₉₊₋";
const subscriptSpelling = "0123456789+-";
const greekLetters = "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩ";
const greekNames =
  "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(
    " ",
  );
/** Fractions that are one character; each with its numerator and denominator. */
const fractions: Readonly<Record<string, string>> = {
  "½": "1 2",
  "⅓": "1 3",
  "⅔": "2 3",
  "¼": "1 4",
  "¾": "3 4",
  "⅕": "1 5",
  "⅖": "2 5",
  "⅗": "3 5",
  "⅘": "4 5",
  "⅙": "1 6",
  "⅚": "5 6",
  "⅐": "1 7",
  "⅛": "1 8",
  "⅜": "3 8",
  "⅝": "5 8",
  "⅞": "7 8",
  "⅑": "1 9",
  "⅒": "1 10",
};
/** White space that text editors and LaTeX put between digits and words; a break of the line stays one. */
const blanks = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000";
const invisible = "\u200b\u200c\u200d\u2060\u2061\u2062\ufeff";

const spelling = new Map<string, string>(Object.entries(single));
for (const char of minus) spelling.set(char, "-");
for (const char of blanks) spelling.set(char, " ");
for (const char of invisible) spelling.set(char, "");
[...greekLetters].forEach((char, index) => {
  spelling.set(char, `\\${greekNames[index]} `);
});
spelling.set("π", "\\pi ").set("ϕ", "\\phi ").set("ϵ", "\\epsilon ");
for (const [char, parts] of Object.entries(fractions)) {
  const [top, bottom] = parts.split(" ");
  spelling.set(char, `\\frac{${top}}{${bottom}}`);
}
// full-width forms of ASCII
for (let code = 0xff01; code <= 0xff5e; code++) {
  const char = String.fromCharCode(code);
  if (!spelling.has(char)) spelling.set(char, String.fromCharCode(code - 0xfee0));
}

function raised(run: string, from: string, to: string): string {
  return [...run].map((char) => to[from.indexOf(char)]).join("");
}

const SUPERSCRIPT = new RegExp(`[${superscripts}]+`, "gu");
const SUBSCRIPT = new RegExp(`[${subscripts}]+`, "gu");
const BEYOND_ASCII = /[^\0-\x7f]/gu;

/** The same text in ASCII as far as mathematics goes. Linear in the text's length. */
export function asciiMath(text: string): string {
  return text
    .replace(SUPERSCRIPT, (run) => `^{${raised(run, superscripts, superscriptSpelling)}}`)
    .replace(SUBSCRIPT, (run) => `_{${raised(run, subscripts, subscriptSpelling)}}`)
    .replace(/√ ?(\d+(?:\.\d+)?)/g, "\\sqrt{$1}")
    .replaceAll("√", "\\sqrt ")
    .replace(BEYOND_ASCII, (char) => spelling.get(char) ?? char);
}
