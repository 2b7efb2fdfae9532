import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { colours, print } from "../../terminal/terminal.ts";

interface ReportFlags {
  out?: string;
  format?: string;
  efficiency?: string;
}

const FORMATS = ["html", "md", "csv"] as const;
type Format = (typeof FORMATS)[number];

export function register(program: Command): void {
  program
    .command("report")
    .description("plots, tables and completions of runs in one file that opens anywhere")
    .argument(
      "<run...>",
      "run directories, folders of runs, and what rlpt sweep, pipeline, reproduce and select-data wrote",
    )
    .option(
      "--out <file>",
      "where to write; report.html in the run, or in this folder for several; - is stdout",
    )
    .option("--format <format>", "html, md or csv; by the name of --out when absent")
    .option(
      "--efficiency <standard,direct>",
      "two evaluations of the base model (rlpt eval --csv), with the standard prompt and made to answer directly: adds AutoThink's E-F1",
    )
    .action(async (runs: string[], flags: ReportFlags) => {
      const format = chooseFormat(flags);
      const { writeReport } = await import("../../report/write-report.ts");
      const { path, text } = await writeReport(runs, format, flags.out, flags.efficiency ?? null);
      if (path === null) process.stdout.write(text);
      else print(`${colours.bold("report")} ${path}`);
    });
}

function chooseFormat({ format, out }: ReportFlags): Format {
  const wanted = format ?? FORMATS.find((one) => out?.endsWith(`.${one}`)) ?? "html";
  const found = FORMATS.find((one) => one === wanted);
  if (found === undefined) throw new ConfigError(`--format ${wanted}: use ${FORMATS.join(", ")}`);
  return found;
}
