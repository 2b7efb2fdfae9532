import { children, integer, MathParseError, mapTree, type Node } from "./ast.ts";
import type { Cursor } from "./cursor.ts";
import { boundName } from "./series.ts";
import { readSet } from "./set-reader.ts";
import { functions, greek, matrices } from "./vocabulary.ts";

/** The rules of `Reader` that a command's arguments are read by. */
export interface Grammar {
  sum(): Node;
  product(): Node;
  item(): Node;
  setExpression(): Node;
  signed(): Node;
  power(): Node;
  /** {...} as one value. */
  group(): Node;
  exponent(): Node;
  /** A group, or a single digit, letter or command. */
  argument(): Node;
  list(done: () => boolean): Node[];
  startsFactor(): boolean;
}

/** A value that begins with a backslash: \frac, \sqrt, \begin{matrix}. */
export function readCommand(tokens: Cursor, grammar: Grammar): Node {
  const token = tokens.peek()!;
  const name = token.value;
  tokens.skip();
  if (greek.has(name)) return readSymbol(tokens, grammar, `\\${name}`);
  if (functions.has(name)) return readFunction(tokens, grammar, name);
  switch (name) {
    case "pi":
      return { kind: "constant", name: "pi" };
    case "infty":
      return { kind: "constant", name: "infinity" };
    case "emptyset":
      return { kind: "constant", name: "empty" };
    case "mathbb":
      if (tokens.take("{")) {
        const set = tokens.peek();
        tokens.skip();
        tokens.expect("}");
        if (set?.value === "R") return { kind: "constant", name: "reals" };
        if (set?.kind === "letter") return { kind: "symbol", name: `\\mathbb{${set.value}}` };
      }
      return tokens.fail();
    case "$": {
      const value = grammar.signed();
      return { kind: "unit", value, unit: "dollar" };
    }
    case "frac": {
      const left = grammar.argument();
      return { kind: "div", left, right: grammar.argument() };
    }
    case "binom": {
      const top = grammar.argument();
      return { kind: "function", name: "binom", args: [top, grammar.argument()] };
    }
    case "sqrt": {
      let index: Node = integer(2);
      if (tokens.take("[")) {
        index = grammar.sum();
        tokens.expect("]");
      }
      return { kind: "function", name: "root", args: [grammar.argument(), index] };
    }
    case "lfloor":
    case "lceil": {
      const operand = grammar.sum();
      tokens.expect(name === "lfloor" ? "rfloor" : "rceil");
      return { kind: "function", name: name.slice(1), args: [operand] };
    }
    case "overline":
    case "bar":
    case "vec":
    case "hat":
    case "dot":
    case "ddot":
    case "tilde": {
      const inner = grammar.argument();
      if (inner.kind === "number") throw new MathParseError(`\\${name} over digits is not understood`);
      return { kind: "opaque", name, args: [inner] };
    }
    case "setopen":
      return readSet(tokens, "setclose", grammar);
    case "sum":
    case "prod":
      return readSeries(tokens, grammar, name === "prod");
    case "ldots":
      return { kind: "symbol", name: "\\ldots" };
    case "textcircled":
      return { kind: "opaque", name, args: [grammar.argument()] };
    case "begin":
      return readMatrix(tokens, grammar);
    default:
      return tokens.fail(token);
  }
}

/** \sum_{k=a}^{b} of the product that follows. */
function readSeries(tokens: Cursor, grammar: Grammar, product: boolean): Node {
  let upper: Node | null = null;
  if (tokens.take("^")) upper = tokens.is("{") ? grammar.group() : grammar.exponent();
  tokens.expect("_");
  tokens.expect("{");
  const index = grammar.item();
  tokens.expect("}");
  if (tokens.take("^")) upper = tokens.is("{") ? grammar.group() : grammar.exponent();
  const variable = index.kind === "relation" && index.ops.join() === "=" ? index.sides[0]! : index;
  if (index.kind !== "relation" || index.sides.length !== 2 || upper === null) return tokens.fail();
  // i is an index here, not the root of -1
  const name =
    variable.kind === "symbol" ? variable.name : variable.kind === "constant" ? variable.name : null;
  if (name === null || (variable.kind === "constant" && name.length > 1)) return tokens.fail();
  const read = grammar.product();
  const bound = boundName(read, seriesDepth);
  const body = mapTree(read, (node) =>
    node.kind === variable.kind && "name" in node && node.name === name
      ? { kind: "symbol", name: bound }
      : node,
  );
  return { kind: "series", product, variable: bound, lower: index.sides[1]!, upper, body };
}

const seriesDepth = (node: Node): number =>
  Math.max(0, ...children(node).map(seriesDepth)) + (node.kind === "series" ? 1 : 0);

export function readFunction(tokens: Cursor, grammar: Grammar, name: string): Node {
  let base: Node | null = null;
  let exponent: Node | null = null;
  if (tokens.take("_")) base = grammar.argument();
  if (tokens.take("^")) exponent = tokens.is("{") ? grammar.group() : grammar.exponent();
  if (tokens.take("_")) base = grammar.argument();
  const args = tokens.is("(") ? callArguments(tokens, grammar) : [bareArgument(tokens, grammar)];
  const inverse =
    exponent?.kind === "neg" && exponent.operand.kind === "number" && exponent.operand.numerator === 1n;
  const called: Node = {
    kind: "function",
    name: inverse ? `arc${name}` : name,
    args: base === null ? args : [...args, base],
  };
  return exponent === null || inverse ? called : { kind: "pow", left: called, right: exponent };
}

function callArguments(tokens: Cursor, grammar: Grammar): Node[] {
  tokens.expect("(");
  const args = grammar.list(() => tokens.is(")"));
  tokens.expect(")");
  // \sin(x)^2 and \sin(2)x keep to LaTeX's look: the bracket ends the argument
  return args;
}

/** \sin 3x: the product up to the next sum sign or function. */
function bareArgument(tokens: Cursor, grammar: Grammar): Node {
  let left = tokens.is("-") ? grammar.signed() : grammar.power();
  for (;;) {
    const token = tokens.peek();
    if (token === undefined) return left;
    if (tokens.take("/")) left = { kind: "div", left, right: grammar.power() };
    else if (grammar.startsFactor() && !functions.has(token.value) && token.value !== "(") {
      left = { kind: "mul", left, right: grammar.power() };
    } else return left;
  }
}

function readMatrix(tokens: Cursor, grammar: Grammar): Node {
  const name = environmentName(tokens);
  if (!matrices.has(name)) throw new MathParseError(`\\begin{${name}} is not understood`);
  if (name === "array" && tokens.is("{")) environmentName(tokens);
  const rows: Node[][] = [[]];
  while (!tokens.is("end")) {
    if (tokens.take("\\")) {
      rows.push([]);
      continue;
    }
    if (tokens.take("&")) continue;
    rows.at(-1)!.push(grammar.sum());
  }
  tokens.expect("end");
  if (environmentName(tokens) !== name) throw new MathParseError(`\\begin{${name}} is not closed`);
  if (rows.at(-1)!.length === 0) rows.pop();
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width))
    throw new MathParseError("rows of unequal length");
  return { kind: "matrix", rows };
}

function environmentName(tokens: Cursor): string {
  tokens.expect("{");
  let name = "";
  while (!tokens.is("}")) {
    const token = tokens.peek();
    if (token === undefined) tokens.fail();
    name += token.value;
    tokens.skip();
  }
  tokens.skip();
  return name;
}

/** A name with its subscript and primes, and arguments where it is called like a function. */
export function readSymbol(tokens: Cursor, grammar: Grammar, name: string): Node {
  let full = name;
  for (;;) {
    if (tokens.take("'")) full += "'";
    else if (tokens.is("_")) {
      tokens.skip();
      full += `_${subscript(tokens)}`;
    } else break;
  }
  if (/^[fgh]'*(_\w+)?$/.test(full) && tokens.is("(")) {
    tokens.skip();
    const args = grammar.list(() => tokens.is(")"));
    tokens.expect(")");
    return { kind: "opaque", name: full, args };
  }
  return { kind: "symbol", name: full };
}

function subscript(tokens: Cursor): string {
  const single = tokens.peek();
  if (single === undefined) tokens.fail();
  tokens.skip();
  if (single.value !== "{" || single.kind !== "mark") return single.value;
  let text = "";
  for (let depth = 1; depth > 0; ) {
    const token = tokens.peek();
    if (token === undefined) tokens.fail();
    tokens.skip();
    if (token.value === "{") depth++;
    if (token.value === "}") depth--;
    if (depth > 0) text += token.value;
  }
  return text;
}
