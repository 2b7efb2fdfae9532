import type { Command } from "commander";
import { print, printJson, printNote } from "../../terminal/terminal.ts";
import { collect, wholeNumber } from "../flags.ts";

interface ReplayFlags {
  step: string;
  set: string[];
  losses?: string;
  rows: string;
  csv?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("replay")
    .description("make one step of a run again, and see what other settings would have changed")
    .argument("<run>", "run directory")
    .requiredOption("--step <n>", "which one, as in metrics.csv")
    .option("--set <key=value>", "learn from the same batch with this setting; again for more", collect, [])
    .option("--losses <names>", "compare policy losses on the step's batch: all, or names as gspo,sapo")
    .option("--rows <n>", "completions in the table", "16")
    .option(
      "--csv <file>",
      "write rewards and advantages of every completion there, or the losses with --losses",
    )
    .option("--json", "machine-readable output")
    .action(async (runDir: string, flags: ReplayFlags) => {
      const { replay } = await import("../../replay/replay.ts");
      const { lossNames } = await import("../../replay/losses.ts");
      const { advantageRecords, lossRecords, renderReplay } = await import("../../replay/render.ts");
      const rows = wholeNumber(flags.rows, "--rows");
      const result = await replay({
        runDir,
        step: wholeNumber(flags.step, "--step", 1),
        set: flags.set,
        ...(flags.losses === undefined ? {} : { losses: lossNames(flags.losses) }),
        note: printNote,
      });
      if (flags.csv !== undefined) {
        const { stringify } = await import("csv-stringify/sync");
        const { writeFileSync } = await import("node:fs");
        const records = result.losses === null ? advantageRecords(result) : lossRecords(result.losses);
        writeFileSync(flags.csv, stringify(records, { header: true }));
      }
      if (flags.json) printJson(result);
      else print(renderReplay(result, rows));
      const { weights, metrics, samples } = result.stored;
      // a replay that gives something else is a failure, whatever was asked of it
      if (weights === false || (metrics ?? []).length > 0 || (samples?.differing ?? 0) > 0)
        process.exitCode = 1;
    });
}
