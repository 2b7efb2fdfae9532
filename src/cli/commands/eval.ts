import type { Command } from "commander";
import type { Evaluation } from "../../algorithms/evaluate.ts";
import { colours, print, printJson, printNote, table } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface EvalFlags {
  set: string[];
  config?: string;
  checkpoint?: string;
  samples?: string;
  temperature?: string;
  limit?: string;
  seed?: string;
  backend?: string;
  csv?: string;
  prompts?: string;
  completions?: string;
  efficiency?: string;
  benchmark?: string;
  benchmarkData?: string;
  chatTemplate?: boolean;
  batchRows?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("eval")
    .description("accuracy, pass@k, maj@k, tokens and thinking rate, by slice, with 95% intervals")
    .argument("<target>", "run directory, checkpoint, config, or (with --config) a model")
    .option("--config <file>", "recipe whose data and rewards a bare model is evaluated with")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step", "latest")
    .option("--samples <k>", "completions per prompt; short for --set eval.samples=k")
    .option("--temperature <t>", "0 is greedy; short for --set eval.temperature=t")
    .option("--limit <n>", "at most n prompts; short for --set eval.limit=n")
    .option("--seed <n>", "short for --set seed=n")
    .option("--backend <kind>", "short for --set backend.kind=...")
    .option("--set <key=value>", "override a key; again for more", collect, [])
    .option("--csv <file>", "also write the table there, in the columns of eval.csv")
    .option("--prompts <file>", "also write what each prompt got, in the columns of eval-prompts.csv")
    .option("--completions <file>", "also write every completion there, as JSON lines")
    .option(
      "--efficiency <standard,direct>",
      "two evaluations of the base model (--csv), with the standard prompt and made to answer directly: adds AutoThink's E-F1",
    )
    .option(
      "--benchmark <names>",
      "instead of a recipe's data: gsm8k, math500, svamp, asdiv, mmlu-pro, mmlu-pro-cot, ifeval; several by commas",
    )
    .option(
      "--benchmark-data <dir>",
      "folder with the benchmarks' files, <name>.jsonl or .parquet; without it benchmarks/, then the Hub",
    )
    .option("--chat-template", "with --benchmark: plain prompts go through the model's chat template too")
    .option("--batch-rows <n>", "with --benchmark: rows at once", "16")
    .option("--json", "machine-readable output")
    .action(async (path: string, flags: EvalFlags) => {
      if (flags.benchmark !== undefined) {
        const { evaluateBenchmarks } = await import("../benchmarks.ts");
        return evaluateBenchmarks(path, { ...flags, benchmark: flags.benchmark });
      }
      const { evaluateTarget } = await import("../../training/evaluate-target.ts");
      const { efficiencyF1, parseEfficiency } = await import("../../report/efficiency.ts");
      // before anything is evaluated: its files may be wrong
      const reference = flags.efficiency === undefined ? null : parseEfficiency(flags.efficiency);
      const short = (["samples", "temperature", "limit"] as const).flatMap((key) =>
        flags[key] === undefined ? [] : [`eval.${key}=${flags[key]}`],
      );
      const { target, evaluation } = await evaluateTarget(
        path,
        {
          ...(flags.config === undefined ? {} : { config: flags.config }),
          which: flags.checkpoint ?? "latest",
          set: [...flags.set, ...short],
          ...(flags.seed === undefined ? {} : { seed: flags.seed }),
          ...(flags.backend === undefined ? {} : { backend: flags.backend }),
        },
        { csv: flags.csv ?? null, prompts: flags.prompts ?? null, completions: flags.completions ?? null },
        (text) => {
          if (!flags.json) printNote(text);
        },
      );
      const all = evaluation.rows[0]!;
      const at = { accuracy: Number(all.accuracy), tokens: Number(all.tokens_mean) };
      const score = reference === null ? null : efficiencyF1(at, reference);
      if (flags.json) {
        printJson({
          target: target.name,
          rows: evaluation.rows,
          ...(score === null ? {} : { efficiency_f1: score }),
        });
      } else {
        print(render(target.name, evaluation));
        if (score !== null) print(`E-F1 ${(100 * score).toFixed(1)}%: accuracy gained, tokens saved`);
      }
    });
}

function render(name: string, { rows }: Evaluation): string {
  const percent = (value: unknown) => (typeof value === "number" ? `${(100 * value).toFixed(1)}%` : "-");
  const k = Number(rows[0]!.k);
  const contradicts = typeof rows[0]!.contradiction === "number";
  const head = [
    "slice",
    "prompts",
    k > 1 ? `avg@${k}` : "accuracy",
    "95% interval",
    ...(k > 1 ? [`pass@${k}`, `maj@${k}`] : []),
    "tokens",
    "thinking",
    ...(contradicts ? ["contradicting"] : []),
    "cut",
    "unparsed",
  ];
  const body = rows.map((row) => [
    row.slice,
    String(row.prompts),
    percent(row.accuracy),
    `${percent(row.accuracy_low)} .. ${percent(row.accuracy_high)}`,
    ...(k > 1 ? [percent(row.pass_at_k), percent(row.maj_at_k)] : []),
    Number(row.tokens_mean).toFixed(1),
    percent(row.thinking),
    ...(contradicts ? [percent(row.contradiction)] : []),
    percent(row.truncated),
    percent(row.unparsed),
  ]);
  const legend = contradicts
    ? `\n${colours.dim("contradicting: the thought speaks for another candidate than the answer names, of those that can be compared;")}\n${colours.dim(`then the thought is right in ${percent(rows[0]!.contradiction_thought)}, the answer in ${percent(rows[0]!.contradiction_answer)}`)}`
    : "";
  return `${colours.bold(`${name} on ${rows[0]!.dataset}`)}\n${table(body, { header: head })}${legend}`;
}
