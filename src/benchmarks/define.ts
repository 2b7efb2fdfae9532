/** What a benchmark is, in one declaration: its source, what a model is asked, and how its reply counts. */
import type { ChatMessage } from "../types.ts";

/** A row of the benchmark's file. */
export type BenchmarkRow = Readonly<Record<string, unknown>>;

/** Where prompt, extraction, metric and data were published. */
export interface BenchmarkSource {
  paper: string;
  /** Hub id, its config where it has several, the split, and the revision where main has no files that can be read. */
  dataset: { hub: string; config?: string; split: string; revision?: string };
  licence: string;
  /** Whose prompt, extraction and metric these are. */
  protocol: string;
}

/** What the model reads: text as it is, or messages for its chat template. */
export type BenchmarkInput = string | readonly ChatMessage[];

export interface BenchmarkMetric {
  /** As lm-evaluation-harness calls them. */
  name: string;
  filter: string;
  /** @returns whether the reply counts as right; several where a row asks for several things */
  score(reply: string, row: BenchmarkRow): boolean | readonly boolean[] | Promise<boolean>;
}

interface Common {
  name: string;
  /** In lm-evaluation-harness's tables: the version of its task. */
  version: number;
  source: BenchmarkSource;
  /** Columns that a row must have, as text unless a number or list. */
  columns: readonly string[];
  /** Worked examples before the question: how many, from a file of this name, or the dataset's split. */
  shots?: {
    count: number;
    file: string;
    split: string;
    columns: readonly string[];
    of?(shot: BenchmarkRow, row: BenchmarkRow): boolean;
  };
  /** Rows that cannot be scored here; they are not asked, and counted. */
  leavesOut?(row: BenchmarkRow): boolean;
  input(row: BenchmarkRow, shots: readonly BenchmarkRow[]): BenchmarkInput;
  /** The gold answer, for the file of samples. */
  gold(row: BenchmarkRow): string;
}

/** The model writes, greedily. */
export interface GeneratingBenchmark extends Common {
  output: "generate_until";
  /** Texts that end the reply. */
  until: readonly string[];
  maxTokens: number;
  metrics: readonly BenchmarkMetric[];
}

/** The log-likelihood of each choice after the input decides. */
export interface ChoosingBenchmark extends Common {
  output: "multiple_choice";
  choices(row: BenchmarkRow): readonly string[];
  /** Index of the right one. */
  right(row: BenchmarkRow): number;
}

export type Benchmark = GeneratingBenchmark | ChoosingBenchmark;

export function textOf(row: BenchmarkRow, column: string): string {
  const value = row[column];
  return typeof value === "string" ? value : String(value ?? "");
}
