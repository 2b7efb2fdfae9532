/** What an answer is read as. Numbers are exact; nothing is evaluated while reading. */
export interface NumberNode {
  kind: "number";
  numerator: bigint;
  denominator: bigint;
  /** Digits after the decimal point and significant digits of a decimal literal; absent for integers. */
  decimals?: number;
  significant?: number;
}

/** "~" is an approximation: what stands after it is a rounded value of what stands before. */
export type Relation = "=" | "<" | ">" | "<=" | ">=" | "!=" | "in" | "~";

export type Node =
  | NumberNode
  | { kind: "symbol"; name: string }
  | { kind: "constant"; name: "pi" | "e" | "i" | "infinity" | "reals" | "empty" }
  | { kind: "add" | "sub" | "mul" | "div" | "pow"; left: Node; right: Node }
  | { kind: "neg" | "degrees" | "percent" | "factorial" | "abs"; operand: Node }
  /** left sign right; `sign` 1 is plus-minus, -1 minus-plus. */
  | { kind: "plusminus"; left: Node; right: Node; sign: 1 | -1 }
  /** sqrt is root with index 2; log has the base as its second argument. */
  | { kind: "function"; name: string; args: Node[] }
  /** f(x) of an unknown f. */
  | { kind: "opaque"; name: string; args: Node[] }
  | { kind: "tuple"; open: "(" | "["; close: ")" | "]"; items: Node[] }
  | { kind: "set"; items: Node[] }
  | { kind: "matrix"; rows: Node[][] }
  | { kind: "setop"; op: "union" | "intersection" | "minus"; left: Node; right: Node }
  | { kind: "relation"; sides: Node[]; ops: Relation[] }
  | { kind: "ratio"; items: Node[]; clock: boolean }
  | { kind: "unit"; value: Node; unit: string }
  | { kind: "based"; digits: string; base: number | null }
  | { kind: "text"; text: string }
  /** Sum or product over a whole variable; `variable` is a name that no reader gives to another symbol. */
  | { kind: "series"; product: boolean; variable: string; lower: Node; upper: Node; body: Node };

/** One answer: a list such as `1, 2` has several items, and their order does not matter. */
export interface Answer {
  items: Node[];
  /** `x > 1 and x < 3`: the items hold together, where a comma or "or" lists alternatives. */
  together?: boolean;
  /** `p=5, q=2; p=7, q=2`: the items between semicolons, where each of these groups has several. */
  groups?: Node[][];
}

/** The text is not an answer this reader understands. */
export class MathParseError extends Error {}

export const integer = (value: bigint | number): NumberNode => ({
  kind: "number",
  numerator: BigInt(value),
  denominator: 1n,
});

/** Direct children, for walks. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "pow":
    case "plusminus":
    case "setop":
      return [node.left, node.right];
    case "neg":
    case "degrees":
    case "percent":
    case "factorial":
    case "abs":
      return [node.operand];
    case "function":
    case "opaque":
      return node.args;
    case "tuple":
    case "set":
    case "ratio":
      return node.items;
    case "matrix":
      return node.rows.flat();
    case "relation":
      return node.sides;
    case "unit":
      return [node.value];
    case "series":
      return [node.lower, node.upper, node.body];
    default:
      return [];
  }
}

/** Is there a node for which `test` holds? */
export function some(node: Node, test: (node: Node) => boolean): boolean {
  return test(node) || children(node).some((child) => some(child, test));
}

/** The same tree with every node replaced by `change` (children first). */
export function mapTree(node: Node, change: (node: Node) => Node): Node {
  const go = (child: Node): Node => mapTree(child, change);
  switch (node.kind) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "pow":
    case "plusminus":
    case "setop":
      return change({ ...node, left: go(node.left), right: go(node.right) });
    case "neg":
    case "degrees":
    case "percent":
    case "factorial":
    case "abs":
      return change({ ...node, operand: go(node.operand) });
    case "function":
    case "opaque":
      return change({ ...node, args: node.args.map(go) });
    case "tuple":
    case "set":
    case "ratio":
      return change({ ...node, items: node.items.map(go) });
    case "matrix":
      return change({ ...node, rows: node.rows.map((row) => row.map(go)) });
    case "relation":
      return change({ ...node, sides: node.sides.map(go) });
    case "unit":
      return change({ ...node, value: go(node.value) });
    case "series":
      return change({ ...node, lower: go(node.lower), upper: go(node.upper), body: go(node.body) });
    default:
      return change(node);
  }
}
