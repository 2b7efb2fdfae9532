/** `rlpt eval MODEL --benchmark`: files, model, rows, and the table or JSON of the results. */

import { type BenchmarkResult, harnessJson } from "../benchmarks/results.ts";
import { ConfigError } from "../lib/errors.ts";
import { colours, print, printJson, printNote, table, visibleLine } from "../terminal/terminal.ts";
import { wholeNumber } from "./flags.ts";

export interface BenchmarkFlags {
  benchmark: string;
  benchmarkData?: string;
  chatTemplate?: boolean;
  batchRows?: string;
  checkpoint?: string;
  limit?: string;
  backend?: string;
  completions?: string;
  json?: boolean;
  config?: string;
  samples?: string;
  temperature?: string;
  seed?: string;
  csv?: string;
  prompts?: string;
  efficiency?: string;
  set: string[];
}

/** Flags of an evaluation by a recipe: a benchmark has its own prompt, data and greedy decoding. */
const OTHERS = ["config", "samples", "temperature", "seed", "csv", "prompts", "efficiency"] as const;

export async function evaluateBenchmarks(path: string, flags: BenchmarkFlags): Promise<void> {
  const wrong = OTHERS.filter((name) => flags[name] !== undefined).map((name) => `--${name}`);
  if (flags.set.length > 0) wrong.push("--set");
  if (wrong.length > 0)
    throw new ConfigError(
      `--benchmark has its own prompt, data and greedy decoding: remove ${wrong.join(", ")}`,
    );
  const { benchmarksNamed, readBenchmark, runBenchmark } = await import("../training/run-benchmark.ts");
  const limit = flags.limit === undefined ? null : wholeNumber(flags.limit, "--limit", 1);
  const batchRows = wholeNumber(flags.batchRows ?? "16", "--batch-rows", 1);
  const note = (text: string): void => {
    if (!flags.json) printNote(text);
  };

  // every file is read before the model is
  const chosen = benchmarksNamed(flags.benchmark);
  const data = [];
  for (const one of chosen) data.push(await readBenchmark(one, flags.benchmarkData ?? null, note));

  const { openPolicyAsTrained } = await import("../training/open-policy.ts");
  const { files, policy } = await openPolicyAsTrained(flags.backend, path, flags.checkpoint, note);
  const results: BenchmarkResult[] = [];
  const lines: string[] = [];
  for (const [i, one] of chosen.entries()) {
    const { result, samples } = await runBenchmark(
      one,
      data[i]!,
      { policy, tokenizer: files.tokenizer },
      {
        limit,
        chat: flags.chatTemplate === true,
        batchRows,
        onRows: (done, total) => {
          if (done === total || done % (16 * batchRows) === 0) note(`${one.name}: ${done} of ${total} rows`);
        },
      },
    );
    results.push(result);
    lines.push(...samples.map((sample) => JSON.stringify({ task: one.name, ...sample })));
  }
  policy.dispose();
  if (flags.completions !== undefined) {
    const { writeFileAtomic } = await import("../lib/files.ts");
    writeFileAtomic(flags.completions, `${lines.join("\n")}\n`);
  }
  if (flags.json) printJson(harnessJson(path, results, limit));
  else print(render(path, results));
}

function render(path: string, results: readonly BenchmarkResult[]): string {
  const percent = (value: number) => `${(100 * value).toFixed(1)}%`;
  const body = results.flatMap(({ benchmark, rows, cut, metrics }) =>
    metrics.map(({ metric, filter, value, stderr, low, high }, i) => [
      i === 0 ? benchmark.name : "",
      i === 0 ? String(benchmark.version) : "",
      filter,
      String(benchmark.shots?.count ?? 0),
      metric,
      percent(value),
      stderr === null ? "" : percent(stderr),
      `${percent(low)} .. ${percent(high)}`,
      String(rows),
      benchmark.output === "generate_until" ? percent(cut / rows) : "",
    ]),
  );
  const header = [
    "task",
    "version",
    "filter",
    "n-shot",
    "metric",
    "value",
    "stderr",
    "95% interval",
    "rows",
    "cut",
  ];
  const leftOut = results
    .filter((result) => result.leftOut > 0)
    .map(({ benchmark, leftOut, original }) =>
      colours.yellow(
        `${benchmark.name}: ${leftOut} of ${original} rows are left out, which cannot be scored here`,
      ),
    );
  const sources = results.map(({ benchmark: { name, source } }) =>
    colours.dim(
      `${name}: ${source.protocol}; ${source.paper}; data ${source.dataset.hub}, ${source.licence}`,
    ),
  );
  return `${colours.bold(visibleLine(path))}\n${table(body, { header })}\n${[...leftOut, ...sources].join("\n")}`;
}
