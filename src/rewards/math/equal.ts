import { type Answer, children, MathParseError, mapTree, type Node, some } from "./ast.ts";
import { Budget, evaluateComplex } from "./evaluate.ts";
import { equalRealSets, realSetOfAnswer } from "./intervals.ts";
import { anyPoint, symbolsOf } from "./points.ts";
import { statedValues, tupleOfNamed } from "./relations.ts";
import { equalScalars, proportional } from "./scalar.ts";
import { SET_MEMBER } from "./set-reader.ts";

type Of<K extends Node["kind"]> = Extract<Node, { kind: K }>;

/** Lists longer than this are compared in order; matching them freely would take quadratic time. */
const MAX_UNORDERED = 60;

/** Kinds that are no single number. */
const structured: ReadonlySet<Node["kind"]> = new Set([
  "tuple",
  "set",
  "matrix",
  "setop",
  "relation",
  "ratio",
  "based",
  "text",
]);
const isScalar = (node: Node): boolean =>
  !some(
    node,
    (each) =>
      structured.has(each.kind) ||
      (each.kind === "constant" && (each.name === "reals" || each.name === "empty")),
  );

/** a ± b becomes the two values; all signs of one item flip together. */
function withoutPlusMinus(node: Node): Node[] {
  if (!some(node, (each) => each.kind === "plusminus")) return [node];
  return [1, -1].map((sign) =>
    mapTree(node, (each) =>
      each.kind === "plusminus"
        ? { kind: each.sign * sign === 1 ? "add" : "sub", left: each.left, right: each.right }
        : each,
    ),
  );
}

/** Each once: sets do not count their members, and both signs of a double root give the same value. */
function distinct(nodes: readonly Node[], budget: Budget): Node[] {
  if (nodes.length > MAX_UNORDERED) return [...nodes];
  const kept: Node[] = [];
  for (const node of nodes) if (!kept.some((each) => equalNodes(each, node, budget))) kept.push(node);
  return kept;
}

/** The same members, each as often: 1, 1, 2 is not 1, 2. */
function unordered(a: readonly Node[], b: readonly Node[], budget: Budget): boolean {
  if (a.length !== b.length) return false;
  if (a.length > MAX_UNORDERED) return inOrder(a, b, budget);
  const left = a;
  const right = [...b];
  return left.every((node) => {
    const match = right.findIndex((each) => equalNodes(node, each, budget));
    if (match >= 0) right.splice(match, 1);
    return match >= 0;
  });
}

function inOrder(a: readonly Node[], b: readonly Node[], budget: Budget): boolean {
  return a.length === b.length && a.every((node, index) => equalNodes(node, b[index]!, budget));
}

const words = (text: string): string => text.toLowerCase().replace(/^the\s|[^\p{L}\p{N}]+/gu, "");

/** The name of a text or a lone symbol: \text{A} and A are the same letter. */
function wording(node: Node): string | null {
  if (node.kind === "text") return words(node.text);
  if (node.kind === "symbol") return words(node.name);
  // letters that were read as a product: `two`, `CD`
  if (node.kind === "mul") {
    const left = wording(node.left);
    const right = wording(node.right);
    return left === null || right === null ? null : left + right;
  }
  return node.kind === "constant" && node.name.length === 1 ? node.name : null;
}

const difference = (left: Node, right: Node): Node => ({ kind: "sub", left, right });

/** One relation between two sides, as `left - right op 0` with op in =, <, <=, != . */
function asDifference(node: Of<"relation">): { op: string; value: Node } | null {
  const [left, right] = node.sides;
  const [op] = node.ops;
  if (node.ops.length !== 1 || op === "in" || !isScalar(left!) || !isScalar(right!)) return null;
  if (op === ">" || op === ">=") return { op: op === ">" ? "<" : "<=", value: difference(right!, left!) };
  return { op: op!, value: difference(left!, right!) };
}

function equalRelations(a: Of<"relation">, b: Of<"relation">, budget: Budget): boolean {
  const left = asDifference(a);
  const right = asDifference(b);
  if (left !== null && right !== null) {
    if (left.op !== right.op) return false;
    if (proportional(left.value, right.value, budget, left.op.startsWith("<"))) return true;
  }
  if (a.ops.join() === b.ops.join() && inOrder(a.sides, b.sides, budget)) return true;
  const [valueA] = statedValues(a, false, budget);
  const [valueB] = statedValues(b, false, budget);
  return (
    valueA !== undefined &&
    valueB !== undefined &&
    equalNodes(a.sides[0]!, b.sides[0]!, budget) &&
    equalNodes(valueA, valueB, budget)
  );
}

function equalRatios(a: Of<"ratio">, b: Of<"ratio">, budget: Budget): boolean {
  if (a.items.length !== b.items.length) return false;
  if (inOrder(a.items, b.items, budget)) return true;
  if (a.clock || b.clock) return false;
  // a1 : a2 : a3 = b1 : b2 : b3 where all cross products agree
  return a.items.every((item, index) =>
    equalNodes(
      { kind: "mul", left: item, right: b.items[0]! },
      { kind: "mul", left: b.items[index]!, right: a.items[0]! },
      budget,
    ),
  );
}

/** A matrix, also with a scalar factor; null for anything else. */
function asMatrix(node: Node): Node[][] | null {
  if (node.kind === "matrix") return node.rows;
  const scaled = (rows: Node[][], change: (entry: Node) => Node): Node[][] =>
    rows.map((row) => row.map(change));
  if (node.kind === "neg") {
    const rows = asMatrix(node.operand);
    return rows === null ? null : scaled(rows, (entry) => ({ kind: "neg", operand: entry }));
  }
  if (node.kind === "mul" || node.kind === "div") {
    const left = asMatrix(node.left);
    const right = asMatrix(node.right);
    if (left !== null && right === null)
      return scaled(left, (entry) => ({ kind: node.kind, left: entry, right: node.right }));
    if (left === null && right !== null && node.kind === "mul") {
      return scaled(right, (entry) => ({ kind: "mul", left: node.left, right: entry }));
    }
  }
  return null;
}

/** A column or row as the list of its entries: (6, 3) and the vector written as a matrix are one vector. */
function asVector(node: Node): readonly Node[] | null {
  if (node.kind === "tuple") return node.open === "(" && node.close === ")" ? node.items : null;
  const rows = asMatrix(node);
  if (rows === null) return null;
  if (rows.every((row) => row.length === 1)) return rows.map((row) => row[0]!);
  return rows.length === 1 ? rows[0]! : null;
}

function equalUnits(a: Node, b: Node, budget: Budget): boolean {
  const unitA = a.kind === "unit" ? a.unit : "";
  const unitB = b.kind === "unit" ? b.unit : "";
  if (unitA !== "" && unitB !== "" && unitA !== unitB) return false;
  const signed = (node: Node): boolean =>
    some(node, (each) => each.kind === "degrees" || each.kind === "percent");
  // 25 ft against 25%
  if ((unitA !== "" && signed(b)) || (unitB !== "" && signed(a))) return false;
  return equalNodes(a.kind === "unit" ? a.value : a, b.kind === "unit" ? b.value : b, budget);
}

function equalBased(a: Node, b: Node): boolean {
  const [based, other] = a.kind === "based" ? [a, b] : [b as Of<"based">, a];
  if (other.kind === "based") return based.digits === other.digits && based.base === other.base;
  // the digits alone: the base is a unit that may be missing, but the value in base ten is another answer
  return wholeDigits(other) === based.digits;
}

/** Digits of a whole number as it was written; null for everything else (1e-5 has the numerator 1 too). */
function wholeDigits(node: Node): string | null {
  if (node.kind === "neg") {
    const digits = wholeDigits(node.operand);
    return digits === null ? null : `-${digits}`;
  }
  if (node.kind !== "number" || node.denominator !== 1n || node.decimals !== undefined) return null;
  return String(node.numerator);
}

function equalNodes(a: Node, b: Node, budget: Budget): boolean {
  budget.spend();
  if (a.kind === "unit" || b.kind === "unit") return equalUnits(a, b, budget);
  if (a.kind === "based" || b.kind === "based") return equalBased(a, b);
  if (a.kind === "text" || b.kind === "text") {
    const left = wording(a);
    return left !== null && left !== "" && left === wording(b);
  }
  if (a.kind === "relation" && b.kind === "relation") return equalRelations(a, b, budget);
  if (a.kind === "relation" || b.kind === "relation") {
    const relation = a.kind === "relation" ? a : (b as Of<"relation">);
    // a candidate says x + y = 12 where 12 was asked for; a gold answer that is an equation is not its right side
    const values = statedValues(relation, a.kind === "relation", budget);
    return values.some((value) =>
      equalNodes(a.kind === "relation" ? value : a, a.kind === "relation" ? b : value, budget),
    );
  }
  if (a.kind === "set" && b.kind === "set")
    return unordered(distinct(a.items, budget), distinct(b.items, budget), budget);
  if (a.kind === "ratio" && b.kind === "ratio") return equalRatios(a, b, budget);
  if (a.kind === "ratio" || b.kind === "ratio") {
    const [ratio, other] = a.kind === "ratio" ? [a, b] : [b as Of<"ratio">, a];
    if (ratio.items.length !== 2 || ratio.clock || !isScalar(other)) return false;
    return equalNodes({ kind: "div", left: ratio.items[0]!, right: ratio.items[1]! }, other, budget);
  }
  if (a.kind === "tuple" && b.kind === "tuple") {
    return a.open === b.open && a.close === b.close && inOrder(a.items, b.items, budget);
  }
  const matrixA = asMatrix(a);
  const matrixB = asMatrix(b);
  if (matrixA !== null && matrixB !== null) {
    return (
      matrixA.length === matrixB.length &&
      matrixA.every((row, index) => inOrder(row, matrixB[index]!, budget))
    );
  }
  if (matrixA !== null || matrixB !== null) {
    const left = asVector(a);
    const right = asVector(b);
    return left !== null && right !== null && inOrder(left, right, budget);
  }
  if (a.kind === "constant" && b.kind === "constant" && a.name === b.name) return true;
  if (a.kind === "setop" && b.kind === "setop") {
    const operands = (node: Node, op: string): Node[] =>
      node.kind === "setop" && node.op === op
        ? [...operands(node.left, op), ...operands(node.right, op)]
        : [node];
    if (a.op !== b.op) return false;
    const [left, right] = [operands(a, a.op), operands(b, b.op)];
    if (a.op === "minus") return inOrder(left, right, budget);
    return unordered(distinct(left, budget), distinct(right, budget), budget);
  }
  if (!isScalar(a) || !isScalar(b)) return false;
  return equalScalars(a, b, budget);
}

/** A set's braces are only dress: {1, 2} and 1, 2 list the same numbers. */
function itemsOf(answer: Answer, budget: Budget): Node[] {
  const [only] = answer.items;
  const set = answer.items.length === 1 && only?.kind === "set";
  const items = (set ? only.items : answer.items).flatMap((item) => {
    const both = withoutPlusMinus(item);
    return both.length > 1 ? distinct(both, budget) : both;
  });
  return set ? distinct(items, budget) : items;
}

/** x = 3, y = -1 against (3, -1), and p=5, q=2; p=7, q=2 against (5,2), (7,2). */
function equalNamed(named: Answer, other: Answer, budget: Budget): boolean {
  if (other.items.some((item) => item.kind !== "tuple" || item.open !== "(" || item.close !== ")"))
    return false;
  const groups = named.groups ?? [named.items];
  if (groups.length !== other.items.length) return false;
  const tuples = groups.map(tupleOfNamed);
  if (tuples.some((tuple) => tuple === null)) return false;
  return unordered(
    tuples.map((tuple) => tuple!),
    other.items,
    budget,
  );
}

/** x > 2 and a > 2 have the same solutions, but of different unknowns. */
function differentUnknowns(a: Answer, b: Answer): boolean {
  const unknowns = (answer: Answer): string[] | null => {
    const relations = answer.items.every((item) => item.kind === "relation");
    return relations ? symbolsOf(...answer.items) : null;
  };
  const left = unknowns(a);
  const right = unknowns(b);
  if (left === null || right === null) return false;
  return ![left, right].some((names) => names.includes(SET_MEMBER)) && left.join() !== right.join();
}

function equalReadings(a: Answer, b: Answer, budget: Budget): boolean {
  const needsSet = (answer: Answer): boolean =>
    answer.items.some(
      (item) =>
        item.kind === "setop" ||
        item.kind === "relation" ||
        (item.kind === "constant" && (item.name === "reals" || item.name === "empty")),
    );
  if ((needsSet(a) || needsSet(b)) && !differentUnknowns(a, b)) {
    const left = realSetOfAnswer(a, budget);
    const right = left === null ? null : realSetOfAnswer(b, budget);
    if (left !== null && right !== null) {
      // (0, 3) alone may be a point; next to a union or an inequality it is an interval
      if (equalRealSets(left, right)) return true;
    }
  }
  const isEmptySet = (answer: Answer): boolean => {
    const [only] = answer.items;
    return (
      answer.items.length === 1 &&
      ((only?.kind === "constant" && only.name === "empty") ||
        (only?.kind === "set" && only.items.length === 0))
    );
  };
  if (isEmptySet(a) || isEmptySet(b)) return isEmptySet(a) && isEmptySet(b);
  if (equalNamed(a, b, budget) || equalNamed(b, a, budget)) return true;
  const left = itemsOf(a, budget);
  const right = itemsOf(b, budget);
  if (left.length === 1 && right.length === 1) return equalNodes(left[0]!, right[0]!, budget);
  return unordered(left, right, budget);
}

/**
 * Mathematical equality of two parsed answers: equal in one of their readings.
 * Expressions are compared by exact rational or double arithmetic, with symbols at fixed pseudo-random points.
 * @throws MathParseError when a comparison is beyond the grader (too complex, an unknown function)
 */
export function equalAnswers(candidate: readonly Answer[], gold: readonly Answer[]): boolean {
  const budget = new Budget();
  let failure: unknown;
  for (const a of candidate) {
    for (const b of gold) {
      try {
        if (equalReadings(a, b, budget)) return true;
      } catch (error) {
        if (!(error instanceof MathParseError)) throw error;
        failure = error;
      }
    }
  }
  if (failure !== undefined) throw failure;
  return false;
}

/** @throws MathParseError when the grader could not compare anything with this answer */
export function checkComparable(answers: readonly Answer[]): void {
  const budget = new Budget();
  const walk = (node: Node): void => {
    if (isScalar(node)) {
      const point = anyPoint(symbolsOf(node), { degrees: "value", percent: "value" });
      for (const variant of withoutPlusMinus(node)) evaluateComplex(variant, point, budget);
    } else for (const child of children(node)) walk(child);
  };
  let failure: unknown;
  for (const answer of answers) {
    try {
      for (const item of answer.items) walk(item);
      return;
    } catch (error) {
      if (!(error instanceof MathParseError)) throw error;
      failure = error;
    }
  }
  throw failure;
}
