import { MathParseError } from "./ast.ts";
import type { Token } from "./tokens.ts";

const MAX_DEPTH = 60;

/** Tokens of one text, the place up to which they are read, and how deep the reading stands. */
export class Cursor {
  private readonly tokens: Token[];
  private place = 0;
  private depth = 0;

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  get at(): number {
    return this.place;
  }

  skip(count = 1): void {
    this.place += count;
  }

  /** What has been read since an earlier place, without its spaces. */
  textSince(start: number): string {
    return this.tokens
      .slice(start, this.place)
      .map((token) => token.value)
      .join("");
  }

  /** The first digit of a number of several: \frac12 is one half. */
  takeLeadingDigit(): number | null {
    const token = this.peek();
    if (token?.kind !== "number" || token.value.length === 1 || !/^\d/.test(token.value)) return null;
    this.tokens[this.place] = { ...token, value: token.value.slice(1) };
    return Number(token.value[0]);
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.place + ahead];
  }

  end(): boolean {
    return this.place >= this.tokens.length;
  }

  is(value: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return (
      token !== undefined && token.value === value && (token.kind === "mark" || token.kind === "command")
    );
  }

  take(value: string): boolean {
    if (!this.is(value)) return false;
    this.place++;
    return true;
  }

  fail(token = this.peek()): never {
    throw new MathParseError(
      token === undefined
        ? "the answer ends in the middle"
        : `${JSON.stringify(token.value)} is not understood here`,
    );
  }

  expect(value: string): void {
    if (!this.take(value)) this.fail();
  }

  deeper<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new MathParseError("the answer is nested too deeply");
    try {
      return read();
    } finally {
      this.depth--;
    }
  }

  /** "and" has joined two items of a list. */
  together = false;

  separator(): boolean {
    if (this.is(",") || this.is(";")) {
      this.place++;
      // ", and"; two commas that a space separates in LaTeX
      if (this.isJoinWord()) this.joinWord();
      return true;
    }
    if (this.isJoinWord()) {
      this.joinWord();
      return true;
    }
    return false;
  }

  private joinWord(): void {
    if (/and/i.test(this.peek()!.value)) this.together = true;
    this.place++;
  }

  isJoinWord(): boolean {
    const token = this.peek();
    return token?.kind === "text" && /^(and|or|,|, ?and|, ?or)$/i.test(token.value);
  }
}
