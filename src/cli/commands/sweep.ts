import type { Command } from "commander";
import type { ComparedRow } from "../../report/sweep-table.ts";
import { colours, print, printJson, printNote, table } from "../../terminal/terminal.ts";
import { collect, wholeNumber } from "../flags.ts";

interface SweepFlags {
  set: string[];
  backend?: string;
  concurrency?: string;
  out?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("sweep")
    .description(
      "run the trials of a config's sweep section side by side; resumable; writes their Pareto front",
    )
    .argument("<config>", "YAML file with a sweep section")
    .option("--set <key=value>", "override a key in every trial; again for more", collect, [])
    .option("--backend <kind>", "short for --set backend.kind=...")
    .option("--concurrency <n>", "trials at a time; the config's, else one for each core")
    .option("--out <dir>", "folder of the trials and pareto.csv; the same folder again goes on")
    .option("--json", "machine-readable output")
    .action(async (config: string, flags: SweepFlags) => {
      const { sweep } = await import("../../experiments/sweep.ts");
      const { checkBefore } = await import("../check-files.ts");
      const { withChildren } = await import("../children.ts");
      const request = {
        config,
        check: checkBefore(printNote),
        set: flags.set,
        ...(flags.backend === undefined ? {} : { backend: flags.backend }),
        ...(flags.concurrency === undefined
          ? {}
          : { concurrency: wholeNumber(flags.concurrency, "--concurrency", 1) }),
        ...(flags.out === undefined ? {} : { out: flags.out }),
      };
      const { out, rows } = await withChildren(flags.json === true, (shown) =>
        sweep({ ...request, ...shown }),
      );
      if (flags.json) printJson({ out, rows });
      else print(`${render(rows)}\n${colours.bold("table")} ${out}/pareto.csv`);
    });
}

function render(rows: readonly ComparedRow[]): string {
  const share = (value: number | null) => (value === null ? "-" : value.toFixed(3));
  const head = ["point", "seed", "score", "thinking", "tokens", "precision", "recall", "F1", "front"];
  const body = [...rows]
    .sort((a, b) => String(a.seed).localeCompare(String(b.seed)) || b.trigger - a.trigger)
    .map((row) => [
      row.when === "start" ? `${row.point} (start)` : row.point,
      String(row.seed),
      share(row.score),
      share(row.trigger),
      row.tokens.toFixed(1),
      share(row.precision),
      share(row.recall),
      share(row.f1),
      row.dominated ? "" : "*",
    ]);
  const areas = [...new Map(rows.map(({ seed, hypervolume }) => [seed, hypervolume]))];
  const lines = areas.map(([seed, area]) => `hypervolume, seed ${seed}: ${area.toFixed(4)}`);
  return [table(body, { header: head }), ...lines].join("\n");
}
