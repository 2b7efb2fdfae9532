/** A model asked a benchmark's rows: greedy replies, or the log-likelihood of each choice. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Scored, scorePerToken } from "../algorithms/rollout.ts";
import type {
  Benchmark,
  BenchmarkInput,
  BenchmarkRow,
  ChoosingBenchmark,
  GeneratingBenchmark,
} from "../benchmarks/define.ts";
import { benchmarks } from "../benchmarks/kinds.ts";
import { type BenchmarkResult, metricResult } from "../benchmarks/results.ts";
import { datasetFiles } from "../data/file-dataset.ts";
import { openTable, tableFormat } from "../data/tables/open-table.ts";
import { ConfigError, DataError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import type { TrainablePolicy } from "../policy/interfaces.ts";
import { encodePrompt, type PromptIds } from "../rollouts/encode.ts";
import { generate } from "../rollouts/generate.ts";
import type { Prompt, Tokenizer } from "../types.ts";

/** Text of a file whose rows are held in memory; of a larger one they are read again. */
const HELD_BYTES = 256 << 20;

/** The benchmarks of `gsm8k,svamp`. @throws ConfigError for a name that none has */
export function benchmarksNamed(list: string): Benchmark[] {
  const names = list.split(",").map((name) => name.trim());
  return names.map((name) => {
    const found = benchmarks.find((one) => one.name === name);
    if (found !== undefined) return found;
    throw new ConfigError(
      `--benchmark ${name}: there is no such benchmark; known: ${benchmarks.map((one) => one.name).join(", ")}`,
    );
  });
}

export interface BenchmarkData {
  rows: BenchmarkRow[];
  shots: BenchmarkRow[];
}

/**
 * The rows of a benchmark: `<name>.jsonl`, `.parquet`, ... in the folder, else from the Hub.
 * @param folder null is the folder `benchmarks`, and the Hub for what it lacks
 * @throws ConfigError where a folder that was named has no such file, DataError for a row without a column, and where
 *   the Hub's files can't be had
 */
export async function readBenchmark(
  benchmark: Benchmark,
  folder: string | null,
  note: (text: string) => void = () => {},
): Promise<BenchmarkData> {
  const { shots, columns, source } = benchmark;
  const file = benchmark.name.replace(/-cot$/, "");
  const rows = await readRows(benchmark, folder, { file, split: source.dataset.split, columns }, note);
  return { rows, shots: shots === undefined ? [] : await readRows(benchmark, folder, shots, note) };
}

interface Part {
  file: string;
  split: string;
  columns: readonly string[];
}

async function readRows(
  benchmark: Benchmark,
  folder: string | null,
  part: Part,
  note: (text: string) => void,
): Promise<BenchmarkRow[]> {
  const { name } = benchmark;
  const { columns } = part;
  const place = placeOf(benchmark, folder, part);
  if (place.hub !== undefined) note(`${name}: ${place.path}, split ${part.split}`);
  const files = await datasetFiles({ format: undefined, ...place });
  const rows: BenchmarkRow[] = [];
  for (const path of files) {
    // as published: questions that stand there twice are asked twice
    const table = await openTable(path, tableFormat(path), { bytes: HELD_BYTES });
    for (let i = 0; i < table.size; i++) {
      const row = table.row(i);
      const fields = "fields" in row ? row.fields : null;
      const missing = columns.find((column) => fields?.[column] === undefined || fields[column] === null);
      if (fields !== null && missing === undefined) rows.push(fields);
      else
        throw new DataError(
          fields === null
            ? `${path}, row ${i + 1}: ${"fault" in row ? row.fault : "cannot be read"}`
            : `${path}, row ${i + 1}: has no column ${missing}, which ${name} reads; it has ${Object.keys(fields).join(", ")}`,
        );
    }
  }
  if (rows.length === 0) throw new DataError(`${place.path}: holds no row, and ${name} needs some`);
  return rows;
}

/** Where a benchmark's rows are read from. */
function placeOf(
  { name, source }: Benchmark,
  folder: string | null,
  { file, split }: Part,
): { path: string; hub?: { config?: string; split: string; revision: string } } {
  const directory = folder ?? "benchmarks";
  const there = existsSync(directory) ? readdirSync(directory) : [];
  const found = there.filter((one) => one.startsWith(`${file}.`)).sort()[0];
  if (found !== undefined) return { path: join(directory, found) };
  const { hub, config, revision = "main" } = source.dataset;
  if (folder === null)
    return { path: `hf://${hub}`, hub: { ...(config === undefined ? {} : { config }), split, revision } };
  throw new ConfigError(
    `--benchmark-data ${folder}: holds no ${file}.jsonl, .json, .csv or .parquet, which ${name} needs: the split ${split} of ${hub}${config === undefined ? "" : `, config ${config}`} (licence ${source.licence}). Without --benchmark-data it is fetched from the Hub.`,
  );
}

export interface BenchmarkSample {
  doc_id: number;
  doc: BenchmarkRow;
  target: string;
  /** The reply, or the log-likelihood of each choice. */
  resps: string | number[];
  /** By metric and filter. */
  right: Record<string, boolean | readonly boolean[]>;
}

interface Model {
  policy: TrainablePolicy;
  tokenizer: Tokenizer;
}

export interface BenchmarkOptions {
  limit: number | null;
  /** Text goes through the model's chat template too, as a user message. */
  chat: boolean;
  batchRows: number;
  onRows(done: number, total: number): void;
}

/** @throws DataError for a row that the model's context cannot hold, before anything is asked */
export async function runBenchmark(
  benchmark: Benchmark,
  { rows, shots }: BenchmarkData,
  model: Model,
  options: BenchmarkOptions,
): Promise<{ result: BenchmarkResult; samples: BenchmarkSample[] }> {
  const scorable = rows.filter((row) => benchmark.leavesOut?.(row) !== true);
  const asked = scorable.slice(0, options.limit ?? scorable.length);
  const { count = 0, of = () => true } = benchmark.shots ?? {};
  const prompts = asked.map((row, i) =>
    promptOf(
      i,
      benchmark.input(row, shots.filter((shot) => of(shot, row)).slice(0, count)),
      model.tokenizer,
      options.chat,
    ),
  );
  const base = {
    benchmark,
    original: rows.length,
    rows: asked.length,
    leftOut: rows.length - scorable.length,
  };
  if (benchmark.output === "generate_until") {
    const { replies, cut } = await written(benchmark, prompts, model, options);
    const right = await Promise.all(
      benchmark.metrics.map((metric) =>
        Promise.all(replies.map((reply, i) => metric.score(reply, asked[i]!))),
      ),
    );
    const metrics = benchmark.metrics.map(({ name, filter }, m) =>
      metricResult(name, filter, right[m]!.flat()),
    );
    const samples = replies.map((resps, i) => ({
      doc_id: i,
      doc: asked[i]!,
      target: benchmark.gold(asked[i]!),
      resps,
      right: Object.fromEntries(
        benchmark.metrics.map(({ name, filter }, m) => [`${name},${filter}`, right[m]![i]!]),
      ),
    }));
    return { result: { ...base, cut, metrics }, samples };
  }
  const likelihoods = await likelihoodsOf(benchmark, asked, prompts, model, options);
  // the harness's acc_norm: by the length of the choice's text
  const chosen = (of: (sum: number, choice: string) => number) =>
    asked.map((row, i) => {
      const choices = benchmark.choices(row);
      const values = likelihoods[i]!.map((sum, c) => of(sum, choices[c]!));
      return values.indexOf(Math.max(...values)) === benchmark.right(row);
    });
  const [acc, norm] = [chosen((sum) => sum), chosen((sum, choice) => sum / choice.length)];
  const samples = asked.map((doc, i) => ({
    doc_id: i,
    doc,
    target: benchmark.gold(doc),
    resps: likelihoods[i]!,
    right: { "acc,none": acc[i]!, "acc_norm,none": norm[i]! },
  }));
  const metrics = [metricResult("acc", "none", acc), metricResult("acc_norm", "none", norm)];
  return { result: { ...base, cut: 0, metrics }, samples };
}

function promptOf(index: number, input: BenchmarkInput, tokenizer: Tokenizer, chat: boolean): Prompt {
  const rest = { id: `${index}`, answer: "", slices: {}, fields: {} };
  if (typeof input === "string")
    return chat && tokenizer.hasChatTemplate
      ? { ...rest, input: { kind: "chat", messages: [{ role: "user", content: input }] } }
      : { ...rest, input: { kind: "text", text: input } };
  if (tokenizer.hasChatTemplate) return { ...rest, input: { kind: "chat", messages: input } };
  return { ...rest, input: { kind: "text", text: `${input.map(({ content }) => content).join("\n")}\n` } };
}

/** Greedy replies; where the context leaves less room than the benchmark allows, that is the limit. */
async function written(
  { name, until, maxTokens }: GeneratingBenchmark,
  prompts: readonly Prompt[],
  { policy, tokenizer }: Model,
  { batchRows, onRows }: BenchmarkOptions,
): Promise<{ replies: string[]; cut: number }> {
  const { maxPositions } = policy.config;
  const encoded = prompts.map((prompt) => ({
    prompt,
    ...encode(name, prompt, tokenizer, maxPositions - 1),
  }));
  const replies: string[] = [];
  let cut = 0;
  for (let start = 0; start < encoded.length; start += batchRows) {
    const chunk = encoded.slice(start, start + batchRows);
    const longest = Math.max(...chunk.map(({ tokens }) => tokens.length));
    const groups = await generate(
      policy,
      tokenizer,
      chunk,
      {
        temperature: 0,
        top_p: 1,
        top_k: 0,
        min_p: 0,
        stop: until,
        groupSize: 1,
        maxNewTokens: Math.max(1, Math.min(maxTokens, maxPositions - longest)),
        batchRows,
      },
      createRng(0).fork("benchmark"),
    );
    for (const { completions } of groups) {
      const { text, finishReason } = completions[0]!;
      if (finishReason === "length") cut++;
      const end = Math.min(
        ...until.map((stop) => text.indexOf(stop)).map((at) => (at === -1 ? text.length : at)),
      );
      replies.push(text.slice(0, end));
    }
    onRows(replies.length, encoded.length);
  }
  return { replies, cut };
}

function encode(benchmark: string, prompt: Prompt, tokenizer: Tokenizer, most: number): PromptIds {
  try {
    return encodePrompt(tokenizer, prompt, most);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new DataError(`${benchmark}, row ${Number(prompt.id) + 1}: ${error.message}`, { cause: error });
  }
}

/** log p of each choice's text after the input, summed over its tokens, nats. [rows][choices] */
async function likelihoodsOf(
  benchmark: ChoosingBenchmark,
  rows: readonly BenchmarkRow[],
  prompts: readonly Prompt[],
  { policy, tokenizer }: Model,
  { batchRows, onRows }: BenchmarkOptions,
): Promise<number[][]> {
  const { maxPositions } = policy.config;
  const groups = prompts.map((prompt, i): Scored => {
    const { tokens: promptTokens, pictures } = encode(benchmark.name, prompt, tokenizer, maxPositions - 8);
    const completions = benchmark.choices(rows[i]!).map((choice) => {
      // tokens of both together, since the first of the choice may be joined with the last of the input
      const { input } = prompt;
      const ids =
        input.kind === "text"
          ? tokenizer.encode(input.text + choice, { addSpecialTokens: true }).slice(promptTokens.length)
          : tokenizer.encode(choice, { addSpecialTokens: false });
      return { tokens: Int32Array.from(ids) };
    });
    return { promptTokens, pictures, completions };
  });
  const sums: number[][] = [];
  for (const [i, group] of groups.entries()) {
    const [perToken] = await scorePerToken(policy, [group], batchRows, (batch) => {
      return policy.score(batch, { temperature: 1 }).logprobs;
    });
    sums.push(perToken!.map((values) => values.reduce((sum, value) => sum + value, 0)));
    onRows(i + 1, groups.length);
  }
  return sums;
}
