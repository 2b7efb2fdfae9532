import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { print, printNote } from "../../terminal/terminal.ts";

interface LabelFlags {
  endpoint: string;
  model: string;
  out: string;
  prompt: string;
  system: string;
  history: string;
  column: string;
  keyVariable: string;
  concurrency: string;
  retries: string;
  timeout: string;
}

export function register(program: Command): void {
  program
    .command("label")
    .description(
      "which prompts need thought (AdaCoT): asks a model behind an OpenAI-compatible endpoint, row by row",
    )
    .argument("<data>", "JSON lines, an object each")
    .requiredOption("--endpoint <url>", "base URL, such as http://localhost:8000/v1")
    .requiredOption("--model <name>", "model to ask")
    .requiredOption("--out <file>", "the rows with their labels; an unfinished one is continued")
    .option("--prompt <column>", "column of the last user turn", "prompt")
    .option("--system <column>", "column of the system message, where there is one", "system")
    .option("--history <column>", "column of the earlier turns, where there is one", "history")
    .option("--column <name>", "column that is written: true or false", "needs_thinking")
    .option("--key-variable <name>", "environment variable with the endpoint's key", "OPENAI_API_KEY")
    .option("--concurrency <n>", "requests at a time", "8")
    .option("--retries <n>", "further tries of a request that failed, at growing intervals", "5")
    .option("--timeout <seconds>", "longest wait for one answer", "120")
    .action(async (data: string, flags: LabelFlags) => {
      const { labelFile } = await import("../../selection/label.ts");
      if (!/^https?:\/\//.test(flags.endpoint))
        throw new ConfigError(`--endpoint ${flags.endpoint}: use a URL that starts with http:// or https://`);
      const apiKey = process.env[flags.keyVariable];
      const { rows, kept, repeated, needs } = await labelFile({
        input: data,
        output: flags.out,
        endpoint: flags.endpoint,
        model: flags.model,
        promptColumn: flags.prompt,
        systemColumn: flags.system,
        historyColumn: flags.history,
        labelColumn: flags.column,
        ...(apiKey === undefined || apiKey === "" ? {} : { apiKey }),
        concurrency: count("--concurrency", flags.concurrency, 1),
        retries: count("--retries", flags.retries, 0),
        retryMs: 500,
        timeoutMs: 1000 * count("--timeout", flags.timeout, 1),
        note: printNote,
      });
      const share = ((100 * needs) / rows).toFixed(1);
      print(
        `${flags.out}: ${rows} rows, ${needs} need thought (${share}%); ${kept} were there, ${repeated} repeat another`,
      );
    });
}

function count(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new ConfigError(`${flag} ${text}: use a whole number >= ${least}`);
}
