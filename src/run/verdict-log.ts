/** judge.jsonl: every verdict of a run's judges, a line each. It is never cut back: what was asked is not asked again. */
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { describeSystemError, RlptError } from "../lib/errors.ts";
import type { Verdict, VerdictStore } from "../types.ts";

export const verdictsName = "judge.jsonl";

export interface VerdictLog extends VerdictStore {
  /** Writes what is known and not in this file yet, and from now on every verdict when it comes. */
  attach(path: string): void;
}

const STATUSES: readonly unknown[] = ["read", "unreadable", "refused"];

function asVerdict(value: unknown): Verdict | null {
  if (typeof value !== "object" || value === null) return null;
  const { key, judge, status, values, text, calls, tokens } = value as Record<string, unknown>;
  const whole =
    typeof key === "string" &&
    typeof judge === "string" &&
    STATUSES.includes(status) &&
    Array.isArray(values) &&
    values.every((one) => typeof one === "number") &&
    typeof text === "string" &&
    typeof calls === "number" &&
    typeof tokens === "number";
  return whole ? (value as Verdict) : null;
}

/**
 * Verdicts in memory.
 * @param from a file to begin with; a torn last line is left out, and so are lines that are no verdict
 * @param note told about these: their questions are asked again
 */
export function openVerdicts(from: string | null, note: (text: string) => void = () => {}): VerdictLog {
  const verdicts = new Map<string, Verdict>();
  const written = new Map<string, Set<string>>();
  let path: string | null = null;
  const read = (file: string): void => {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      throw new RlptError(`${file}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
    }
    const keys = written.get(file) ?? new Set();
    written.set(file, keys);
    let lost = 0;
    for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
      if (line === "") continue;
      let verdict: Verdict | null = null;
      try {
        verdict = asVerdict(JSON.parse(line));
      } catch {
        // counted below
      }
      if (verdict === null) lost++;
      else {
        verdicts.set(verdict.key, verdict);
        keys.add(verdict.key);
      }
    }
    if (lost > 0)
      note(
        `${file}: ${lost} line${lost === 1 ? " is" : "s are"} no verdict; their questions are asked again`,
      );
  };
  if (from !== null && existsSync(from)) read(from);
  const append = (verdict: Verdict): void => {
    if (path === null) return;
    try {
      appendFileSync(path, `${JSON.stringify(verdict)}\n`);
    } catch (error) {
      throw new RlptError(`${path}: cannot be written: ${describeSystemError(error)}.`, { cause: error });
    }
  };
  return {
    get: (key) => verdicts.get(key),
    all: () => verdicts.values(),
    put(verdict) {
      verdicts.set(verdict.key, verdict);
      append(verdict);
    },
    attach(file) {
      if (existsSync(file)) {
        if (!written.has(file)) read(file);
        // a line that a kill tore would run into the next one
        const bytes = readFileSync(file);
        const whole = bytes.lastIndexOf(10) + 1;
        if (whole < bytes.length) truncateSync(file, whole);
      }
      path = file;
      const there = written.get(file) ?? new Set();
      for (const verdict of verdicts.values()) if (!there.has(verdict.key)) append(verdict);
    },
  };
}
