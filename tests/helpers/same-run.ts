/** Runs that must be equal, and runs that stopped on the way. */
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { checkpointBytes, rowsWithoutTime } from "./tiny-run.ts";

export const checkpointAt = (run: string, step: number) =>
  join(run, "checkpoints", String(step).padStart(6, "0"));

/** Copies a run and forgets the checkpoints after a step. */
export function cutRun(run: string, copy: string, step: number, last: number): string {
  cpSync(run, copy, { recursive: true });
  for (let after = step + 1; after <= last; after++) {
    rmSync(checkpointAt(copy, after), { recursive: true, force: true });
  }
  return copy;
}

/** The same rows in every table but for the time columns, the same completions, the same checkpoint, to the byte. */
export function expectSameRun(actual: string, expected: string, step: number): void {
  for (const file of ["metrics.csv", "eval.csv", "eval-prompts.csv", "prompts.csv"]) {
    const rows = rowsWithoutTime(join(expected, file));
    if (file === "metrics.csv") expect(rows.length).toBe(step);
    expect(rowsWithoutTime(join(actual, file)), `${actual}: ${file}`).toEqual(rows);
  }
  for (const name of ["samples.jsonl", "thumbnails.jsonl"]) {
    const path = join(expected, name);
    expect(existsSync(join(actual, name))).toBe(existsSync(path));
    if (!existsSync(path)) continue;
    expect(readFileSync(join(actual, name), "utf8"), `${actual}: ${name}`).toBe(readFileSync(path, "utf8"));
  }
  const bytes = checkpointBytes(checkpointAt(expected, step));
  expect(Object.keys(bytes)).toContain("state.json");
  expect(checkpointBytes(checkpointAt(actual, step)), `${actual}: checkpoint ${step}`).toEqual(bytes);
}
