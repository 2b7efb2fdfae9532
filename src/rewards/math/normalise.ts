/** Spelling: what LaTeX, Unicode and plain text write differently becomes one. Linear in the text's length. */

const unicode: Readonly<Record<string, string>> = {
  "−": "-",
  "–": "-",
  "×": "\\times ",
  "·": "\\cdot ",
  "⋅": "\\cdot ",
  "÷": "/",
  "√": "\\sqrt ",
  π: "\\pi ",
  θ: "\\theta ",
  "∞": "\\infty ",
  "°": "^\\circ ",
  "≤": "\\leq ",
  "≥": "\\geq ",
  "≠": "\\neq ",
  "≈": "\\approx ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∈": "\\in ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "∅": "\\emptyset ",
  ℝ: "\\mathbb{R}",
  "½": "\\frac{1}{2}",
  "¼": "\\frac{1}{4}",
  "¾": "\\frac{3}{4}",
  "²": "^{2}",
  "³": "^{3}",
  "∖": "\\setminus ",
  "\u00a0": " ",
  "％": "%",
};
const UNICODE = new RegExp(`[${Object.keys(unicode).join("")}]`, "gu");

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
};

/** Commands that change only the look, and what stands for them. */
const dropped = new Set(
  "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr middle displaystyle textstyle scriptstyle limits nolimits rm bf it mathbf mathit mathsf boldsymbol bold mathcal hfill noindent".split(
    " ",
  ),
);
const spaces = new Set("quad qquad enspace thinspace space".split(" "));

/** The text between outer $ $, $$ $$, \( \) or \[ \], and without a full stop behind it. */
function unwrap(text: string): string {
  let inner = text.trim();
  for (let round = 0; round < 4; round++) {
    const before = inner;
    inner = inner.replace(/[.,;。]+$/, "").trim();
    const fenced =
      /^\$\$([^$]*)\$\$$/.exec(inner) ??
      /^\$([^$]*[^$\\])\$$/.exec(inner) ??
      /^\\\(([\s\S]*)\\\)$/.exec(inner) ??
      /^\\\[([\s\S]*)\\\]$/.exec(inner) ??
      /^\*\*([^*]*)\*\*$/.exec(inner);
    if (fenced !== null) inner = fenced[1]!.trim();
    if (inner === before) break;
  }
  return inner;
}

/** Drops \phantom with its argument. */
const PHANTOM = /\\[hv]?phantom\s*(?:\{[^{}]*\}|.)/g;

/** @param answer as extracted. @returns the same answer in one spelling; still LaTeX */
export function normalise(answer: string): string {
  const text = unwrap(answer)
    .replace(UNICODE, (char) => unicode[char]!)
    .replace(PHANTOM, "")
    // between digits {,} and ,\! only group thousands
    .replace(/(?<=\d)(?:\{,\}|,\\!|\\,|\\!,)(?=\d{3}(?!\d))/g, "")
    // \\ ends a row: it is matched first so that its second half is not taken for a command
    .replace(/\\\\|\\([a-zA-Z]+)/g, (whole, name: string | undefined) => {
      if (name === undefined) return whole;
      if (dropped.has(name)) return " ";
      if (spaces.has(name)) return "  ";
      return renamed[name] === undefined ? whole : `${renamed[name]} `;
    })
    .replace(/\\\\|\\[!,;:> ]|~/g, (space) => (space === "\\\\" ? space : space === "\\!" ? "" : " "))
    .replace(/\\%/g, "%")
    .replace(/\^ ?\{? ?('+) ?\}?/g, "$1")
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
