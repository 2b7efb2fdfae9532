import { type Command, Option } from "commander";
import { print, printJson } from "../terminal.ts";
import { collect } from "./validate.ts";

interface PlanFlags {
  set: string[];
  steps?: string;
  seed?: string;
  backend?: string;
  format: "text" | "json";
  probeInto?: string;
}

export function register(program: Command): void {
  program
    .command("plan")
    .description("what a run will take, from a short probe: parameters, memory, time, disk")
    .argument(
      "<config>",
      "YAML file: a recipe, a sweep, or an experiment; or a run, to see how far off its plan was",
    )
    .option("--set <key=value>", "override a key, as in train; again for more", collect, [])
    .option("--steps <n>", "short for --set steps=n")
    .option("--seed <n>", "short for --set seed=n")
    .option("--backend <kind>", "short for --set backend.kind=...")
    .addOption(
      new Option("--format <format>", "text, or json for scripts").choices(["text", "json"]).default("text"),
    )
    .addOption(new Option("--probe-into <dir>").hideHelp())
    .action(async (config: string, flags: PlanFlags) => {
      const { planRun, probeInto } = await import("../plan/plan.ts");
      const options = {
        set: flags.set,
        ...(flags.steps === undefined ? {} : { steps: flags.steps }),
        ...(flags.seed === undefined ? {} : { seed: flags.seed }),
        ...(flags.backend === undefined ? {} : { backend: flags.backend }),
      };
      if (flags.probeInto !== undefined) return probeInto(config, options, flags.probeInto);
      const plan = await planRun(config, options);
      if (flags.format === "json") printJson(plan);
      else print(JSON.stringify(plan, null, 1));
    });
}
