/** The one look at everything that a command is going to run, before it makes a folder: the same for all commands. */
import { ConfigFaultsError, type Fault } from "../config/faults.ts";
import { type LoadOptions, loadRecipe, RecipeFaultsError, type ResolvedRecipe } from "../config/load.ts";
import { faultWords } from "../config/words.ts";
import { Preflight, type PreflightOptions } from "../training/preflight.ts";

/** A run that a command is going to start: a config, a trial, an arm. */
export interface Planned {
  config: string;
  options: LoadOptions;
}

/**
 * Loads each and looks at its files; what several share is looked at once.
 * @returns warnings, each once
 * @throws ConfigFaultsError with the faults of all
 */
export async function checkRuns(runs: readonly Planned[], options: PreflightOptions): Promise<string[]> {
  const preflight = new Preflight(options);
  const faults = new Map<string, Fault>();
  const warnings = new Set<string>();
  const seen = new Set<string>();
  for (const { config, options: load } of runs) {
    const loaded = await loadWhole(config, load);
    const key = JSON.stringify([config, loaded.stages]);
    if (seen.has(key)) continue;
    seen.add(key);
    const found = await preflight.inspect(loaded);
    for (const fault of found.faults) faults.set(faultWords(fault), fault);
    for (const text of found.warnings) warnings.add(text);
  }
  if (faults.size > 0) throw new ConfigFaultsError([...faults.keys()].join("\n"), [...faults.values()]);
  return [...warnings];
}

/** As `loadRecipe`; what is wrong with the files of a config that has faults itself is said beside these. Nothing is fetched. */
export async function loadWhole(config: string, load: LoadOptions): Promise<ResolvedRecipe> {
  try {
    return loadRecipe(config, load);
  } catch (error) {
    throw await widened(error);
  }
}

/** An error, with the faults of the files where it is about a config. */
export async function widened(error: unknown): Promise<unknown> {
  if (!(error instanceof RecipeFaultsError)) return error;
  return new Preflight({ fetch: false, weights: true, absentData: "warn" }).widen(error);
}

/** The same for a command that is about to start the runs: what it needs of the Hub is fetched, warnings are noted. */
export function checkBefore(note: (text: string) => void): (runs: readonly Planned[]) => Promise<void> {
  return async (runs) => {
    for (const text of await checkRuns(runs, { fetch: true, weights: true, progress: note })) note(text);
  };
}
