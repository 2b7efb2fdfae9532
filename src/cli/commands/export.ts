import type { Command } from "commander";
import { print, printNote } from "../../terminal/terminal.ts";

export function register(program: Command): void {
  program
    .command("export")
    .description("write a checkpoint as a Hugging Face directory; a LoRA adapter is merged")
    .argument("<target>", "run directory, checkpoint or config")
    .argument("<directory>", "where to; must be new or empty")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step", "latest")
    .option("--dtype <type>", "F32, BF16 or F16", "F32")
    .action(async (target: string, directory: string, flags: { checkpoint: string; dtype: string }) => {
      const { exportModel } = await import("../../training/export-model.ts");
      const written = await exportModel(target, directory, flags, printNote);
      print(`${written.parameters.toLocaleString("en")} parameters as ${flags.dtype} in ${directory}`);
    });
}
