/** Results of benchmarks: shares with errors and intervals, as a table and as the JSON of lm-evaluation-harness. */
import { clopperPearson } from "../lib/statistics.ts";
import type { Benchmark } from "./define.ts";

export interface MetricResult {
  metric: string;
  filter: string;
  right: number;
  value: number;
  /** sqrt(p (1 - p) / (n - 1)), as the harness has it; null for one row. */
  stderr: number | null;
  /** 95%, Clopper-Pearson. */
  low: number;
  high: number;
}

export interface BenchmarkResult {
  benchmark: Benchmark;
  /** Rows of the file, and those that were asked. */
  original: number;
  rows: number;
  /** Rows of the file that cannot be scored here. */
  leftOut: number;
  /** Replies that the token limit cut. */
  cut: number;
  metrics: MetricResult[];
}

export function metricResult(metric: string, filter: string, right: readonly boolean[]): MetricResult {
  const n = right.length;
  const count = right.filter(Boolean).length;
  const value = count / n;
  const { low, high } = clopperPearson(count, n);
  return {
    metric,
    filter,
    right: count,
    value,
    stderr: n < 2 ? null : Math.sqrt((value * (1 - value)) / (n - 1)),
    low,
    high,
  };
}

/** What lm-evaluation-harness writes to results_*.json, as far as it has a meaning here; `..._low` and `..._high` are ours. */
export function harnessJson(
  model: string,
  results: readonly BenchmarkResult[],
  limit: number | null,
): object {
  const byTask = <T>(of: (result: BenchmarkResult) => T): Record<string, T> =>
    Object.fromEntries(results.map((result) => [result.benchmark.name, of(result)]));
  return {
    results: byTask(({ benchmark, metrics }) => ({
      alias: benchmark.name,
      ...Object.fromEntries(
        metrics.flatMap(({ metric, filter, value, stderr, low, high }) => [
          [`${metric},${filter}`, value],
          [`${metric}_stderr,${filter}`, stderr ?? "N/A"],
          [`${metric}_low,${filter}`, low],
          [`${metric}_high,${filter}`, high],
        ]),
      ),
    })),
    configs: byTask(({ benchmark }) => ({
      task: benchmark.name,
      dataset_path: benchmark.source.dataset.hub,
      dataset_name: benchmark.source.dataset.config ?? null,
      test_split: benchmark.source.dataset.split,
      output_type: benchmark.output,
      num_fewshot: benchmark.shots?.count ?? 0,
      ...(benchmark.output === "generate_until"
        ? {
            generation_kwargs: {
              until: benchmark.until,
              max_gen_toks: benchmark.maxTokens,
              do_sample: false,
              temperature: 0,
            },
          }
        : {}),
      metadata: { version: benchmark.version, ...benchmark.source },
    })),
    versions: byTask(({ benchmark }) => benchmark.version),
    "n-shot": byTask(({ benchmark }) => benchmark.shots?.count ?? 0),
    higher_is_better: byTask(({ metrics }) =>
      Object.fromEntries(metrics.map(({ metric }) => [metric, true])),
    ),
    "n-samples": byTask(({ original, rows }) => ({ original, effective: rows })),
    truncated: byTask(({ cut }) => cut),
    left_out: byTask(({ leftOut }) => leftOut),
    config: { model: "rlpt", model_args: `pretrained=${model}`, limit },
  };
}
