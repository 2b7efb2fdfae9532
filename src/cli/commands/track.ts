import { type Command, Option } from "commander";
import { type TrackerName, trackerNames } from "../../run/tracker-names.ts";
import { colours, print, printJson, visibleLine } from "../../terminal/terminal.ts";
import type { RunEnd } from "../../trackers/service.ts";

export function register(program: Command): void {
  program
    .command("track")
    .description("show a run in a tracker: all that its files hold, but for what the tracker has already")
    .argument("<run>", "run directory; one that is still being written too")
    .addOption(new Option("--to <tracker>", "which one").choices([...trackerNames]).default("tensorboard"))
    .option("--json", "machine-readable output")
    .action(async (run: string, flags: { to: TrackerName; json?: boolean }) => {
      const { steps, look } = await track(run, flags.to);
      if (flags.json) printJson({ run, tracker: flags.to, steps, look });
      else print(`${visibleLine(run)}: ${steps} steps are in ${flags.to}\n${colours.dim(visibleLine(look))}`);
    });
}

async function track(run: string, name: TrackerName): Promise<{ steps: number; look: string }> {
  const { serviceFor, trackers } = await import("../../trackers/kinds.ts");
  const { readRecipe } = await import("../../run/run-directory.ts");
  // before anything is written: it may be no run
  readRecipe(run);
  const tracker = trackers[name];
  if (tracker.kind === "files") {
    const { tellRun } = await import("../../trackers/follow-run.ts");
    const { beganAt } = await import("../../trackers/run-rows.ts");
    const told = tracker.open(run, beganAt(run));
    const steps = tellRun(run, told);
    await told.close("finished");
    return { steps, look: tracker.look(run) };
  }
  const { createSender, sendPatiently } = await import("../../trackers/sender.ts");
  const { trackedRun } = await import("../../trackers/tracked-run.ts");
  const service = serviceFor(tracker, name, trackedRun(run));
  const sender = createSender(service, run);
  await sendPatiently(sender, await endOf(run));
  return { steps: sender.steps, look: service.address() };
}

/** Null: a process writes it, and will say so itself. */
async function endOf(run: string): Promise<RunEnd | null> {
  const { lockState } = await import("../../run/lock.ts");
  if (lockState(run) === "held") return null;
  const { join } = await import("node:path");
  const { loadRecipe } = await import("../../config/load.ts");
  const { latestCheckpoint } = await import("../../run/checkpoint.ts");
  const { isFinished } = await import("../../run/finished.ts");
  const newest = await latestCheckpoint(run);
  if (newest === null) return "interrupted";
  const { stages } = loadRecipe(join(run, "recipe.yaml"));
  return isFinished(
    newest.state,
    stages.map(({ recipe }) => recipe.steps),
  )
    ? "finished"
    : "interrupted";
}
