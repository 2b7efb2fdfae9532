/** What must be the same in two runs, and what must still be there. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { isTimeColumn } from "../../../src/metrics/table.ts";

/** Files below a folder with the SHA-256 of their bytes, by path. */
export function filesOf(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (inner: string): void => {
    for (const entry of readdirSync(join(folder, inner), { withFileTypes: true })) {
      const name = join(inner, entry.name);
      if (entry.isDirectory()) walk(name);
      else if (entry.isFile())
        found.set(
          name,
          createHash("sha256")
            .update(readFileSync(join(folder, name)))
            .digest("hex"),
        );
    }
  };
  if (existsSync(folder)) walk("");
  return found;
}

const TABLES = ["metrics.csv", "eval.csv", "eval-prompts.csv", "prompts.csv"];

/** One process tries many runs: what it holds of the others is not this run's. */
const OF_THE_PROCESS = "memory/tensors";

/** Rows without the time columns, in which two equal runs may differ. */
function rowsOf(file: string): string {
  const rows = parse(readFileSync(file), { columns: true }) as Record<string, string>[];
  return JSON.stringify(
    rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([name]) => !isTimeColumn(name) && name !== OF_THE_PROCESS),
      ),
    ),
  );
}

const checkpointOf = (run: string, step: number): string =>
  join(run, "checkpoints", String(step).padStart(6, "0"));

/** What differs between two runs that should have made the same; null where nothing does. */
export function runDifference(run: string, calm: string, step: number): string | null {
  for (const name of TABLES) {
    if (!existsSync(join(run, name))) return `${name} is gone`;
    if (rowsOf(join(run, name)) !== rowsOf(join(calm, name))) return `rows of ${name} differ`;
  }
  if (readFileSync(join(run, "samples.jsonl"), "utf8") !== readFileSync(join(calm, "samples.jsonl"), "utf8"))
    return "samples.jsonl differs";
  const [mine, right] = [filesOf(checkpointOf(run, step)), filesOf(checkpointOf(calm, step))];
  for (const [name, hash] of right)
    if (name !== "manifest.json" && mine.get(name) !== hash) return `checkpoint ${step}: ${name} differs`;
  return mine.size === right.size
    ? null
    : `checkpoint ${step} has ${mine.size} files instead of ${right.size}`;
}

/** Checkpoints with what they held, by folder name. */
export function checkpointFiles(run: string): Map<string, Map<string, string>> {
  const folder = join(run, "checkpoints");
  if (!existsSync(folder)) return new Map();
  const names = readdirSync(folder).filter(
    (name) => /^\d{6}/.test(name) && statSync(join(folder, name)).isDirectory(),
  );
  return new Map(names.map((name) => [name, filesOf(join(folder, name))]));
}

/** A checkpoint of before whose bytes are nowhere now; null where all are there, under their name or set aside. */
export function lostCheckpoint(before: ReadonlyMap<string, Map<string, string>>, run: string): string | null {
  const now = checkpointFiles(run);
  for (const [name, files] of before) {
    const kept = [...now].some(
      ([other, held]) =>
        other.startsWith(name) && [...files].every(([file, hash]) => held.get(file) === hash),
    );
    if (!kept) return name;
  }
  return null;
}
