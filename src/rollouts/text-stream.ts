/** Text that can be shown while tokens still come: whole characters, and nothing that may become a stop string. */
import type { Tokenizer } from "../types.ts";

const INCOMPLETE = "\ufffd";

export class TextStream {
  private readonly tokenizer: Pick<Tokenizer, "decode">;
  private readonly stop: readonly string[];
  private readonly tokens: number[] = [];
  /** Tokens before `from` are settled; those before `to` are in `text`. Decoding from a little before keeps spaces. */
  private from = 0;
  private to = 0;
  private text = "";
  private given = 0;
  private ended = false;

  constructor(tokenizer: Pick<Tokenizer, "decode">, stop: readonly string[]) {
    this.tokenizer = tokenizer;
    this.stop = stop;
  }

  /** @returns what can be shown now, and whether a stop string was found: it and all behind it are left out */
  push(token: number): { text: string; stopped: boolean } {
    this.tokens.push(token);
    const known = this.tokenizer.decode(this.tokens.slice(this.from, this.to));
    const all = this.tokenizer.decode(this.tokens.slice(this.from));
    if (all.length > known.length && !all.endsWith(INCOMPLETE)) {
      this.text += all.slice(known.length);
      this.from = this.to;
      this.to = this.tokens.length;
    }
    return this.give(false);
  }

  /** The rest, whole or not. */
  end(): string {
    const known = this.tokenizer.decode(this.tokens.slice(this.from, this.to));
    this.text += this.tokenizer.decode(this.tokens.slice(this.from)).slice(known.length);
    this.to = this.tokens.length;
    return this.give(true).text;
  }

  private give(last: boolean): { text: string; stopped: boolean } {
    if (this.ended) return { text: "", stopped: true };
    const found = this.stop.map((text) => this.text.indexOf(text)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.ended = true;
      const end = Math.min(...found);
      return { text: this.take(end), stopped: true };
    }
    return { text: this.take(last ? this.text.length : this.text.length - this.held()), stopped: false };
  }

  private take(end: number): string {
    const text = this.text.slice(this.given, end);
    this.given = Math.max(this.given, end);
    return text;
  }

  /** Characters at the end that begin a stop string. */
  private held(): number {
    let held = 0;
    for (const stop of this.stop) {
      for (let n = Math.min(stop.length - 1, this.text.length); n > held; n--) {
        if (stop.startsWith(this.text.slice(-n))) held = n;
      }
    }
    return Math.min(held, this.text.length - this.given);
  }
}
