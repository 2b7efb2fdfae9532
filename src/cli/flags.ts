/** Options of commands as people write them. */
import { Option } from "commander";
import { ConfigError } from "../lib/errors.ts";

/** For options that may be given again. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** @throws ConfigError naming the flag */
export function wholeNumber(text: string, flag: string, least = 0): number {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < least || !Number.isSafeInteger(value)) {
    throw new ConfigError(`${flag} ${text}: give a whole number from ${least}`);
  }
  return value;
}

/** `--seeds 1,2,3`; undefined when not given. @throws ConfigError */
export function seedList(text: string | undefined): number[] | undefined {
  return text?.split(",").map((each) => wholeNumber(each.trim(), "--seeds"));
}

/** The name that `--out` of a command had before; scripts still give it. */
export function formerName(flag: string): Option {
  return new Option(`${flag} <dir>`).hideHelp().conflicts("out");
}

/** Options of commands that run many runs. */
export interface ManyRunsFlags {
  seeds?: string;
  jobs?: string;
  out?: string;
  /** As `out`. */
  root?: string;
  set: string[];
  dryRun?: boolean;
  json?: boolean;
}

/** `--jobs 3`, or one run per core. @throws ConfigError */
export async function concurrency(jobs: string | undefined): Promise<number> {
  const { defaultConcurrency } = await import("../processes/pool.ts");
  return jobs === undefined ? defaultConcurrency() : Math.max(1, wholeNumber(jobs, "--jobs"));
}
