import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { print, printNote } from "../../terminal/terminal.ts";

interface Flags {
  checkpoint: string;
  dtype: string;
  out?: string;
}

export function register(program: Command): void {
  program
    .command("export")
    .description("write a checkpoint as a Hugging Face directory; a LoRA adapter is merged")
    .argument("<target>", "run directory, checkpoint or config")
    .argument("[directory]", "short for --out")
    .option("--out <dir>", "where to; must be new or empty")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step", "latest")
    .option("--dtype <type>", "F32, BF16 or F16", "F32")
    .action(async (target: string, short: string | undefined, flags: Flags) => {
      const directory = flags.out ?? short;
      if (directory === undefined || (flags.out !== undefined && short !== undefined)) {
        throw new ConfigError(
          "rlpt export needs one folder to write to: rlpt export runs/mine --out exported",
        );
      }
      const { exportModel } = await import("../../training/export-model.ts");
      const written = await exportModel(target, directory, flags, printNote);
      print(`${written.parameters.toLocaleString("en")} parameters as ${flags.dtype} in ${directory}`);
    });
}
