import type { Command } from "commander";
import { print, printJson } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface Flags {
  set: string[];
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("validate")
    .description("say whether configs are right, and everything that is wrong with them; loads nothing")
    .argument("<config...>", "YAML files")
    .option("--set <key=value>", "change one value, as in train; may be repeated", collect, [])
    .option("--json", "machine-readable output")
    .action(async (files: string[], flags: Flags) => {
      process.exitCode = await validate(files, flags);
    });
}

/** @returns exit status: 0 all are right, 2 one is not */
export async function validate(files: readonly string[], flags: Flags): Promise<number> {
  const { loadRecipe } = await import("../../config/load.ts");
  const { isExperiment, loadExperiment } = await import("../../experiments/experiment.ts");
  const { ConfigFaultsError } = await import("../../config/faults.ts");
  const { faultWords } = await import("../../config/words.ts");
  const results: { file: string; faults: readonly unknown[] }[] = [];
  for (const file of files) {
    try {
      if (isExperiment(file)) loadExperiment(file, { set: flags.set });
      else loadRecipe(file, { set: flags.set });
      results.push({ file, faults: [] });
      if (!flags.json) print(`${file}: OK`);
    } catch (error) {
      if (!(error instanceof ConfigFaultsError)) throw error;
      results.push({ file, faults: error.faults.map((fault) => ({ ...fault, message: faultWords(fault) })) });
      // what validate was asked for is its result: stdout
      if (!flags.json) print(error.message);
    }
  }
  if (flags.json) printJson(results);
  return results.some((result) => result.faults.length > 0) ? 2 : 0;
}
