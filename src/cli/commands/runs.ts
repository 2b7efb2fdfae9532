import type { Command } from "commander";
import {
  colours,
  formatBytes,
  formatSeconds,
  print,
  printJson,
  table,
  visibleLine,
} from "../../terminal/terminal.ts";

export function register(program: Command): void {
  const runs = program.command("runs").description("the runs of a folder: list and remove them");
  runs
    .command("ls", { isDefault: true })
    .description("name, status, recipe, model, seed, steps, last and best evaluation, age and size")
    .argument("[root]", "folder of run directories", "runs")
    .option("--json", "machine-readable output")
    .action(async (root: string, flags: { json?: boolean }) => {
      const { describeRuns } = await import("../../report/run-list.ts");
      const found = describeRuns(root, new Date());
      if (flags.json) return printJson(found);
      if (found.length === 0) return print(`${root} holds no runs`);
      const body = found.map((run) => [
        visibleLine(run.name),
        run.fault === null ? run.status : `${run.status}: ${visibleLine(run.fault)}`,
        visibleLine(run.recipe),
        visibleLine(run.model),
        visibleLine(run.seed),
        String(run.steps),
        run.accuracy === null ? "" : `${(run.accuracy * 100).toFixed(1)}%`,
        run.best === null ? "" : best(run.best),
        age(run.age_s),
        formatBytes(run.bytes),
      ]);
      print(
        table(body, {
          header: ["run", "status", "recipe", "model", "seed", "steps", "accuracy", "best", "age", "size"],
          align: ["left", "left", "left", "left", "right", "right", "right", "right", "right", "right"],
        }),
      );
    });
  runs
    .command("rm")
    .description("remove run directories, checkpoints and all")
    .argument("<run...>", "run directories")
    .option("--yes", "do not ask")
    .action(async (paths: string[], flags: { yes?: boolean }) => {
      const { checkRemovable, removeRuns } = await import("../../report/run-list.ts");
      const found = checkRemovable(paths);
      for (const { path, bytes } of found) print(`${path}  ${formatBytes(bytes)}`);
      if (flags.yes !== true) {
        const { confirm } = await import("../../terminal/confirm.ts");
        if (!(await confirm(`remove ${found.length === 1 ? "this run" : `these ${found.length} runs`}?`))) {
          return print("nothing was removed");
        }
      }
      removeRuns(paths);
      print(colours.dim(`removed ${found.length}`));
    });
}

/** "98.3% at 40"; with its name where it is not accuracy. */
function best({ metric, value, step }: { metric: string; value: number; step: number }): string {
  const shown = metric === "accuracy" ? `${(100 * value).toFixed(1)}%` : `${metric} ${value.toPrecision(3)}`;
  return `${shown} at ${step}`;
}

function age(seconds: number): string {
  if (seconds < 3600) return formatSeconds(Math.max(1, seconds)).replace(/ \d+ s$/, "");
  return seconds < 48 * 3600 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
}
