import type { Command } from "commander";
import type { Experiment } from "../../experiments/experiment.ts";
import type { PipelineResult } from "../../experiments/pipeline.ts";
import { ConfigError } from "../../lib/errors.ts";
import { colours, print, printJson, printNote, table } from "../../terminal/terminal.ts";
import { collect, concurrency, formerName, type ManyRunsFlags, seedList } from "../flags.ts";

export function register(program: Command): void {
  program
    .command("pipeline")
    .description(
      "run an experiment: arms x seeds, some on data that others selected; what is done is not run again",
    )
    .argument("<file>", "experiment, such as configs/experiments/limr.yaml")
    .option("--seeds <list>", "instead of the file's, such as 1,2,3,4,5")
    .option("--jobs <n>", "runs at once; one per core by default")
    .option("--out <dir>", "results go to <dir>/<experiment>/; runs when absent")
    .addOption(formerName("--root"))
    .option("--set <key=value>", "override a key in every arm; again for more", collect, [])
    .option("--dry-run", "list the runs, then stop")
    .option("--json", "machine-readable output")
    .action(async (file: string, flags: ManyRunsFlags) => {
      const { loadExperiment } = await import("../../experiments/experiment.ts");
      const seeds = seedList(flags.seeds);
      const experiment = loadExperiment(await experimentFile(file), {
        ...(seeds === undefined ? {} : { seeds }),
        set: flags.set,
      });
      if (flags.dryRun) {
        print(
          table(
            experiment.runs.map((run) => [run.id, plan(run), run.set.join(" ")]),
            { header: ["run", "data", "set"] },
          ),
        );
        return;
      }
      const { checkBefore } = await import("../check-files.ts");
      const { config, runs } = experiment;
      await checkBefore(printNote)(runs.map(({ set, seed }) => ({ config, options: { set, seed } })));
      const { runExperiment } = await import("../../experiments/pipeline.ts");
      const { withChildren } = await import("../children.ts");
      const result = await withChildren(flags.json === true, async (shown) =>
        runExperiment(experiment, {
          root: flags.out ?? flags.root ?? "runs",
          concurrency: await concurrency(flags.jobs),
          ...shown,
        }),
      );
      if (flags.json) printJson(result);
      else print(render(experiment, result));
    });
}

/** A recipe's own experiment lies in experiments/ beside it, under the same name. */
async function experimentFile(file: string): Promise<string> {
  const { existsSync } = await import("node:fs");
  const { basename, dirname, join } = await import("node:path");
  const { isExperiment } = await import("../../experiments/experiment.ts");
  if (!existsSync(file) || isExperiment(file)) return file;
  const beside = join(dirname(file), "experiments", basename(file));
  if (existsSync(beside)) {
    printNote(`${file} is a recipe; its experiment is ${beside}`);
    return beside;
  }
  throw new ConfigError(
    `${file}: is no experiment (it has no key experiment), and there is no ${beside}; rlpt train runs a recipe`,
  );
}

function plan({ select }: Experiment["runs"][number]): string {
  if (select === null) return "the config's";
  return `${select.random ? "random, as many as" : "selected,"} ${JSON.stringify(select.top ?? select.threshold ?? select.count)} of ${select.from}`;
}

function render({ options }: Experiment, { directory, results, comparisons }: PipelineResult): string {
  const digits = (value: number) => value.toFixed(3);
  const rows = Object.entries(options.arms).map(([arm, { draws }]) => {
    const cells = options.seeds.map((seed) => {
      const values = results.filter((one) => one.arm === arm && one.seed === seed).map(({ value }) => value);
      const average = values.reduce((sum, value) => sum + value, 0) / values.length;
      return draws === 1 ? digits(average) : `${digits(average)} (${values.map(digits).join(" ")})`;
    });
    return [arm, ...cells];
  });
  const lines = [table(rows, { header: [options.metric, ...options.seeds.map((seed) => `seed ${seed}`)] })];
  for (const { first, second, differences, interval } of comparisons) {
    const range = Number.isFinite(interval.low)
      ? ` [${digits(interval.low)}, ${digits(interval.high)}]`
      : " (one seed: no interval)";
    lines.push(
      `${colours.bold(`${first} - ${second}`)} ${digits(interval.mean)}${range}  by seed ${differences.map(digits).join(" ")}`,
    );
  }
  lines.push(`intervals: 95%, Student's t over seeds`, `${colours.bold("results")} ${directory}`);
  return lines.join("\n");
}
