import { type Command, Option } from "commander";
import type { LoadOptions } from "../../config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { print, printJson, printNote } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface PlanFlags {
  set: string[];
  steps?: string;
  seed?: string;
  backend?: string;
  format: "text" | "json";
  sweep?: boolean;
  device?: string;
  devices?: string;
  search: boolean;
  probeInto?: string;
}

export function register(program: Command): void {
  program
    .command("plan")
    .description("what a run will take, from a short probe: parameters, memory, time, disk")
    .argument("<config>", "recipe or experiment, a YAML file; or a run directory: how far off its plan was")
    .option("--set <key=value>", "override a key, as in train; again for more", collect, [])
    .option("--steps <n>", "short for --set steps=n")
    .option("--seed <n>", "short for --set seed=n")
    .option("--backend <kind>", "short for --set backend.kind=...")
    .addOption(
      new Option("--format <format>", "text, or json for scripts").choices(["text", "json"]).default("text"),
    )
    .option("--sweep", "plan all trials of the config's sweep section, not one run")
    .option(
      "--device <card>",
      "for a card that is not here, by compiling for it: h100, h200, a100, l4, rtx4090 (needs rlpt backend install cuda13)",
    )
    .option("--devices <n>", "with --device: that many cards of one machine, which share each batch")
    .option("--no-search", "with --device: do not look for the largest micro-batch that fits")
    .addOption(new Option("--probe-into <dir>").hideHelp())
    .action(async (target: string, flags: PlanFlags) => {
      const options = {
        set: flags.set,
        ...(flags.steps === undefined ? {} : { steps: flags.steps }),
        ...(flags.seed === undefined ? {} : { seed: flags.seed }),
        ...(flags.backend === undefined ? {} : { backend: flags.backend }),
      };
      const json = flags.format === "json";
      if (flags.probeInto !== undefined) {
        const { probeInto } = await import("../../planning/plan.ts");
        return probeInto(target, options, flags.probeInto);
      }
      if (flags.device !== undefined) {
        await lookAt(target, options);
        const { planForDevice } = await import("../../planning/device/plan.ts");
        const { renderDevicePlan } = await import("../../planning/device/render.ts");
        const plan = await planForDevice(target, flags.device, options, {
          search: flags.search,
          devices: cardCount(flags.devices),
          note: printNote,
        });
        return json ? printJson(plan) : print(renderDevicePlan(plan));
      }
      if (flags.devices !== undefined) {
        throw new ConfigError("--devices is for a card that is not here. Fix: add --device h100.");
      }
      const { isRunDirectory } = await import("../../run/run-directory.ts");
      if (isRunDirectory(target)) return showAccuracy(target, json);
      await lookAt(target, options);
      const { isExperiment } = await import("../../experiments/experiment.ts");
      const { planExperiment, planSweep } = await import("../../planning/batch.ts");
      const { renderBatch, renderPlan } = await import("../../planning/render.ts");
      const batch = { note: printNote };
      if (isExperiment(target)) {
        const plan = await planExperiment(target, flags.set, batch);
        return json ? printJson(plan) : print(renderBatch(plan));
      }
      if (flags.sweep) {
        const plan = await planSweep(target, options, batch);
        return json ? printJson(plan) : print(renderBatch(plan));
      }
      const { planRun } = await import("../../planning/plan.ts");
      const plan = await planRun(target, options);
      if (json) printJson(plan);
      else print(renderPlan(plan));
    });
}

/** Says what is to be known of the files. @throws ConfigFaultsError with all that is wrong with them */
async function lookAt(target: string, options: LoadOptions & { set: readonly string[] }): Promise<void> {
  const { checkRuns } = await import("../check-files.ts");
  const { plannedRuns } = await import("../planned-runs.ts");
  const runs = plannedRuns(target, options);
  for (const text of await checkRuns(runs, { fetch: true, weights: true })) printNote(text);
}

function cardCount(given = "1"): number {
  const count = Number(given);
  if (Number.isInteger(count) && count >= 1 && count <= 64) return count;
  throw new ConfigError(`--devices ${given}: use a number of cards from 1 to 64.`);
}

async function showAccuracy(runDir: string, json: boolean): Promise<void> {
  const { planAccuracy } = await import("../../report/plan-accuracy.ts");
  const rows = planAccuracy(runDir);
  if (rows === null)
    throw new ConfigError(`${runDir}: has no usage.json: it wrote no checkpoint yet, or is older`);
  if (json) return printJson(rows);
  const { accuracyTable } = await import("../../planning/render.ts");
  print(accuracyTable(rows));
  if (rows.every(({ planned }) => planned === null))
    printNote("no plan was made; rlpt train --plan makes one");
}
