/** `rlpt report`: reads runs, draws, writes one file. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { buildReport } from "./build.ts";
import { parseEfficiency } from "./efficiency.ts";
import { sortFolders } from "./folders.ts";
import { createPlotter } from "./plots.ts";
import { type RunFiles, readRun } from "./read-run.ts";
import { renderHtml } from "./render-html.ts";
import { renderCsv, renderMarkdown } from "./render-text.ts";

/**
 * @param out "-" writes nothing; absent: report.<format> in the run, or in the working directory for several
 * @param efficiency evaluations of the base model, `standard.csv,direct.csv`; not in CSV reports
 * @returns the file, or null with the text for stdout
 */
export async function writeReport(
  directories: readonly string[],
  format: "html" | "md" | "csv",
  out?: string,
  efficiency: string | null = null,
): Promise<{ path: string | null; text: string }> {
  const repeated = directories.find((path, i) => directories.indexOf(path) !== i);
  if (repeated !== undefined) throw new ConfigError(`${repeated} is given twice`);
  const text = await render(directories, format, efficiency);
  if (out === "-") return { path: null, text };
  const path = out ?? join(directories.length === 1 ? directories[0]! : ".", `report.${format}`);
  writeFileAtomic(path, text);
  return { path, text };
}

async function render(
  directories: readonly string[],
  format: "html" | "md" | "csv",
  efficiency: string | null,
): Promise<string> {
  if (format === "csv") return renderCsv(runsForCsv(directories));
  const reference = efficiency === null ? null : parseEfficiency(efficiency);
  const document = buildReport(directories, await createPlotter(), reference);
  return format === "html" ? renderHtml(document) : renderMarkdown(document);
}

/** Folders of sweeps and selections hold their numbers as CSV already. */
function runsForCsv(directories: readonly string[]): RunFiles[] {
  for (const directory of directories)
    for (const table of ["pareto.csv", "scores.csv"]) {
      if (existsSync(join(directory, table)))
        throw new ConfigError(`${directory} is no run; its numbers are in ${join(directory, table)}`);
    }
  return sortFolders(directories).runs.map(readRun);
}
