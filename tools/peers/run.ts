/** Both sides of every case in turns, each run in a process of its own, and what came out side by side. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/lib/errors.ts";
import { packageRoot } from "../../src/lib/version.ts";
import { openModel, saveModel } from "../../src/policy/files/model-directory.ts";
import type { NamedTensor, WeightSource } from "../../src/policy/interfaces.ts";
import { withoutOneHeap } from "../../src/processes/one-heap.ts";
import { runSelf } from "../../src/processes/probe.ts";
import { encodePrompt } from "../../src/rollouts/encode.ts";
import type { Tokenizer } from "../../src/types.ts";
import { median } from "../bench/measure.ts";
import {
  limCurves,
  type PeerCase,
  type PeerPrecision,
  type PeerResult,
  type PeerTask,
  PRODUCT_SIDE,
  promptTexts,
} from "./tasks.ts";
import { picturePrompt, writeVisionModel } from "./vision-model.ts";
import { type StepWork, stepWork } from "./work.ts";

export interface PeerOptions {
  cases: readonly PeerCase[];
  /** Processes of each side and case. */
  rounds: number;
  threads: number;
  precision: PeerPrecision;
  /** Our side times its programs too. */
  profile?: boolean;
  /** Of both sides, in each process; the case's own number when absent. */
  runs?: number;
  microBatchRows?: number;
  /** --set backend.kind and backend.library of our side. */
  backend: { kind: string; library?: string };
  /** Directory or GGUF file of SmolLM2-135M-Instruct. */
  smollm2: string | undefined;
  /** JSONL file with answers in LaTeX. */
  answers: string | undefined;
  /** The other side's Python; null leaves it out. */
  python: string | null;
  onProgress(line: string): void;
}

export interface Spread {
  median: number;
  least: number;
  most: number;
  count: number;
}

export interface SideSummary {
  engine: string;
  description: string;
  /** Seconds by part. */
  seconds: Record<string, Spread>;
  firstSeconds: number;
  compileSeconds: number;
  peakBytes: number;
  /** On a GPU; null where everything is on the CPU. */
  deviceBytes: number | null;
  peakFlops: number | null;
  profile: PeerResult["profile"] | null;
  check: number | null;
}

export interface CaseSummary {
  name: string;
  label: string;
  own: SideSummary | { reason: string };
  peer: SideSummary | { reason: string } | null;
  /** How many times as fast as the other side ours is, by the medians of whole runs. */
  faster: number | null;
  /** Our peak memory as a share of the other side's: the GPU's where both use one. */
  memory: number | null;
  /** What a run computes; null for cases without a model. */
  work: StepWork | null;
}

const TIMEOUT_SECONDS = 1800;

export async function runPeers(options: PeerOptions): Promise<CaseSummary[]> {
  const folder = mkdtempSync(join(tmpdir(), "rlpt-peers-"));
  try {
    const models = new Map<string, Promise<Model | string>>();
    const summaries: CaseSummary[] = [];
    for (const one of options.cases) {
      const task = await taskOf(one, options, folder, models);
      summaries.push(
        typeof task === "string"
          ? {
              name: one.name,
              label: one.label,
              own: { reason: task },
              peer: null,
              faster: null,
              memory: null,
              work: null,
            }
          : await runCase(task, options, folder),
      );
    }
    return summaries;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sides take turns, so that a machine that slows down slows both. */
async function runCase(task: PeerTask, options: PeerOptions, folder: string): Promise<CaseSummary> {
  const file = join(folder, `${task.name}.json`);
  writeFileSync(file, JSON.stringify(task));
  const peerFile = join(folder, `${task.name}-peer.json`);
  const more =
    task.kind === "lim" ? { curves: limCurves() } : task.kind === "product" ? { side: PRODUCT_SIDE } : {};
  writeFileSync(peerFile, JSON.stringify({ ...task, ...more }));
  const own: (PeerResult | string)[] = [];
  const peer: (PeerResult | string)[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    options.onProgress(`${task.name}, round ${round} of ${options.rounds}: rlpt`);
    own.push(await runOwn(file, options));
    if (options.python === null) continue;
    options.onProgress(`${task.name}, round ${round} of ${options.rounds}: ${options.python}`);
    peer.push(await runPython(options.python, peerFile, options.threads));
  }
  const summary = summarise(own, task);
  const other = options.python === null ? null : summarise(peer, task);
  const both = "seconds" in summary && other !== null && "seconds" in other;
  return {
    name: task.name,
    label: task.label,
    own: summary,
    peer: other,
    faster: both ? other.seconds["whole"]!.median / summary.seconds["whole"]!.median : null,
    memory: both ? memoryOf(summary, other) / memoryOf(other, summary) : null,
    work: task.model === null || task.model === "smolvlm" ? null : stepWork(task),
  };
}

/** Comparable with the other side's. */
function memoryOf(side: SideSummary, other: SideSummary): number {
  return side.deviceBytes !== null && other.deviceBytes !== null ? side.deviceBytes : side.peakBytes;
}

/** All timed runs of a side together. */
export function summarise(
  results: readonly (PeerResult | string)[],
  task: Pick<PeerTask, "promptTokens">,
): SideSummary | { reason: string } {
  const reason = results.find((result) => typeof result === "string");
  if (reason !== undefined) return { reason };
  const done = results as readonly PeerResult[];
  const other = done.find(({ promptTokens }) => promptTokens !== task.promptTokens);
  if (other !== undefined) {
    return { reason: `its prompts have ${other.promptTokens} tokens, the case says ${task.promptTokens}` };
  }
  const parts = Object.keys(done[0]!.seconds);
  return {
    engine: done[0]!.engine,
    description: done[0]!.description,
    seconds: Object.fromEntries(
      parts.map((part) => [part, spreadOf(done.flatMap(({ seconds }) => seconds[part]!))]),
    ),
    firstSeconds: median(done.map(({ firstSeconds }) => firstSeconds)),
    compileSeconds: median(done.map(({ compileSeconds }) => compileSeconds)),
    peakBytes: Math.max(...done.map(({ peakBytes }) => peakBytes)),
    deviceBytes: done.some(({ deviceBytes }) => deviceBytes === null)
      ? null
      : Math.max(...done.map(({ deviceBytes }) => deviceBytes!)),
    peakFlops: done[0]!.peakFlops ?? null,
    profile: done[0]!.profile ?? null,
    check: done[0]!.check,
  };
}

function spreadOf(values: readonly number[]): Spread {
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    count: values.length,
  };
}

interface Model {
  directory: string;
  tokenizer: Tokenizer;
}

/** @returns why it cannot run, where it cannot */
async function taskOf(
  one: PeerCase,
  options: PeerOptions,
  folder: string,
  models: Map<string, Promise<Model | string>>,
): Promise<PeerTask | string> {
  const runs = options.runs ?? one.runs;
  const microBatchRows = one.microBatchRows === null ? null : (options.microBatchRows ?? one.microBatchRows);
  const { threads, precision } = options;
  const task: PeerTask = {
    ...one,
    runs,
    microBatchRows,
    threads,
    precision,
    profile: options.profile ?? false,
    directory: "",
    texts: [],
    pairs: [],
  };
  if (one.kind === "grade") {
    if (options.answers === undefined) return "it needs --answers, a JSONL file with answers in LaTeX";
    return { ...task, pairs: answerPairs(options.answers) };
  }
  if (one.model === null) return task;
  if (!models.has(one.model)) models.set(one.model, prepareModel(one.model, options, folder));
  const model = await models.get(one.model)!;
  if (typeof model === "string") return model;
  const { tokenizer } = model;
  const shown = (text: string) =>
    encodePrompt(tokenizer, picturePrompt(text, "any"), Number.POSITIVE_INFINITY, "size").tokens;
  const encode = one.model === "smolvlm" ? shown : undefined;
  const texts = promptTexts(tokenizer, one.prompts * (runs + 1), one.promptTokens, encode);
  return { ...task, directory: model.directory, texts };
}

/** Weights in float32 as Hugging Face files, which both sides read. */
async function prepareModel(
  name: "lab" | "smollm2" | "smolvlm",
  options: PeerOptions,
  folder: string,
): Promise<Model | string> {
  const source = name === "lab" ? join(packageRoot(), "models", "lab-small") : options.smollm2;
  if (source === undefined) {
    return "it needs --smollm2, a directory or GGUF file of SmolLM2-135M-Instruct";
  }
  const files = await openModel(source);
  if (name === "smolvlm") {
    const directory = join(folder, name);
    writeVisionModel(directory, files);
    files.weights.close();
    return { directory, tokenizer: (await openModel(directory)).tokenizer };
  }
  const { names, dtype } = files.weights;
  if (statSync(source).isDirectory() && names.every((weight) => dtype(weight) === "F32")) {
    files.weights.close();
    return { directory: source, tokenizer: files.tokenizer };
  }
  const directory = join(folder, name);
  mkdirSync(directory);
  saveModel(directory, {
    config: files.config,
    generationConfig: files.generationConfig,
    tokenizerFiles: files.tokenizerFiles,
    weights: allWeights(files.weights),
    dtype: "F32",
  });
  files.weights.close();
  return { directory, tokenizer: files.tokenizer };
}

function* allWeights(weights: WeightSource): Generator<NamedTensor> {
  for (const name of weights.names) yield { name, shape: weights.shape(name), data: weights.read(name) };
}

/** 10,000 pairs: every other answer is the gold one, the rest are other problems' answers. */
export function answerPairs(path: string): [string, string][] {
  if (!existsSync(path)) throw new ConfigError(`--answers ${path}: there is no such file.`);
  const answers = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => String((JSON.parse(line) as { answer?: unknown }).answer ?? ""));
  if (answers.length < 2 || answers.includes("")) {
    throw new ConfigError(`--answers ${path}: every line needs a key answer with a text that is not empty.`);
  }
  return Array.from({ length: 10_000 }, (_, i) => {
    const pair = Math.floor(i / 2);
    const gold = answers[pair % answers.length]!;
    const away = 1 + (Math.floor(pair / answers.length) % (answers.length - 1));
    return [gold, i % 2 === 0 ? gold : answers[(pair + away) % answers.length]!];
  });
}

async function runOwn(file: string, { backend }: PeerOptions): Promise<PeerResult | string> {
  const args = ["bench-task", file, "--backend", backend.kind];
  if (backend.library !== undefined) args.push("--library", backend.library);
  const run = await runSelf(args, { timeoutSeconds: TIMEOUT_SECONDS });
  return answerOf(run.stdout, run.stderr, run.timedOut);
}

function answerOf(stdout: string, stderr: string, timedOut: boolean): PeerResult | string {
  const answer = stdout.split("\n").findLast((line) => line.startsWith('{"engine"'));
  if (answer !== undefined) return JSON.parse(answer) as PeerResult;
  if (timedOut) return `not done within ${TIMEOUT_SECONDS} s`;
  return stderr.trim().split("\n").at(-1) || "it printed no result";
}

function runPython(python: string, file: string, threads: number): Promise<PeerResult | string> {
  return new Promise((resolve) => {
    const child = spawn(python, [join(packageRoot(), "tools", "peers", "side.py"), file], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...withoutOneHeap(process.env),
        OMP_NUM_THREADS: String(threads),
        MKL_NUM_THREADS: String(threads),
      },
    });
    let output = "";
    let errors = "";
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, TIMEOUT_SECONDS * 1000);
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk;
    });
    child.on("error", (error) => resolve(error.message));
    child.on("close", () => {
      clearTimeout(timer);
      resolve(answerOf(output, errors, timedOut));
    });
  });
}
