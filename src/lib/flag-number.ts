import { ConfigError } from "./errors.ts";

/** A number as it was typed behind a flag. @throws ConfigError naming the flag and the range */
export function flagNumber(flag: string, text: string, low: number, high: number, whole: boolean): number {
  const value = Number(text);
  if (
    text.trim() === "" ||
    !Number.isFinite(value) ||
    value < low ||
    value > high ||
    (whole && !Number.isInteger(value))
  ) {
    throw new ConfigError(`${flag} ${text}: give a ${whole ? "whole " : ""}number from ${low} to ${high}`);
  }
  return value;
}
