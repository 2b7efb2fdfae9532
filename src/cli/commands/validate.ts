import type { Command } from "commander";
import { print, printJson, printWarning } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface Flags {
  set: string[];
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("validate")
    .description(
      "say whether configs are right, and everything that is wrong with them and their files; reads no weights",
    )
    .argument("<config...>", "recipes, experiments or claims, YAML files")
    .option("--set <key=value>", "change one value, as in train; may be repeated", collect, [])
    .option("--json", "machine-readable output")
    .action(async (files: string[], flags: Flags) => {
      process.exitCode = await validate(files, flags);
    });
}

/** @returns exit status: 0 all are right, 2 one is not */
export async function validate(files: readonly string[], flags: Flags): Promise<number> {
  const { plannedRuns } = await import("../planned-runs.ts");
  const { checkRuns, widened } = await import("../check-files.ts");
  const { ConfigFaultsError } = await import("../../config/faults.ts");
  const { faultWords } = await import("../../config/words.ts");
  const results: { file: string; faults: readonly unknown[]; warnings?: readonly string[] }[] = [];
  for (const file of files) {
    try {
      const look = { fetch: false, weights: true, absentData: "warn" } as const;
      const warnings = await checkRuns(plannedRuns(file, { set: flags.set }), look);
      results.push({ file, faults: [], warnings });
      if (!flags.json) {
        for (const text of warnings) printWarning(text);
        print(`${file}: OK`);
      }
    } catch (caught) {
      const error = await widened(caught);
      if (!(error instanceof ConfigFaultsError)) throw error;
      results.push({ file, faults: error.faults.map((fault) => ({ ...fault, message: faultWords(fault) })) });
      // what validate was asked for is its result: stdout
      if (!flags.json) print(error.message);
    }
  }
  if (flags.json) printJson(results);
  return results.some((result) => result.faults.length > 0) ? 2 : 0;
}
