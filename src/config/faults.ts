/** What can be wrong with a config, as data. `words.ts` turns it into sentences. */
import { ConfigError } from "../lib/errors.ts";

export type KeyPath = readonly (string | number)[];

/** Where a value was written: a line of a file (1-based), or a command-line flag such as `--set steps=0`. */
export type Origin = { file: string; line: number } | { flag: string };

export type FaultDetail =
  /** The file cannot be used at all: missing, a directory, empty, not a map. */
  | { code: "file"; reason: string; fix: string }
  /** Not YAML. */
  | { code: "syntax"; reason: string; fix: string }
  | { code: "flag"; reason: string; fix: string }
  | { code: "extends"; reason: string; fix: string }
  /**
   * `suggestion` is a sibling key, or the full path of a key elsewhere;
   * `elsewhere` says that another kind of the same union has this key.
   */
  | {
      code: "unknown_key";
      suggestion: string | null;
      elsewhere: { here: string; there: string } | null;
      known: readonly string[];
    }
  /** `expected` in words, such as "a whole number >= 1"; `description` is the key's own text. */
  | { code: "missing"; expected: string; description: string | null }
  | { code: "type"; expected: string; actual: string; hint: string | null }
  | { code: "range"; expected: string; reason: string }
  | { code: "choice"; options: readonly string[]; suggestion: string | null }
  /** A check that a stage's schema states in its own words. */
  | { code: "check"; reason: string }
  /** A rule between fields, or about the world (a path that is not there). */
  | { code: "rule"; rule: string; reason: string; fix: string };

export type Fault = FaultDetail & {
  origin: Origin;
  path: KeyPath;
  /** Undefined when nothing was written there. */
  value?: unknown;
};

/** `rewards.0.weight` */
export function dotted(path: KeyPath): string {
  return path.map(String).join(".");
}

/** All that is wrong with one config. The message is one line per fault. Exit status 2. */
export class ConfigFaultsError extends ConfigError {
  readonly faults: readonly Fault[];
  constructor(message: string, faults: readonly Fault[]) {
    super(message);
    this.faults = faults;
  }
}
