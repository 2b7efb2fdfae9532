import { type Answer, integer, MathParseError, type Node, type NumberNode, type Relation } from "./ast.ts";
import { type Grammar, readCommand, readFunction, readSymbol } from "./commands.ts";
import { Cursor } from "./cursor.ts";
import { readDecimal } from "./rational.ts";
import { readSet } from "./set-reader.ts";
import { type Token, tokenise } from "./tokens.ts";
import { canonicalUnit } from "./units.ts";
import { functions, greek, relations } from "./vocabulary.ts";

/** Recursive descent over tokens; one instance reads one text. */
export class Reader implements Grammar {
  private readonly tokens: Cursor;
  private bars = 0;

  constructor(tokens: Token[]) {
    this.tokens = new Cursor(tokens);
  }

  answer(): Answer {
    if (this.tokens.end()) throw new MathParseError("the answer is empty");
    const items: Node[] = [];
    // p=5, q=2; p=7, q=2: where each group between semicolons is an item of its own
    const groups: Node[][] = [[]];
    for (;;) {
      const item = this.item();
      items.push(item);
      groups.at(-1)!.push(item);
      if (this.tokens.end()) break;
      const group = this.tokens.is(";");
      if (!this.tokens.separator()) this.tokens.fail();
      if (this.tokens.end()) break;
      if (group) groups.push([]);
    }
    const wide = groups.length > 1 && groups[0]!.length > 1;
    return {
      items,
      together: this.tokens.together,
      ...(wide && groups.every((group) => group.length === groups[0]!.length) ? { groups } : {}),
    };
  }

  list(done: () => boolean): Node[] {
    const items: Node[] = [];
    if (done()) return items;
    for (;;) {
      items.push(this.item());
      if (done()) return items;
      if (!this.tokens.separator()) this.tokens.fail();
    }
  }

  item(): Node {
    return this.tokens.deeper(() => {
      const sides = [this.ratio()];
      const ops: Relation[] = [];
      for (;;) {
        const token = this.tokens.peek();
        const op = token !== undefined && token.kind !== "letter" ? relations[token.value] : undefined;
        if (op === undefined || token?.kind === "text") break;
        this.tokens.skip();
        // <= and >= of plain text
        if ((op === "<" || op === ">") && this.tokens.take("=")) ops.push(`${op}=`);
        else ops.push(op);
        sides.push(this.ratio());
      }
      return sides.length === 1 ? sides[0]! : { kind: "relation", sides, ops };
    });
  }

  private ratio(): Node {
    const items: Node[] = [];
    const start = this.tokens.at;
    items.push(this.setExpression());
    while (this.tokens.take(":")) items.push(this.setExpression());
    if (items.length === 1) return items[0]!;
    const source = this.tokens.textSince(start);
    return { kind: "ratio", items, clock: /^\d{1,2}(?::\d\d)+(?!\d)/.test(source) };
  }

  setExpression(): Node {
    let left = this.over();
    for (;;) {
      const op = this.tokens.take("cup")
        ? ("union" as const)
        : this.tokens.take("cap")
          ? ("intersection" as const)
          : this.tokens.take("setminus")
            ? ("minus" as const)
            : null;
      if (op === null) return left;
      left = { kind: "setop", op, left, right: this.over() };
    }
  }

  sum(): Node {
    return this.tokens.deeper(() => {
      let left = this.product();
      for (;;) {
        if (this.tokens.take("+")) left = { kind: "add", left, right: this.product() };
        else if (this.tokens.take("-")) left = { kind: "sub", left, right: this.product() };
        else {
          const sign = this.plusMinus();
          if (sign === null) return left;
          left = { kind: "plusminus", left, right: this.product(), sign };
        }
      }
    });
  }

  private plusMinus(): 1 | -1 | null {
    if (this.tokens.take("pm")) return 1;
    return this.tokens.take("mp") ? -1 : null;
  }

  product(): Node {
    let left = this.signed();
    for (;;) {
      if (this.tokens.take("times") || this.tokens.take("cdot") || this.tokens.take("*")) {
        // ** is a power in plain text
        if (this.tokens.take("*")) left = { kind: "pow", left, right: this.signed() };
        else left = { kind: "mul", left, right: this.signed() };
      } else if (this.tokens.take("/") || this.tokens.take("div")) {
        left = { kind: "div", left, right: this.signed() };
      } else if (this.startsUnit()) {
        return this.unit(left);
      } else if (this.startsFactor()) {
        left = { kind: "mul", left, right: this.mixed() };
      } else if (this.tokens.peek()?.kind === "number" && !endsInNumber(left)) {
        // n2^{n-1}, (n-2)2^n; 63^\circ 45' counts minutes
        const next = this.power();
        left = this.minutes(left, next) ?? { kind: "mul", left, right: next };
      } else return left;
    }
  }

  signed(): Node {
    if (this.tokens.take("-")) return this.tokens.deeper(() => ({ kind: "neg", operand: this.signed() }));
    if (this.tokens.take("+")) return this.tokens.deeper(() => this.signed());
    const sign = this.plusMinus();
    if (sign !== null) {
      return this.tokens.deeper(() => ({ kind: "plusminus", left: integer(0), right: this.signed(), sign }));
    }
    return this.mixed();
  }

  /** A factor; 3\frac{1}{8} is one, so that a sign before it counts for all of it. */
  private mixed(): Node {
    const value = this.power();
    if (!isWhole(value) || !this.tokens.is("frac")) return value;
    const next = this.power();
    return isFraction(next)
      ? { kind: "add", left: value, right: next }
      : { kind: "mul", left: value, right: next };
  }

  /** Minutes and seconds of arc after degrees; null where the marks ' and '' are not there. */
  private minutes(left: Node, next: Node): Node | null {
    const parts =
      left.kind === "degrees" ? 60 : left.kind === "add" && left.right.kind === "degrees" ? 3600 : 0;
    if (parts === 0 || !this.tokens.take("'")) return null;
    this.tokens.take("'");
    const share: Node = { kind: "degrees", operand: { kind: "div", left: next, right: integer(parts) } };
    return { kind: "add", left, right: share };
  }

  /** Text after a value: a unit, or what is counted. */
  private startsUnit(): boolean {
    return this.tokens.peek()?.kind === "text" && !this.tokens.isJoinWord();
  }

  private unit(value: Node): Node {
    let unit = "";
    for (;;) {
      const token = this.tokens.peek();
      if (token === undefined || this.tokens.isJoinWord()) break;
      const fits =
        token.kind === "text" ||
        token.kind === "number" ||
        ["^", "/", "cdot", "{", "}", "-", "(", ")", "mu", "circ", "."].includes(token.value);
      // a bracket around the whole answer belongs to the answer
      if (!fits || (token.value === ")" && !unit.includes("("))) break;
      if (token.value === "}" && !unit.includes("{")) break;
      unit += token.kind === "text" ? ` ${token.value} ` : token.value;
      this.tokens.skip();
    }
    const name = canonicalUnit(unit);
    if (name === "degrees") return { kind: "degrees", operand: value };
    if (name === "percent") return { kind: "percent", operand: value };
    return { kind: "unit", value, unit: name };
  }

  startsFactor(): boolean {
    const token = this.tokens.peek();
    if (token === undefined) return false;
    if (token.kind === "letter") return true;
    if (token.kind === "number") return false;
    if (token.kind === "mark") {
      return (
        token.value === "(" ||
        token.value === "[" ||
        token.value === "{" ||
        (token.value === "|" && this.bars === 0)
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
        "sum",
        "prod",
        "setopen",
        "dot",
        "ddot",
        "tilde",
        "mathbb",
        "textcircled",
      ].includes(token.value)
    );
  }

  power(): Node {
    return this.tokens.deeper(() => {
      let base = this.postfix(this.primary());
      while (this.tokens.is("^")) {
        this.tokens.skip();
        if (this.takeDegree()) {
          base = this.postfix({ kind: "degrees", operand: base });
          continue;
        }
        base = this.postfix({ kind: "pow", left: base, right: this.exponent() });
      }
      return base;
    });
  }

  private takeDegree(): boolean {
    if (this.tokens.take("circ")) return true;
    if (this.tokens.is("{") && this.tokens.is("circ", 1) && this.tokens.is("}", 2)) {
      this.tokens.skip(3);
      return true;
    }
    return false;
  }

  exponent(): Node {
    if (this.tokens.take("-")) return { kind: "neg", operand: this.exponent() };
    if (this.tokens.is("{")) return this.group();
    return this.tokens.is("(") || this.tokens.peek()?.kind === "number" ? this.primary() : this.argument();
  }

  private postfix(value: Node): Node {
    let result = value;
    for (;;) {
      if (this.tokens.take("!")) result = { kind: "factorial", operand: result };
      else if (this.tokens.take("%")) result = { kind: "percent", operand: result };
      else return result;
    }
  }

  /** {...} as one value. */
  group(): Node {
    this.tokens.expect("{");
    const inner = this.tokens.deeper(() => this.over());
    this.tokens.expect("}");
    return inner;
  }

  /** a \over b and n \choose k stand between their parts. */
  private over(): Node {
    const left = this.sum();
    if (this.tokens.take("over")) return { kind: "div", left, right: this.sum() };
    if (this.tokens.take("choose")) return { kind: "function", name: "binom", args: [left, this.sum()] };
    return left;
  }

  /** { } of plain text around a list or a condition is a set; around one value it only groups. */
  private braced(): Node {
    return this.tokens.deeper(() => {
      this.tokens.skip();
      if (this.tokens.take("}")) return { kind: "set", items: [] };
      const set = readSet(this.tokens, "}", this);
      return set.kind === "set" && set.items.length === 1 ? set.items[0]! : set;
    });
  }

  /** The argument of \frac, \sqrt or ^: a group, or a single digit, letter or command. */
  argument(): Node {
    if (this.tokens.is("{")) return this.group();
    const digit = this.tokens.takeLeadingDigit();
    if (digit !== null) return integer(digit);
    return this.tokens.deeper(() => this.primary());
  }

  private primary(): Node {
    const token = this.tokens.peek();
    if (token === undefined) this.tokens.fail();
    if (token.kind === "number") {
      this.tokens.skip();
      return numberNode(token.value);
    }
    if (token.kind === "letter") return this.symbol();
    if (token.kind === "text") return this.textValue();
    switch (token.value) {
      case "(":
      case "[":
        return this.bracketed();
      case "{":
        return this.braced();
      case "|":
      case "lvert":
        return this.absolute();
      case "<":
      case "langle":
        return this.angled();
      default:
        if (token.kind !== "command") this.tokens.fail();
        return readCommand(this.tokens, this);
    }
  }

  private textValue(): Node {
    const token = this.tokens.peek()!;
    this.tokens.skip();
    if (functions.has(token.value)) return readFunction(this.tokens, this, token.value);
    if (/^[A-Za-z]$/.test(token.value)) return readSymbol(this.tokens, this, token.value);
    if (/\d/.test(token.value)) {
      const inner = new Reader(tokenise(token.value, true)).answer();
      if (inner.items.length === 1) return inner.items[0]!;
    }
    return { kind: "text", text: token.value };
  }

  private absolute(): Node {
    const closing = this.tokens.is("|") ? "|" : "rvert";
    this.tokens.skip();
    this.bars++;
    const operand = this.sum();
    this.bars--;
    this.tokens.expect(closing);
    return { kind: "abs", operand };
  }

  private angled(): Node {
    const closing = this.tokens.is("<") ? ">" : "rangle";
    this.tokens.skip();
    const items = this.list(() => this.tokens.is(closing));
    this.tokens.expect(closing);
    return { kind: "tuple", open: "(", close: ")", items };
  }

  private bracketed(): Node {
    const open = this.tokens.peek()!.value as "(" | "[";
    this.tokens.skip();
    const bars = this.bars;
    this.bars = 0;
    const items = this.list(() => this.tokens.is(")") || this.tokens.is("]"));
    this.bars = bars;
    const close = this.tokens.peek()!.value as ")" | "]";
    this.tokens.skip();
    if (items.length === 1 && (open === "(") === (close === ")")) return items[0]!;
    if (items.length < 2) throw new MathParseError("brackets that do not fit");
    return { kind: "tuple", open, close, items };
  }

  private symbol(): Node {
    const letter = this.tokens.peek()!.value;
    this.tokens.skip();
    if (letter === "e" || letter === "i") {
      if (!this.tokens.is("_")) return { kind: "constant", name: letter };
    }
    return readSymbol(this.tokens, this, letter);
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

/** A fraction of two whole numbers, as after the whole part of a mixed number. */
const isFraction = (node: Node): boolean => node.kind === "div" && isWhole(node.left) && isWhole(node.right);

/** `1 2` is no product: a number may follow anything but a bare number. */
const endsInNumber = (node: Node): boolean =>
  node.kind === "number" ||
  ((node.kind === "neg" || node.kind === "percent") && endsInNumber(node.operand)) ||
  ((node.kind === "mul" || node.kind === "div") && endsInNumber(node.right));
