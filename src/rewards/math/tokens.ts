import { MathParseError } from "./ast.ts";

export interface Token {
  /** command: \frac; text: content of \text{}; letter; number: digits and a point; mark: everything else */
  kind: "command" | "text" | "letter" | "number" | "mark";
  value: string;
  /** White space stands before it. */
  space: boolean;
}

/** Longest answer that is read, in characters. Longer ones can only be equal letter by letter. */
export const MAX_MATH_CHARS = 2000;

const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?/y;
const GROUPED = /\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])/y;
const COMMAND = /\\([a-zA-Z]+|.)/y;
const TEXT = /\\(?:text|operatorname) ?\{([^{}]*)\}/y;

/** \{ and \} are set braces; { and } only group. */
const braces: Readonly<Record<string, string>> = { "{": "setopen", "}": "setclose" };

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** Does a comma stand where it may group thousands? Then `1,234` has two readings. */
export function hasGroupedDigits(normalised: string): boolean {
  return /(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])/.test(normalised);
}

/**
 * @param grouped read `1,234` as one number where it stands outside brackets
 * @throws MathParseError when the text is too long
 */
export function tokenise(text: string, grouped: boolean): Token[] {
  if (text.length > MAX_MATH_CHARS) {
    throw new MathParseError(`the answer has ${text.length} characters; at most ${MAX_MATH_CHARS} are read`);
  }
  const tokens: Token[] = [];
  let depth = 0;
  let space = false;
  const push = (kind: Token["kind"], value: string): void => {
    tokens.push({ kind, value, space });
    space = false;
  };
  for (let at = 0; at < text.length; ) {
    const char = text[at]!;
    if (char === " ") {
      space = true;
      at++;
      continue;
    }
    const worded = matchAt(TEXT, text, at);
    if (worded !== null) {
      push("text", worded[1]!.trim());
      at += worded[0].length;
      continue;
    }
    if (char === "\\") {
      const command = matchAt(COMMAND, text, at);
      const name = command?.[1] ?? "";
      if (name === "{") depth++;
      if (name === "}") depth--;
      push("command", braces[name] ?? name);
      at += name.length + 1;
      continue;
    }
    const number = (grouped && depth === 0 ? matchAt(GROUPED, text, at) : null) ?? matchAt(NUMBER, text, at);
    if (number !== null) {
      push("number", number[0].replaceAll(",", ""));
      at += number[0].length;
      continue;
    }
    if (/[a-zA-Z]/.test(char)) push("letter", char);
    else {
      if (char === "(" || char === "[") depth++;
      if (char === ")" || char === "]") depth--;
      push("mark", char);
    }
    at++;
  }
  return tokens;
}
