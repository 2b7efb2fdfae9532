import { ModelFileError } from "../lib/errors.ts";

type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The keys of a file of a model. What no one asks for is refused by `finish`. `null` counts as absent, as transformers writes it. */
export class Settings {
  private readonly values: Json;
  private readonly at: string;
  private readonly asked = new Set<string>();

  /** @param at the file, and the key path in it where it is not the whole file */
  constructor(values: unknown, at: string) {
    if (!isObject(values))
      throw new ModelFileError(`${at}: it holds ${JSON.stringify(values)} where an object belongs.`);
    this.values = values;
    this.at = at;
  }

  /** @throws ModelFileError naming file, key and value */
  fault(key: string, reason: string, fix: string): never {
    throw new ModelFileError(`${this.at}: ${key}: ${JSON.stringify(this.values[key])}: ${reason}. ${fix}`);
  }

  get(key: string): unknown {
    this.asked.add(key);
    return this.values[key] ?? undefined;
  }

  /** Keys that say nothing of how a picture is read. */
  ignore(...keys: string[]): void {
    for (const key of keys) this.asked.add(key);
  }

  /** Keys that must be absent or have a value, since nothing else is done here. */
  only(key: string, allowed: readonly unknown[], reason: string): void {
    const value = this.get(key);
    if (value !== undefined && !allowed.includes(value)) this.fault(key, reason, "Use another model.");
  }

  flag(key: string, absent: boolean): boolean {
    const value = this.get(key) ?? absent;
    return typeof value === "boolean" ? value : this.fault(key, "it is not true or false", "Mend the file.");
  }

  integer(key: string, absent: number): number {
    const value = this.get(key) ?? absent;
    return Number.isInteger(value) && (value as number) > 0
      ? (value as number)
      : this.fault(key, "it is no whole number above 0", "Mend the file.");
  }

  number(key: string, absent: number): number {
    const value = this.get(key) ?? absent;
    return typeof value === "number" && Number.isFinite(value)
      ? value
      : this.fault(key, "it is no number", "Mend the file.");
  }

  /** A number for each of red, green and blue, or one for all. */
  colours(key: string, absent: readonly number[]): number[] {
    const value = this.get(key) ?? absent;
    const list = typeof value === "number" ? [value, value, value] : value;
    const right = Array.isArray(list) && list.length === 3 && list.every((one) => Number.isFinite(one));
    return right ? (list as number[]) : this.fault(key, "it is no number, nor three", "Mend the file.");
  }

  /** An object under a key; absent: empty. */
  inner(key: string): Settings {
    return new Settings(this.get(key) ?? {}, `${this.at}: ${key}`);
  }

  /** @throws ModelFileError for the first key that nobody asked for */
  finish(): void {
    const unknown = Object.keys(this.values).find((key) => !this.asked.has(key) && this.values[key] !== null);
    if (unknown !== undefined)
      this.fault(
        unknown,
        "what this key does to a picture is not known here",
        "Take it out if it does nothing.",
      );
  }
}
