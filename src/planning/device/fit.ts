/**
 * Batches that fit into a limit of memory. Candidates are traced at the largest shapes that the config allows and compiled by
 * the library that will run them; its own figures decide, before anything is loaded.
 */

import { createHash } from "node:crypto";
import { rowsOfUpdate } from "../../algorithms/declaration.ts";
import { algorithmOf } from "../../algorithms/kinds.ts";
import type { Executor } from "../../backend/stablehlo/executor.ts";
import type { RecipeStage } from "../../config/load.ts";
import type { Recipe } from "../../config/schema.ts";
import { RlptError } from "../../lib/errors.ts";
import { expectedWeights } from "../../policy/decoder-weights.ts";
import type { ModelFiles } from "../../policy/interfaces.ts";
import { parseModelConfig } from "../../policy/model-config.ts";
import { largestMicroBatch } from "./plan.ts";
import { type StageTrace, type StepProgram, type TraceOptions, traceStage } from "./trace.ts";

export interface Budget {
  /** For messages: backend.memory_limit as it was given, and what that is. */
  words: string;
  /** Of the process or the card. */
  bytes: number;
}

/** Of the process besides arrays: Node, the libraries, graphs of programs, and compiling them. Measured; decision 0012. */
const PROCESS_BYTES = 1.2e9;
/** Of the limit: arrays lie in memory with gaps. */
const USABLE = 0.9;

/** Sizes that were found; null where the config says them. */
export interface FoundSizes {
  micro_batch_rows: number | null;
  batch_rows: number | null;
  eval_batch_rows: number | null;
}

export interface FittedStage {
  stage: RecipeStage;
  found: FoundSizes;
  /** Most bytes that are expected, gaps among them. */
  peak: number;
  /** What was found, in words; null when nothing was. */
  note: string | null;
}

/**
 * @param executor of the run; it compiles, and runs nothing
 * @throws RlptError where not even one row fits, or a size of the config does not: what takes how much, and what to change
 */
export async function fitStage(
  stage: RecipeStage,
  files: ModelFiles,
  executor: Executor,
  budget: Budget,
): Promise<FittedStage> {
  const fitting = new Fitting(stage, files, executor, budget);
  const found: FoundSizes = {
    micro_batch_rows: await fitting.microBatch(),
    batch_rows: await fitting.generation("generation"),
    eval_batch_rows: await fitting.generation("evaluation"),
  };
  const { recipe } = stage;
  const keys = [
    found.micro_batch_rows === null ? [] : [`algorithm.micro_batch_rows ${found.micro_batch_rows}`],
    found.batch_rows === null ? [] : [`rollout.batch_rows ${found.batch_rows}`],
    found.eval_batch_rows === null ? [] : [`eval.batch_rows ${found.eval_batch_rows}`],
  ].flat();
  const fitted: Recipe = {
    ...recipe,
    algorithm:
      found.micro_batch_rows === null
        ? recipe.algorithm
        : { ...recipe.algorithm, micro_batch_rows: found.micro_batch_rows },
    rollout: found.batch_rows === null ? recipe.rollout : { ...recipe.rollout, batch_rows: found.batch_rows },
    ...(found.eval_batch_rows === null || recipe.eval === undefined
      ? {}
      : { eval: { ...recipe.eval, batch_rows: found.eval_batch_rows } }),
  };
  return {
    stage: { ...stage, recipe: fitted },
    found,
    peak: fitting.peak,
    note:
      keys.length === 0
        ? null
        : `memory limit ${budget.words}: ${keys.join(", ")}; at most ${gigabytes(fitting.peak)} are expected`,
  };
}

/** Peak memory of one kind of program, and of what it consists. */
interface Peak {
  bytes: number;
  /** Held between programs, in all; what the program itself takes; and copies of weights while a checkpoint is written. */
  held: number;
  own: number;
  copies: number;
}

class Fitting {
  /** Of the sizes that were chosen, bytes. */
  peak = 0;
  private readonly stage: RecipeStage;
  private readonly files: ModelFiles;
  private readonly executor: Executor;
  private readonly budget: Budget;
  private readonly known = new Map<string, number>();
  private trace: StageTrace | null = null;

  constructor(stage: RecipeStage, files: ModelFiles, executor: Executor, budget: Budget) {
    this.stage = stage;
    this.files = files;
    this.executor = executor;
    this.budget = budget;
  }

  /** Rows of a backward pass. @returns null where the config says them, and they fit */
  async microBatch(): Promise<number | null> {
    const { recipe } = this.stage;
    const all = rowsOfUpdate(algorithmOf(recipe.algorithm).batch(recipe.algorithm, recipe.rollout));
    const configured = recipe.algorithm.micro_batch_rows;
    const peakOf = async (rows: number) => {
      this.trace = await traceStage({ ...this.stage, recipe: apart(recipe, rows) }, this.files, {
        ...this.options(),
        microBatchRows: rows,
        updatesOnly: true,
        everyRow: true,
      });
      return this.peakOf(this.trace.programs);
    };
    const peaks = new Map<number, Peak>();
    const bytesOf = async (rows: number) => {
      const peak = peaks.get(rows) ?? (await peakOf(rows));
      peaks.set(rows, peak);
      return peak.bytes;
    };
    if (configured !== undefined) {
      const rows = Math.min(configured, all);
      if ((await bytesOf(rows)) > this.budget.bytes)
        throw this.tooLittle(`an update with algorithm.micro_batch_rows ${configured}`, peaks.get(rows)!);
      this.chose(peaks.get(rows)!);
      return null;
    }
    const largest = await largestMicroBatch(all, this.budget.bytes, Math.min(8, all), bytesOf);
    if (largest === null) {
      await bytesOf(1);
      throw this.tooLittle("an update of one row", peaks.get(1)!);
    }
    this.chose(peaks.get(largest)!);
    // as few micro-batches, equally full
    return Math.ceil(all / Math.ceil(all / largest));
  }

  /** Rows that are decoded at once. @returns null where what the config says fits */
  async generation(phase: "generation" | "evaluation"): Promise<number | null> {
    const { recipe } = this.stage;
    const evaluates = recipe.data.eval !== undefined && recipe.eval !== undefined;
    if (phase === "generation" ? !algorithmOf(recipe.algorithm).samples : !evaluates) return null;
    const [group, configured] =
      phase === "generation"
        ? [recipe.rollout.group_size, recipe.rollout.batch_rows]
        : [recipe.eval!.samples, recipe.eval!.batch_rows];
    const step = recipe.rollout.prompts_per_step * recipe.rollout.group_size;
    const most = Math.max(
      1,
      Math.floor(Math.min(configured ?? step, phase === "generation" ? step : Infinity) / group),
    );
    const peaks = new Map<number, Peak>();
    const bytesOf = async (groups: number) => {
      const rows = groups * group;
      const resized =
        phase === "generation"
          ? { ...recipe, rollout: { ...recipe.rollout, batch_rows: rows } }
          : { ...recipe, eval: { ...recipe.eval!, batch_rows: rows, limit: groups } };
      const trace = await traceStage({ ...this.stage, recipe: resized }, this.files, {
        ...this.options(),
        only: phase,
      });
      this.trace ??= trace;
      const peak = this.peakOf(trace.programs);
      peaks.set(groups, peak);
      return peak.bytes;
    };
    const largest = await largestMicroBatch(most, this.budget.bytes, Math.min(4, most), bytesOf);
    if (largest === null) {
      if (!peaks.has(1)) await bytesOf(1);
      const rows = group === 1 ? "one row" : `one prompt's ${group} completions`;
      throw this.tooLittle(`${phase} of ${rows}`, peaks.get(1)!);
    }
    this.chose(peaks.get(largest)!);
    if (largest === most) return null;
    return group * Math.ceil(most / Math.ceil(most / largest));
  }

  private chose({ bytes }: Peak): void {
    this.peak = Math.max(this.peak, bytes);
  }

  private options(): TraceOptions {
    const { platform, devices } = this.executor;
    return { device: "this machine", platform, devices: devices.length };
  }

  private peakOf(programs: readonly StepProgram[]): Peak {
    const largest = { held: 0, own: 0 };
    for (const program of programs) {
      const held = Math.max(...program.runs.map(({ inUse }) => inUse));
      const own = this.ownBytes(program);
      if (held + own > largest.held + largest.own) Object.assign(largest, { held, own });
    }
    const onHost = this.executor.platform === "cpu";
    // a checkpoint reads, turns round and writes one weight after the other
    const copies = onHost ? 3 * this.largestWeight() : 0;
    // a card holds its own part; virtual devices of a processor share its memory
    const shares = onHost ? this.executor.devices.length : 1;
    const arrays = shares * largest.held + Math.max(shares * largest.own, copies);
    return { ...largest, copies, bytes: (arrays + (onHost ? PROCESS_BYTES : 0)) / USABLE };
  }

  private ownBytes({ program }: StepProgram): number {
    const key = createHash("sha256")
      .update(JSON.stringify(program.options))
      .update(program.text)
      .digest("hex");
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const compiled = this.executor.compile(program.text, program.outputs, program.options);
    const { memory } = compiled;
    compiled.free();
    if (memory === null) {
      throw new RlptError(
        `backend.memory_limit = ${this.budget.words}: ${this.executor.name} does not say what programs take. ` +
          "Fix: rlpt backend install xla-cpu, or leave the limit out and set algorithm.micro_batch_rows.",
        { exitCode: 2 },
      );
    }
    const bytes = memory.temporary + memory.generated + Math.max(0, memory.outputs - memory.aliased);
    this.known.set(key, bytes);
    return bytes;
  }

  private largestWeight(): number {
    const config = parseModelConfig(this.files.config, this.files.source);
    const sizes = [...expectedWeights(config).values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    return 4 * Math.max(...sizes);
  }

  private tooLittle(what: string, { bytes, held, own, copies }: Peak): RlptError {
    const { recipe, name } = this.stage;
    const parts = this.trace?.held ?? { weights: 0, moments: 0, reference: 0, critic: 0 };
    const named = Object.entries(parts).filter(([, size]) => size > 0);
    const rest = held - named.reduce((sum, [, size]) => sum + size, 0);
    const list = [
      ...named,
      ...(rest > 0.01 * held ? [["gradients and batches", rest] as const] : []),
      own >= copies
        ? (["the program's own", own] as const)
        : (["copies of weights while a checkpoint is written", copies] as const),
      ...(this.executor.platform === "cpu" ? [["the process itself", PROCESS_BYTES] as const] : []),
    ];
    const takes = list.map(([part, size]) => `${part} ${gigabytes(size)}`).join(", ");
    return new RlptError(
      `backend.memory_limit = ${this.budget.words}: ${what} (stage ${name}) does not fit: it would take ${gigabytes(bytes)}.\n` +
        `That is ${takes}; a tenth is left for gaps.\n` +
        `What takes less: ${lessMemory(recipe).join("; ")}; or raise the limit.`,
      { exitCode: 2 },
    );
  }
}

/** What the config could still do, the most helpful first. */
function lessMemory({ model, rollout, algorithm }: Recipe): string[] {
  const rows =
    algorithm.micro_batch_rows === undefined || algorithm.micro_batch_rows === 1
      ? []
      : ["a smaller algorithm.micro_batch_rows, or none: it is found then"];
  return [
    ...rows,
    ...(model.lora === undefined ? ["model.lora (moments and gradients of adapters only)"] : []),
    ...(model.rematerialise ? [] : ["model.rematerialise: true (one layer's activations at a time)"]),
    ...(!algorithmOf(algorithm).samples ? [] : [`rollout.max_new_tokens below ${rollout.max_new_tokens}`]),
  ];
}

/** The recipe with a prompt for every row: no batch of as many rows is larger, since no prompt is shared. */
function apart(recipe: Recipe, rows: number): Recipe {
  const { algorithm, rollout } = recipe;
  const { samples, measuring } = algorithmOf(algorithm);
  if (!samples) return recipe;
  return {
    ...recipe,
    rollout: {
      ...rollout,
      group_size: 1,
      prompts_per_step: Math.max(rows, rollout.prompts_per_step * rollout.group_size),
    },
    algorithm: measuring.ungrouped(algorithm),
  };
}

/** The limit of a config for this executor. @returns null: none */
export function memoryBudget(limit: string, executor: Executor, machine: number): Budget | null {
  if (limit === "off") return null;
  if (limit !== "auto") return { words: limit, bytes: parseBytes(limit) };
  const card = executor.platform === "cpu" ? null : (executor.memory()?.limit ?? null);
  // what is free changes from run to run, and with it the batches: so it is a share of all there is
  const bytes = card ?? AUTO_SHARE * machine;
  return { words: `auto (${gigabytes(bytes)})`, bytes };
}

/** Of the machine's memory; the rest is for other programs. */
const AUTO_SHARE = 0.8;

/** @param text a number and a unit, as the schema allows it */
export function parseBytes(text: string): number {
  const [, number, unit] = /^([\d.]+)\s*([kmgt]i?b)$/i.exec(text.trim())!;
  const [letter, binary] = [unit![0]!.toLowerCase(), unit!.length === 3];
  return Number(number) * (binary ? 1024 : 1000) ** " kmgt".indexOf(letter);
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
