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

/** A number as people write it: sign, $ € £, thousands commas, decimals, a/b, percent (divided by 100). */
export function readNumber(text: string): Rational | null {
  const match =
    /^([-+−]?)\s*(?:\\?[$€£])?\s*([-+−]?)(\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d*\.?\d*(?:e[-+]?\d+)?)\s*(?:\/\s*(\d+(?:\.\d+)?))?\s*(\\?%)?\.?$/i.exec(
      text,
    );
  if (match === null) return null;
  const [, sign, innerSign, digits = "", divisor, percent] = match;
  if (sign !== "" && innerSign !== "") return null;
  const top = readDecimal(digits.replaceAll(",", ""));
  const bottom = divisor === undefined ? { numerator: 1n, denominator: 1n } : readDecimal(divisor);
  if (top === null || bottom === null || bottom.numerator === 0n) return null;
  const negative = /[-−]/.test(`${sign}${innerSign}`);
  return {
    numerator: (negative ? -1n : 1n) * top.numerator * bottom.denominator,
    denominator: top.denominator * bottom.numerator * (percent === undefined ? 1n : 100n),
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
