import { type Command, Option } from "commander";
import type { NewProject } from "../../project/new-project.ts";
import {
  colours,
  print,
  printJson,
  printWarning,
  table,
  visible,
  visibleLine,
} from "../../terminal/terminal.ts";

interface Flags {
  data: string;
  format?: "jsonl" | "json" | "csv";
  prompt?: string;
  answer?: string;
  model?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("new")
    .description("begin with data of your own: a folder with a config that runs and a reward with cases")
    .argument("<name>", "folder to make; nothing is overwritten")
    .requiredOption("--data <file>", "a row for each problem: CSV with a header, JSON lines, or a JSON array")
    .addOption(
      new Option("--format <format>", "of the data; by the extension when absent").choices([
        "jsonl",
        "json",
        "csv",
      ]),
    )
    .option("--prompt <column>", 'what the policy reads: a column, or several as in "{body} {question}"')
    .option("--answer <column>", "the right answer, which completions are compared with")
    .option("--model <model>", "a folder, a .gguf file or a Hub id; a miniature when absent")
    .option("--json", "machine-readable output")
    .action(async (folder: string, { json, ...flags }: Flags) => {
      const { newProject } = await import("../../project/new-project.ts");
      const made = await newProject({ folder, ...flags });
      if (json) return printJson(made);
      show(folder, flags.data, made);
    });
}

function show(folder: string, data: string, made: NewProject): void {
  const { columns, rows, shown } = made;
  const told = (flag: string) => `; ${flag} says another`;
  print(`${colours.bold(folder)}: written, and ready to run`);
  print(
    table(
      [
        ["config.yaml", `${rows.train} rows of ${data} to train on, ${rows.eval} held out`],
        ["reward.mjs", "1 for the right answer; its cases are made of your first rows"],
        ["prompt", `${columns.prompt.replaceAll("\n", "\\n")} (${columns.why.prompt}${told("--prompt")})`],
        ["answer", `${columns.answer.replaceAll("\n", "\\n")} (${columns.why.answer}${told("--answer")})`],
        ...(columns.slices.length === 0
          ? []
          : [["slices", `${columns.slices.join(", ")} (${columns.why.slices})`]]),
        ["model", made.model],
      ].map((row) => row.map(visibleLine)),
      { indent: 2 },
    ),
  );
  for (const text of made.notes) printWarning(visible(text));
  print(`\n${colours.bold("The first rows, as the policy reads them")}`);
  for (const { text, tokens, answer } of shown) {
    const size = tokens === null ? "" : `${tokens} tokens, `;
    print(colours.dim(`--- ${size}answer ${visible(JSON.stringify(answer))}`));
    print(visible(text));
  }
  const config = quoted(made.config);
  print(`${colours.dim("---")}\n\n${colours.bold("Next")}`);
  print(`  rlpt validate ${config}\n  rlpt train ${config} --smoke\n  rlpt train ${config}`);
}

function quoted(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
