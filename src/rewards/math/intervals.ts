import type { Answer, Node } from "./ast.ts";
import type { Budget } from "./evaluate.ts";
import { symbolsOf } from "./points.ts";
import { isName } from "./relations.ts";
import { realValue } from "./scalar.ts";

/** A piece of the real line. A single point is closed on both ends. */
interface Interval {
  low: number;
  high: number;
  lowClosed: boolean;
  highClosed: boolean;
}

const reals: Interval = {
  low: Number.NEGATIVE_INFINITY,
  high: Number.POSITIVE_INFINITY,
  lowClosed: false,
  highClosed: false,
};

const near = (a: number, b: number): boolean =>
  a === b ||
  (Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= 1e-13 * Math.max(Math.abs(a), Math.abs(b)));

const isEmpty = (each: Interval): boolean =>
  each.low > each.high || (near(each.low, each.high) && !(each.lowClosed && each.highClosed));

function intersect(a: Interval, b: Interval): Interval {
  const lowSame = near(a.low, b.low);
  const highSame = near(a.high, b.high);
  return {
    low: Math.max(a.low, b.low),
    lowClosed: lowSame ? a.lowClosed && b.lowClosed : a.low > b.low ? a.lowClosed : b.lowClosed,
    high: Math.min(a.high, b.high),
    highClosed: highSame ? a.highClosed && b.highClosed : a.high < b.high ? a.highClosed : b.highClosed,
  };
}

/** Sorted, disjoint, as few pieces as there can be. */
function merge(pieces: readonly Interval[]): Interval[] {
  const sorted = pieces
    .filter((each) => !isEmpty(each))
    .sort((a, b) => (near(a.low, b.low) ? Number(b.lowClosed) - Number(a.lowClosed) : a.low - b.low));
  const merged: Interval[] = [];
  for (const each of sorted) {
    const last = merged.at(-1);
    const touches =
      last !== undefined &&
      (each.low < last.high || (near(each.low, last.high) && (each.lowClosed || last.highClosed)));
    if (last === undefined || !touches) merged.push({ ...each });
    else if (near(each.high, last.high)) last.highClosed ||= each.highClosed;
    else if (each.high > last.high) {
      last.high = each.high;
      last.highClosed = each.highClosed;
    }
  }
  return merged;
}

function complement(pieces: readonly Interval[]): Interval[] {
  let rest: Interval[] = [reals];
  for (const each of pieces) {
    const below: Interval = {
      ...reals,
      high: each.low,
      highClosed: !each.lowClosed && Number.isFinite(each.low),
    };
    const above: Interval = {
      ...reals,
      low: each.high,
      lowClosed: !each.highClosed && Number.isFinite(each.high),
    };
    rest = rest
      .flatMap((piece) => [intersect(piece, below), intersect(piece, above)])
      .filter((one) => !isEmpty(one));
  }
  return merge(rest);
}

const crossed = (a: readonly Interval[], b: readonly Interval[]): Interval[] =>
  merge(a.flatMap((one) => b.map((other) => intersect(one, other))));

/** x < 3, 2 <= x < 5, x != 0, with one symbol alone on a side: the numbers that fit. */
function fromInequality(node: Extract<Node, { kind: "relation" }>, budget: Budget): Interval[] | null {
  const { sides, ops } = node;
  if (ops.length === 1 && ops[0] === "in")
    return isName(sides[0]!) && sides[0]!.kind !== "tuple" ? realSet(sides[1]!, budget) : null;
  // also 0 < f(x) < 1 and 1 <= |z| <= 2
  const middle = sides.findIndex((side) => side.kind !== "constant" && side.kind !== "mul" && isName(side));
  if (
    middle < 0 ||
    symbolsOf(...sides).length > 1 ||
    ops.some((op) => op === "=" || op === "in" || op === "~")
  )
    return null;
  let result: Interval[] = [reals];
  for (const [index, op] of ops.entries()) {
    if (index !== middle && index + 1 !== middle) return null;
    const bound = realValue(sides[index === middle ? index + 1 : index]!, budget);
    if (bound === null) return null;
    if (op === "!=") {
      result = crossed(result, complement([{ low: bound, high: bound, lowClosed: true, highClosed: true }]));
      continue;
    }
    const closed = op.includes("=") && Number.isFinite(bound);
    const upper = op.startsWith("<") === (index === middle);
    const half = upper
      ? { ...reals, high: bound, highClosed: closed }
      : { ...reals, low: bound, lowClosed: closed };
    result = crossed(result, [half]);
  }
  if (sides[middle]!.kind !== "abs") return result;
  // |z| in S: z in S or -z in S, for S without what is negative
  const sizes = crossed(result, [{ ...reals, low: 0, lowClosed: true }]);
  const mirrored = sizes.map((each) => ({
    low: -each.high,
    high: -each.low,
    lowClosed: each.highClosed,
    highClosed: each.lowClosed,
  }));
  return merge([...sizes, ...mirrored]);
}

/** The set of real numbers that a node describes, or null where it describes none with known ends. */
export function realSet(node: Node, budget: Budget): Interval[] | null {
  switch (node.kind) {
    case "constant":
      return node.name === "reals" ? [reals] : node.name === "empty" ? [] : null;
    case "tuple": {
      if (node.items.length !== 2) return null;
      const low = realValue(node.items[0]!, budget);
      const high = realValue(node.items[1]!, budget);
      if (low === null || high === null || low > high) return null;
      const one: Interval = {
        low,
        high,
        lowClosed: node.open === "[" && Number.isFinite(low),
        highClosed: node.close === "]" && Number.isFinite(high),
      };
      return merge([one]);
    }
    case "set": {
      const values = node.items.map((item) => realValue(item, budget));
      if (values.some((value) => value === null || !Number.isFinite(value))) return null;
      return merge(values.map((value) => ({ low: value!, high: value!, lowClosed: true, highClosed: true })));
    }
    case "setop": {
      const left = realSet(node.left, budget);
      const right = realSet(node.right, budget);
      if (left === null || right === null) return null;
      if (node.op === "union") return merge([...left, ...right]);
      return crossed(left, node.op === "minus" ? complement(right) : right);
    }
    case "relation":
      return fromInequality(node, budget);
    default:
      return null;
  }
}

/** Several inequalities are read as alternatives: x < 1 or x > 3. */
export function realSetOfAnswer(answer: Answer, budget: Budget): Interval[] | null {
  const sets = answer.items.map((item) => realSet(item, budget));
  if (sets.length !== 1 && answer.items.some((item) => item.kind !== "relation")) return null;
  if (sets.some((set) => set === null)) return null;
  const all = sets.map((set) => set!);
  // x > 1 and x < 3 hold together; "x < 1 and x > 3" can only mean either
  const common = answer.together === true && all.length > 1 ? all.reduce(crossed) : [];
  return common.length > 0 ? common : merge(all.flat());
}

export function equalRealSets(a: readonly Interval[], b: readonly Interval[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index]!;
      return (
        near(one.low, other.low) &&
        near(one.high, other.high) &&
        one.lowClosed === other.lowClosed &&
        one.highClosed === other.highClosed
      );
    })
  );
}
