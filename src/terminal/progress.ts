/** Progress on this terminal: as it can show it, in its colours. */

import type { Progress } from "../run/progress.ts";
import { type Children, followChildren } from "./children.ts";
import { createProgress, type ProgressOptions } from "./lines-progress.ts";
import type { PanelStyle } from "./panel.ts";
import { errorColours } from "./terminal.ts";

const style: PanelStyle = {
  bold: errorColours.bold,
  dim: errorColours.dim,
  good: errorColours.green,
  bad: errorColours.yellow,
  accent: errorColours.cyan,
};

/** Goes to stderr, where the result comes out on stdout at the end; JSON lines are a result and go to stdout. */
export function terminalProgress(
  options: Pick<ProgressOptions, "title" | "stages"> & { mode: NonNullable<ProgressOptions["mode"]> },
): Progress {
  // a terminal that cannot move its cursor gets lines
  const dumb = process.env["TERM"] === "dumb" && options.mode === "auto";
  return createProgress({
    ...options,
    mode: dumb ? "lines" : options.mode,
    // JSON lines are what was asked for
    stream: options.mode === "json" ? process.stdout : process.stderr,
    style,
    unicode: showsBlocks(process.env, process.platform),
  });
}

/** Lines of child runs, likewise. */
export function terminalChildren(): Children {
  const dumb = process.env["TERM"] === "dumb";
  return followChildren({
    stream: dumb ? { write: (text) => process.stderr.write(text) } : process.stderr,
    unicode: showsBlocks(process.env, process.platform),
    dim: errorColours.dim,
  });
}

/** Does the locale say UTF-8? Windows terminals show it whatever the locale is. */
export function showsBlocks(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
  if (platform === "win32" || platform === "darwin") return true;
  return /utf-?8/i.test(env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "");
}
