import { type Command, Option } from "commander";
import { type TrackerName, trackerNames } from "../../run/tracker-names.ts";
import { colours, print, printJson, visibleLine } from "../../terminal/terminal.ts";

export function register(program: Command): void {
  program
    .command("track")
    .description("show a run in a tracker: all that its files hold, but for what the tracker has already")
    .argument("<run>", "run directory; one that is still being written too")
    .addOption(new Option("--to <tracker>", "which one").choices([...trackerNames]).default("tensorboard"))
    .option("--json", "machine-readable output")
    .action(async (run: string, flags: { to: TrackerName; json?: boolean }) => {
      const { trackers } = await import("../../trackers/kinds.ts");
      const { tellRun } = await import("../../trackers/follow-run.ts");
      const { beganAt } = await import("../../trackers/run-rows.ts");
      const { readRecipe } = await import("../../run/run-directory.ts");
      // before anything is written: it may be no run
      readRecipe(run);
      const tracker = trackers[flags.to].open(run, beganAt(run));
      const steps = tellRun(run, tracker);
      tracker.close();
      const look = trackers[flags.to].look(run);
      if (flags.json) printJson({ run, tracker: flags.to, steps, look });
      else print(`${visibleLine(run)}: ${steps} steps are in ${flags.to}\n${colours.dim(visibleLine(look))}`);
    });
}
