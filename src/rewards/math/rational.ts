/** Exact fractions of plain numbers, for comparisons that need no algebra. Denominator > 0; not reduced. */
export interface Rational {
  numerator: bigint;
  denominator: bigint;
}

/** Longest digit string or exponent that is worth exact arithmetic. */
const MAX_DIGITS = 2000;

/** "12.50", ".5", "5.", "1e-3" without a sign. Null when it is none of these, or out of reach. */
export function readDecimal(text: string): Rational | null {
  const match = /^(\d*)(?:\.(\d*))?(?:e([-+]?\d+))?$/i.exec(text);
  if (match === null) return null;
  const [, whole = "", fraction = "", exponent = "0"] = match;
  if (whole + fraction === "" || whole.length + fraction.length > MAX_DIGITS) return null;
  const shift = Number(exponent) - fraction.length;
  if (Math.abs(shift) > MAX_DIGITS) return null;
  const digits = BigInt(whole + fraction);
  return shift >= 0
    ? { numerator: digits * 10n ** BigInt(shift), denominator: 1n }
    : { numerator: digits, denominator: 10n ** BigInt(-shift) };
}

const isDigit = (char: string | undefined): boolean => char !== undefined && char >= "0" && char <= "9";

/** A place in a text that only moves forward. */
class Scan {
  readonly text: string;
  at = 0;
  constructor(text: string) {
    this.text = text;
  }
  blanks(): void {
    while (this.at < this.text.length && this.text[this.at]!.trim() === "") this.at++;
  }
  /** Takes one character of these, and returns it. */
  one(chars: string): string {
    const char = this.text[this.at];
    if (char === undefined || !chars.includes(char)) return "";
    this.at++;
    return char;
  }
  digits(): string {
    const from = this.at;
    while (isDigit(this.text[this.at])) this.at++;
    return this.text.slice(from, this.at);
  }
  end(): boolean {
    return this.at === this.text.length;
  }
}

/** 1234.5, 1,234.5, .5, 1e-3 without a sign; commas group threes. Empty where there is none. */
function decimalAt(scan: Scan): string {
  let digits = scan.digits();
  const grouped = digits.length >= 1 && digits.length <= 3;
  while (
    grouped &&
    scan.text[scan.at] === "," &&
    /^\d{3}(?!\d)/.test(scan.text.slice(scan.at + 1, scan.at + 5))
  ) {
    digits += scan.text.slice(scan.at + 1, scan.at + 4);
    scan.at += 4;
  }
  if (scan.one(".") !== "") {
    const decimals = scan.digits();
    if (decimals !== "" || digits !== "") digits += `.${decimals}`;
  }
  const exponent = /^[eE][-+]?\d{1,5}/.exec(scan.text.slice(scan.at, scan.at + 8));
  if (exponent === null || digits === "") return digits;
  scan.at += exponent[0].length;
  return digits + exponent[0];
}

/** A number as people write it: sign, $ € £, thousands commas, decimals, a/b, percent (divided by 100). Linear. */
export function readNumber(text: string): Rational | null {
  const scan = new Scan(text);
  const outer = scan.one("-+−");
  scan.blanks();
  if (scan.text[scan.at] === "\\" && "$€£".includes(scan.text[scan.at + 1] ?? " ")) scan.at++;
  scan.one("$€£");
  scan.blanks();
  const inner = scan.one("-+−");
  if (outer !== "" && inner !== "") return null;
  const top = readDecimal(decimalAt(scan));
  scan.blanks();
  let bottom: Rational | null = { numerator: 1n, denominator: 1n };
  if (scan.one("/") !== "") {
    scan.blanks();
    bottom = readDecimal(decimalAt(scan));
    scan.blanks();
  }
  if (scan.text.startsWith("\\%", scan.at)) scan.at++;
  const percent = scan.one("%") !== "";
  scan.one(".");
  if (!scan.end() || top === null || bottom === null || bottom.numerator === 0n) return null;
  const negative = outer === "-" || outer === "−" || inner === "-" || inner === "−";
  return {
    numerator: (negative ? -1n : 1n) * top.numerator * bottom.denominator,
    denominator: top.denominator * bottom.numerator * (percent ? 100n : 1n),
  };
}

export function equalRationals(a: Rational, b: Rational): boolean {
  return a.numerator * b.denominator === b.numerator * a.denominator;
}

/** Nearest double or so; for tolerances. */
export function toNumber(value: Rational): number {
  const direct = Number(value.numerator) / Number(value.denominator);
  if (Number.isFinite(direct)) return direct;
  return Number((value.numerator * 10n ** 18n) / value.denominator) / 1e18;
}
