import { type Command, Option } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { print, printNote } from "../../terminal/terminal.ts";

interface ExportFlags {
  checkpoint?: string;
  format?: string;
  type?: string;
  dtype?: string;
  out?: string;
}

export function register(program: Command): void {
  program
    .command("export")
    .description("write a model as a Hugging Face directory or a GGUF file; a LoRA adapter is merged")
    .argument("<target>", "run directory, checkpoint, config, model directory, .gguf file or Hub id")
    .argument("[destination]", "short for --out")
    .option("--out <path>", "where to: a directory that is new or empty, or a new .gguf file")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step", "latest")
    .option("--format <format>", "hugging-face or gguf; by the destination's name when absent")
    .option(
      "--type <type>",
      "f32, bf16 or f16; for GGUF also q8_0 and q4_0. Default: f32 for a directory, f16 for GGUF",
    )
    .addOption(new Option("--dtype <type>", "the same as --type").hideHelp())
    .action(async (target: string, short: string | undefined, { dtype, out, ...flags }: ExportFlags) => {
      const destination = out ?? short;
      if (destination === undefined || (out !== undefined && short !== undefined)) {
        throw new ConfigError(
          "rlpt export needs one place to write to: rlpt export runs/mine --out exported",
        );
      }
      const { exportModel } = await import("../../training/export-model.ts");
      const type = flags.type ?? dtype;
      const request = { ...flags, ...(type === undefined ? {} : { type }) };
      const written = await exportModel(target, destination, request, printNote);
      print(`${written.parameters.toLocaleString("en")} parameters as ${written.type} in ${destination}`);
    });
}
