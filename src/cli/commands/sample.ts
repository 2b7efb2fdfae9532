import type { Command } from "commander";
import { colours, print, printNote, visible } from "../../terminal/terminal.ts";
import type { SampleRequest } from "../../training/sample-prompt.ts";
import { collect } from "../flags.ts";

export function register(program: Command): void {
  program
    .command("sample")
    .description("try a model by hand: a prompt in, completions out")
    .argument("<target>", "model directory, .gguf file, Hub id, run directory, checkpoint or config")
    .argument("[prompt]", "what to ask; standard input when absent")
    .option(
      "--image <file>",
      "a picture that the prompt shows, for models that see; again for more. They come first, or with --raw at the prompt's placeholders",
      collect,
      [],
    )
    .option("--system <text>", "system message, for models with a chat template")
    .option("--raw", "feed the prompt as it is, without the chat template")
    .option("-n, --count <n>", "completions", "1")
    .option(
      "--max-new-tokens <n>",
      "token limit of a completion; 128 when absent, less near the end of the context",
    )
    .option("--temperature <t>", "0 is greedy", "1")
    .option("--top-p <p>", "nucleus", "1")
    .option("--stop <text>", "end there; again for more", collect, [])
    .option("--seed <n>", "of the draws", "1")
    .option("--backend <kind>", "tensor engine; the config's or the run's when absent, else auto")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step")
    .action(async (target: string, prompt: string | undefined, flags: SampleRequest) => {
      const { sampleFrom } = await import("../../training/sample-prompt.ts");
      const { promptText, completions } = await sampleFrom(target, prompt, flags, printNote);
      print(colours.dim(visible(promptText)));
      for (const [i, completion] of completions.entries()) {
        if (completions.length > 1) print(colours.bold(`--- ${i + 1}`));
        print(visible(completion.text));
        print(colours.dim(`(${completion.tokens.length} tokens, ended by ${completion.finishReason})`));
      }
    });
}
