import type { Node } from "./ast.ts";

/** Longest sum that is worked out term by term. */
const MAX_TERMS = 200;
/** Terms of an infinite series that stand for all of it. */
const FORMAL_TERMS = 10;

/** Names of summation variables begin so; nothing that is read gives a symbol such a name. */
const BOUND = "\\bound";
export const isBoundName = (name: string): boolean => name.startsWith(BOUND);

/** One name for each depth of nesting, so that sums over k and over j are the same sum. */
export function boundName(body: Node, deepest: (node: Node) => number): string {
  return `${BOUND}${deepest(body)}`;
}

/** Arithmetic of the evaluator that asks: exact, double or precise. */
export interface TermArithmetic<Value> {
  add(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  whole(value: number): Value;
}

/**
 * The value of a sum or product. An infinite sum is no number here: it is compared term by term, so it stands for a
 * weighted sum of its first terms, with weights that no identity between different series respects.
 * @param lower first index, whole
 * @param upper last index, whole, or infinity
 * @param term value of the body at an index, or null
 * @returns null where a term has no value or there are too many
 */
export function seriesValue<Value>(
  product: boolean,
  lower: number,
  upper: number,
  term: (index: number) => Value | null,
  by: TermArithmetic<Value>,
): Value | null {
  const endless = upper === Number.POSITIVE_INFINITY;
  if (!Number.isInteger(lower) || !(endless || Number.isInteger(upper))) return null;
  const count = endless ? FORMAL_TERMS : upper - lower + 1;
  if (count < 0 || count > MAX_TERMS) return null;
  let total = by.whole(product ? 1 : 0);
  for (let offset = 0; offset < count; offset++) {
    const value = term(lower + offset);
    if (value === null) return null;
    if (product) total = by.mul(total, value);
    else total = by.add(total, endless ? by.mul(by.whole(weight(offset)), value) : value);
  }
  return total;
}

const weight = (offset: number): number => 31 + ((offset * offset * 37 + offset * 11) % 97);
