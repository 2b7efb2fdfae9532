import { type Answer, integer, MathParseError, type Node, type NumberNode, type Relation } from "./ast.ts";
import { readDecimal } from "./rational.ts";
import { type Token, tokenise } from "./tokens.ts";
import { canonicalUnit } from "./units.ts";

const MAX_DEPTH = 60;

const greek = new Set(
  "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar triangle angle odot".split(
    " ",
  ),
);
const functions = new Set(
  "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp lg max min gcd lcm det".split(" "),
);
const relations: Readonly<Record<string, Relation>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  leq: "<=",
  geq: ">=",
  neq: "!=",
  approx: "=",
  equiv: "=",
  in: "in",
};
/** \begin{...} environments that hold rows. */
const matrices = new Set("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix array smallmatrix".split(" "));

/** Recursive descent over tokens; one instance reads one text. */
export class Reader {
  readonly #tokens: Token[];
  #at = 0;
  #depth = 0;
  #bars = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  answer(): Answer {
    if (this.#tokens.length === 0) throw new MathParseError("the answer is empty");
    const items = this.#list(() => this.#end());
    return { items };
  }

  #peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  #end(): boolean {
    return this.#at >= this.#tokens.length;
  }

  #is(value: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return (
      token !== undefined && token.value === value && (token.kind === "mark" || token.kind === "command")
    );
  }

  #take(value: string): boolean {
    if (!this.#is(value)) return false;
    this.#at++;
    return true;
  }

  #fail(): never {
    const token = this.#peek();
    throw new MathParseError(
      token === undefined
        ? "the answer ends in the middle"
        : `${JSON.stringify(token.value)} is not understood here`,
    );
  }

  #expect(value: string): void {
    if (!this.#take(value)) this.#fail();
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new MathParseError("the answer is nested too deeply");
    try {
      return read();
    } finally {
      this.#depth--;
    }
  }

  #separator(): boolean {
    if (this.#is(",") || this.#is(";")) {
      this.#at++;
      // ", and"
      if (this.#isJoinWord()) this.#at++;
      return true;
    }
    if (this.#isJoinWord()) {
      this.#at++;
      return true;
    }
    return false;
  }

  #isJoinWord(): boolean {
    const token = this.#peek();
    return token?.kind === "text" && /^(and|or|,|, ?and|, ?or)$/i.test(token.value);
  }

  #list(done: () => boolean): Node[] {
    const items: Node[] = [];
    if (done()) return items;
    for (;;) {
      items.push(this.#item());
      if (done()) return items;
      if (!this.#separator()) this.#fail();
    }
  }

  #item(): Node {
    return this.#deeper(() => {
      const sides = [this.#ratio()];
      const ops: Relation[] = [];
      for (;;) {
        const token = this.#peek();
        const op = token !== undefined && token.kind !== "letter" ? relations[token.value] : undefined;
        if (op === undefined || token?.kind === "text") break;
        this.#at++;
        // <= and >= of plain text
        if ((op === "<" || op === ">") && this.#take("=")) ops.push(`${op}=`);
        else ops.push(op);
        sides.push(this.#ratio());
      }
      return sides.length === 1 ? sides[0]! : { kind: "relation", sides, ops };
    });
  }

  #ratio(): Node {
    const items: Node[] = [];
    const start = this.#at;
    items.push(this.#setExpression());
    while (this.#take(":")) items.push(this.#setExpression());
    if (items.length === 1) return items[0]!;
    const source = this.#tokens
      .slice(start, this.#at)
      .map((token) => token.value)
      .join("");
    return { kind: "ratio", items, clock: /^\d{1,2}(?::\d\d)+(?!\d)/.test(source) };
  }

  #setExpression(): Node {
    let left = this.#sum();
    for (;;) {
      const op = this.#take("cup")
        ? ("union" as const)
        : this.#take("cap")
          ? ("intersection" as const)
          : this.#take("setminus")
            ? ("minus" as const)
            : null;
      if (op === null) return left;
      left = { kind: "setop", op, left, right: this.#sum() };
    }
  }

  #sum(): Node {
    return this.#deeper(() => {
      let left = this.#product();
      for (;;) {
        if (this.#take("+")) left = { kind: "add", left, right: this.#product() };
        else if (this.#take("-")) left = { kind: "sub", left, right: this.#product() };
        else {
          const sign = this.#plusMinus();
          if (sign === null) return left;
          left = { kind: "plusminus", left, right: this.#product(), sign };
        }
      }
    });
  }

  #plusMinus(): 1 | -1 | null {
    if (this.#take("pm")) return 1;
    return this.#take("mp") ? -1 : null;
  }

  #product(): Node {
    let left = this.#signed();
    for (;;) {
      if (this.#take("times") || this.#take("cdot") || this.#take("*")) {
        // ** is a power in plain text
        if (this.#take("*")) left = { kind: "pow", left, right: this.#signed() };
        else left = { kind: "mul", left, right: this.#signed() };
      } else if (this.#take("/") || this.#take("div")) {
        left = { kind: "div", left, right: this.#signed() };
      } else if (this.#startsUnit()) {
        return this.#unit(left);
      } else if (this.#startsFactor()) {
        const next = this.#power();
        left = isMixedNumber(left, next)
          ? { kind: "add", left, right: next }
          : { kind: "mul", left, right: next };
      } else return left;
    }
  }

  #signed(): Node {
    if (this.#take("-")) return this.#deeper(() => ({ kind: "neg", operand: this.#signed() }));
    if (this.#take("+")) return this.#deeper(() => this.#signed());
    const sign = this.#plusMinus();
    if (sign !== null) {
      return this.#deeper(() => ({ kind: "plusminus", left: integer(0), right: this.#signed(), sign }));
    }
    return this.#power();
  }

  /** Text behind a value: a unit, or what is counted. */
  #startsUnit(): boolean {
    return this.#peek()?.kind === "text" && !this.#isJoinWord();
  }

  #unit(value: Node): Node {
    let unit = "";
    for (;;) {
      const token = this.#peek();
      if (token === undefined || this.#isJoinWord()) break;
      const fits =
        token.kind === "text" ||
        token.kind === "number" ||
        ["^", "/", "cdot", "{", "}", "-", "(", ")", "mu", "circ", "."].includes(token.value);
      // a bracket around the whole answer belongs to the answer
      if (!fits || (token.value === ")" && !unit.includes("("))) break;
      if (token.value === "}" && !unit.includes("{")) break;
      unit += token.kind === "text" ? ` ${token.value} ` : token.value;
      this.#at++;
    }
    const name = canonicalUnit(unit);
    if (name === "degrees") return { kind: "degrees", operand: value };
    if (name === "percent") return { kind: "percent", operand: value };
    return { kind: "unit", value, unit: name };
  }

  #startsFactor(): boolean {
    const token = this.#peek();
    if (token === undefined) return false;
    if (token.kind === "letter") return true;
    if (token.kind === "number") return false;
    if (token.kind === "mark") {
      return (
        token.value === "(" ||
        token.value === "[" ||
        token.value === "{" ||
        (token.value === "|" && this.#bars === 0)
      );
    }
    if (token.kind !== "command") return false;
    return (
      greek.has(token.value) ||
      functions.has(token.value) ||
      [
        "frac",
        "sqrt",
        "pi",
        "infty",
        "binom",
        "begin",
        "lvert",
        "lfloor",
        "lceil",
        "overline",
        "bar",
        "text",
        "vec",
        "hat",
        "langle",
      ].includes(token.value)
    );
  }

  #power(): Node {
    return this.#deeper(() => {
      let base = this.#postfix(this.#primary());
      while (this.#is("^")) {
        this.#at++;
        if (this.#takeDegree()) {
          base = this.#postfix({ kind: "degrees", operand: base });
          continue;
        }
        base = this.#postfix({ kind: "pow", left: base, right: this.#exponent() });
      }
      return base;
    });
  }

  #takeDegree(): boolean {
    if (this.#take("circ")) return true;
    if (this.#is("{") && this.#is("circ", 1) && this.#is("}", 2)) {
      this.#at += 3;
      return true;
    }
    return false;
  }

  #exponent(): Node {
    if (this.#take("-")) return { kind: "neg", operand: this.#exponent() };
    if (this.#is("{")) return this.#group();
    return this.#is("(") || this.#peek()?.kind === "number" ? this.#primary() : this.#argument();
  }

  #postfix(value: Node): Node {
    let result = value;
    for (;;) {
      if (this.#take("!")) result = { kind: "factorial", operand: result };
      else if (this.#take("%")) result = { kind: "percent", operand: result };
      else return result;
    }
  }

  /** {...} as one value. */
  #group(): Node {
    this.#expect("{");
    const inner = this.#deeper(() => this.#sum());
    this.#expect("}");
    return inner;
  }

  /** The argument of \frac, \sqrt or ^: a group, or a single digit, letter or command. */
  #argument(): Node {
    const token = this.#peek();
    if (token === undefined) this.#fail();
    if (this.#is("{")) return this.#group();
    if (token.kind === "number" && token.value.length > 1 && /^\d/.test(token.value)) {
      this.#tokens[this.#at] = { ...token, value: token.value.slice(1) };
      return integer(Number(token.value[0]));
    }
    return this.#deeper(() => this.#primary());
  }

  #primary(): Node {
    const token = this.#peek();
    if (token === undefined) this.#fail();
    if (token.kind === "number") {
      this.#at++;
      return numberNode(token.value);
    }
    if (token.kind === "letter") return this.#symbol();
    if (token.kind === "text") return this.#textValue();
    switch (token.value) {
      case "(":
      case "[":
        return this.#bracketed();
      case "{":
        return this.#group();
      case "|":
      case "lvert":
        return this.#absolute();
      case "<":
      case "langle":
        return this.#angled();
      default:
        if (token.kind !== "command") this.#fail();
        return this.#command();
    }
  }

  #textValue(): Node {
    const token = this.#peek()!;
    this.#at++;
    if (functions.has(token.value)) return this.#function(token.value);
    if (/^[A-Za-z]$/.test(token.value)) return this.#decorated(token.value);
    if (/\d/.test(token.value)) {
      const inner = new Reader(tokenise(token.value, true)).answer();
      if (inner.items.length === 1) return inner.items[0]!;
    }
    return { kind: "text", text: token.value };
  }

  #absolute(): Node {
    const closing = this.#is("|") ? "|" : "rvert";
    this.#at++;
    this.#bars++;
    const operand = this.#sum();
    this.#bars--;
    this.#expect(closing);
    return { kind: "abs", operand };
  }

  #angled(): Node {
    const closing = this.#is("<") ? ">" : "rangle";
    this.#at++;
    const items = this.#list(() => this.#is(closing));
    this.#expect(closing);
    return { kind: "tuple", open: "(", close: ")", items };
  }

  #bracketed(): Node {
    const open = this.#peek()!.value as "(" | "[";
    this.#at++;
    const bars = this.#bars;
    this.#bars = 0;
    const items = this.#list(() => this.#is(")") || this.#is("]"));
    this.#bars = bars;
    const close = this.#peek()!.value as ")" | "]";
    this.#at++;
    if (items.length === 1 && (open === "(") === (close === ")")) return items[0]!;
    if (items.length < 2) throw new MathParseError("brackets that do not fit");
    return { kind: "tuple", open, close, items };
  }

  #symbol(): Node {
    const letter = this.#peek()!.value;
    this.#at++;
    if (letter === "e" || letter === "i") {
      if (!this.#is("_")) return { kind: "constant", name: letter };
    }
    return this.#decorated(letter);
  }

  /** A name with its subscript and primes, and arguments where it is called like a function. */
  #decorated(name: string): Node {
    let full = name;
    for (;;) {
      if (this.#take("'")) full += "'";
      else if (this.#is("_")) {
        this.#at++;
        full += `_${this.#subscript()}`;
      } else break;
    }
    if (/^[fgh]'*(_\w+)?$/.test(full) && this.#is("(")) {
      this.#at++;
      const args = this.#list(() => this.#is(")"));
      this.#expect(")");
      return { kind: "opaque", name: full, args };
    }
    return { kind: "symbol", name: full };
  }

  #subscript(): string {
    const single = this.#peek();
    if (single === undefined) this.#fail();
    this.#at++;
    if (single.value !== "{" || single.kind !== "mark") return single.value;
    let text = "";
    for (let depth = 1; depth > 0; ) {
      const token = this.#peek();
      if (token === undefined) this.#fail();
      this.#at++;
      if (token.value === "{") depth++;
      if (token.value === "}") depth--;
      if (depth > 0) text += token.value;
    }
    return text;
  }

  #command(): Node {
    const name = this.#peek()!.value;
    this.#at++;
    if (greek.has(name)) return this.#decorated(`\\${name}`);
    if (functions.has(name)) return this.#function(name);
    switch (name) {
      case "pi":
        return { kind: "constant", name: "pi" };
      case "infty":
        return { kind: "constant", name: "infinity" };
      case "emptyset":
        return { kind: "constant", name: "empty" };
      case "mathbb":
        if (this.#take("{")) {
          const set = this.#peek();
          this.#at++;
          this.#expect("}");
          if (set?.value === "R") return { kind: "constant", name: "reals" };
          if (set?.kind === "letter") return { kind: "symbol", name: `\\mathbb{${set.value}}` };
        }
        return this.#fail();
      case "$": {
        const value = this.#signed();
        return { kind: "unit", value, unit: "dollar" };
      }
      case "frac": {
        const left = this.#argument();
        return { kind: "div", left, right: this.#argument() };
      }
      case "binom": {
        const top = this.#argument();
        return { kind: "function", name: "binom", args: [top, this.#argument()] };
      }
      case "sqrt": {
        let index: Node = integer(2);
        if (this.#take("[")) {
          index = this.#sum();
          this.#expect("]");
        }
        return { kind: "function", name: "root", args: [this.#argument(), index] };
      }
      case "lfloor":
      case "lceil": {
        const operand = this.#sum();
        this.#expect(name === "lfloor" ? "rfloor" : "rceil");
        return { kind: "function", name: name.slice(1), args: [operand] };
      }
      case "overline":
      case "bar":
      case "vec":
      case "hat": {
        const inner = this.#argument();
        if (inner.kind === "number") throw new MathParseError(`\\${name} over digits is not understood`);
        return { kind: "opaque", name, args: [inner] };
      }
      case "setopen": {
        const items = this.#list(() => this.#is("setclose"));
        this.#expect("setclose");
        return { kind: "set", items };
      }
      case "begin":
        return this.#matrix();
      default:
        this.#at--;
        return this.#fail();
    }
  }

  #function(name: string): Node {
    let base: Node | null = null;
    let exponent: Node | null = null;
    if (this.#take("_")) base = this.#argument();
    if (this.#take("^")) exponent = this.#is("{") ? this.#group() : this.#exponent();
    if (this.#take("_")) base = this.#argument();
    const args = this.#is("(") ? this.#callArguments() : [this.#bareArgument()];
    const inverse =
      exponent?.kind === "neg" && exponent.operand.kind === "number" && exponent.operand.numerator === 1n;
    const called: Node = {
      kind: "function",
      name: inverse ? `arc${name}` : name,
      args: base === null ? args : [...args, base],
    };
    return exponent === null || inverse ? called : { kind: "pow", left: called, right: exponent };
  }

  #callArguments(): Node[] {
    this.#expect("(");
    const args = this.#list(() => this.#is(")"));
    this.#expect(")");
    // \sin(x)^2 and \sin(2)x keep to LaTeX's look: the bracket ends the argument
    return args;
  }

  /** \sin 3x: the product up to the next sum sign or function. */
  #bareArgument(): Node {
    let left = this.#is("-") ? this.#signed() : this.#power();
    for (;;) {
      const token = this.#peek();
      if (token === undefined) return left;
      if (this.#take("/")) left = { kind: "div", left, right: this.#power() };
      else if (this.#startsFactor() && !functions.has(token.value) && token.value !== "(") {
        left = { kind: "mul", left, right: this.#power() };
      } else return left;
    }
  }

  #matrix(): Node {
    const name = this.#environment();
    if (!matrices.has(name)) throw new MathParseError(`\\begin{${name}} is not understood`);
    if (name === "array" && this.#is("{")) this.#environment();
    const rows: Node[][] = [[]];
    while (!this.#is("end")) {
      if (this.#take("\\")) {
        rows.push([]);
        continue;
      }
      if (this.#take("&")) continue;
      rows.at(-1)!.push(this.#sum());
    }
    this.#expect("end");
    if (this.#environment() !== name) throw new MathParseError(`\\begin{${name}} is not closed`);
    if (rows.at(-1)!.length === 0) rows.pop();
    const width = rows[0]?.length ?? 0;
    if (width === 0 || rows.some((row) => row.length !== width))
      throw new MathParseError("rows of unequal length");
    return { kind: "matrix", rows };
  }

  #environment(): string {
    this.#expect("{");
    let name = "";
    while (!this.#is("}")) {
      const token = this.#peek();
      if (token === undefined) this.#fail();
      name += token.value;
      this.#at++;
    }
    this.#at++;
    return name;
  }
}

function numberNode(text: string): NumberNode {
  const value = readDecimal(text);
  if (value === null) throw new MathParseError(`${text.slice(0, 30)} is out of range`);
  const point = /^(\d*)\.(\d*)/.exec(text);
  if (point === null) return { kind: "number", ...value };
  return {
    kind: "number",
    ...value,
    decimals: point[2]!.length,
    significant: `${point[1]}${point[2]}`.replace(/^0+/, "").length,
  };
}

const isWhole = (node: Node): boolean =>
  node.kind === "number" && node.denominator === 1n && node.decimals === undefined;

/** 3\frac{1}{8} is a sum; 3\frac{x}{8} a product. */
function isMixedNumber(left: Node, right: Node): boolean {
  if (!isWhole(left)) return false;
  if (isWhole(right)) return false;
  return right.kind === "div" && isWhole(right.left) && isWhole(right.right);
}
