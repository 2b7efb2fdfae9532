/** What a run would take of a card that is not here: its programs, compiled for the card. */

import { createHash } from "node:crypto";
import { rowsOfUpdate } from "../../algorithms/declaration.ts";
import { algorithmOf } from "../../algorithms/kinds.ts";
import { type AheadProgram, compileAhead } from "../../backend/xla/pjrt/ahead.ts";
import type { Collective } from "../../backend/xla/pjrt/collectives.ts";
import { type FoundPlugin, findPlugins } from "../../backend/xla/pjrt/find.ts";
import { rooflineSeconds, totalCost } from "../../backend/xla/pjrt/hlo-cost.ts";
import { cardRates, type GpuTarget, gpuTarget } from "../../backend/xla/pjrt/targets.ts";
import { type LoadOptions, loadRecipe, type RecipeStage } from "../../config/load.ts";
import type { Recipe } from "../../config/schema.ts";
import { BackendError } from "../../lib/errors.ts";
import type { ModelFiles } from "../../policy/interfaces.ts";
import * as parts from "../../training/assemble.ts";
import type { Phase } from "./phases.ts";
import { type StageTrace, type StepProgram, type TraceOptions, traceStage } from "./trace.ts";

export interface DeviceProgram {
  phase: Phase;
  /** Runs in a step; 0 in evaluations, which are no part of one. */
  runs: number;
  /** Turns of the loop that decodes, in the longest run; 1 elsewhere. */
  turns: number;
  /** Bytes on one card: as the compiler reports them. */
  arguments_bytes: number;
  outputs_bytes: number;
  temporary_bytes: number;
  /** All that is on the card while it runs: what the run holds, its new results, temporary memory and code. */
  peak_bytes: number;
  /** Of all its runs in a step (of one run, in an evaluation). */
  flops: number;
  bytes: number;
  kernels: number;
  /** What the cards exchange: instructions by kind, with the bytes of their results on each card, as above; empty on one card. */
  collectives: { kind: Collective["kind"]; runs: number; bytes: number; in_loop: boolean }[];
  /** Estimate from the card's peak rates: no run can be faster. */
  roofline_s: number;
  compile_s: number;
}

export interface DeviceStage {
  stage: string;
  algorithm: Recipe["algorithm"]["kind"];
  steps: number;
  /** Tokens of the longest prompt; supervised training: of its target too. */
  longest_prompt: number;
  parameters: number;
  trainable: number;
  weights_bytes: number;
  moments_bytes: number;
  reference_bytes: number;
  critic_bytes: number;
  programs: DeviceProgram[];
  peak_bytes: number;
  /** Rows of a micro-batch: as configured (null: all at once), the most an update can have, and the most that fit (null: not one). */
  micro_batch_rows: { configured: number | null; all: number; searched: boolean; largest: number | null };
  /** Estimate: the sum over a step's programs. */
  roofline_step_s: number;
}

export interface DevicePlan {
  version: 1;
  config: string;
  device: string;
  card: string;
  /** Cards of one machine that share each batch. */
  devices: number;
  basis: "compiled";
  memory_bytes: number;
  peak_bytes: number;
  fits: boolean;
  stages: DeviceStage[];
  /** Programs that were compiled, and the seconds that took. */
  compiled: number;
  compile_s: number;
}

export interface DevicePlanOptions {
  /** A CUDA plugin with its compiler's tools; the one that is found when absent. */
  plugin?: FoundPlugin;
  /** Cards of one machine that share each batch; default 1. */
  devices?: number;
  /** Looks for the largest micro-batch; default true. */
  search?: boolean;
  note?: (text: string) => void;
}

/** @throws BackendError when the card is not known or nothing here compiles for it */
export async function planForDevice(
  config: string,
  device: string,
  load: LoadOptions,
  options: DevicePlanOptions = {},
): Promise<DevicePlan> {
  const target = gpuTarget(device);
  const plugin = options.plugin ?? compilingPlugin();
  const { stages } = loadRecipe(config, load);
  const note = options.note ?? (() => {});
  const files = await parts.openRecipeModel(stages[0]!.recipe, note, { weights: false });
  try {
    const devices = options.devices ?? 1;
    const compiler = new Compiler(plugin, target, note, devices);
    const planned: DeviceStage[] = [];
    for (const stage of stages) planned.push(await planStage(stage, files, compiler, options.search ?? true));
    const peak = Math.max(...planned.map(({ peak_bytes }) => peak_bytes));
    return {
      version: 1,
      config,
      device: device.toLowerCase(),
      card: target.description,
      devices,
      basis: "compiled",
      memory_bytes: target.memory,
      peak_bytes: peak,
      fits: peak <= target.memory,
      stages: planned,
      compiled: compiler.compiled,
      compile_s: compiler.seconds,
    };
  } finally {
    files.weights.close();
  }
}

/** @throws BackendError that says what to install */
export function compilingPlugin(): FoundPlugin {
  const plugin = findPlugins().find(({ platform, cudaTools }) => platform === "cuda" && cudaTools !== null);
  if (plugin !== undefined) return plugin;
  throw new BackendError(
    "nothing here compiles for NVIDIA's cards: there is no CUDA plugin with ptxas and libdevice. Fix: rlpt backend install cuda13 (the card itself is not needed).",
  );
}

/** Compiles each program once. */
export class Compiler {
  readonly target: GpuTarget;
  /** Cards that each program is cut for. */
  readonly devices: number;
  compiled = 0;
  seconds = 0;
  private readonly plugin: FoundPlugin;
  private readonly note: (text: string) => void;
  private readonly known = new Map<string, AheadProgram>();

  constructor(plugin: FoundPlugin, target: GpuTarget, note: (text: string) => void = () => {}, devices = 1) {
    this.devices = devices;
    this.plugin = plugin;
    this.target = target;
    this.note = note;
  }

  compile({ program, phase }: StepProgram): AheadProgram {
    const donate = program.options.donate ?? [];
    const key = createHash("sha256").update(`${donate}|`).update(program.text).digest("hex");
    let compiled = this.known.get(key);
    if (compiled === undefined) {
      this.note(`compiling ${phase} for ${this.target.description}`);
      compiled = compileAhead(program.text, {
        plugin: this.plugin,
        target: this.target,
        cards: this.devices,
        donate,
      });
      this.known.set(key, compiled);
      this.compiled++;
      this.seconds += compiled.compileSeconds;
    }
    return compiled;
  }
}

async function planStage(
  stage: RecipeStage,
  files: ModelFiles,
  compiler: Compiler,
  search: boolean,
): Promise<DeviceStage> {
  const { recipe } = stage;
  const device = compiler.target.description;
  const { devices } = compiler;
  const trace = await traceStage(stage, files, { device, devices });
  const programs = trace.programs.map((program) => describe(program, compiler));
  const peak = Math.max(...programs.map(({ peak_bytes }) => peak_bytes));
  const all = rowsOfUpdate(algorithmOf(recipe.algorithm).batch(recipe.algorithm, recipe.rollout));
  const configured = recipe.algorithm.micro_batch_rows ?? null;
  const largest = search
    ? await largestMicroBatch(all, compiler.target.memory, Math.min(configured ?? all, all), (rows) =>
        updatePeak(stage, files, compiler, { device, devices, microBatchRows: rows, updatesOnly: true }),
      )
    : null;
  const { held, longest } = trace;
  return {
    stage: stage.name,
    algorithm: recipe.algorithm.kind,
    steps: recipe.steps,
    longest_prompt: longest.prompt + longest.target,
    parameters: trace.parameters,
    trainable: trace.trainable,
    weights_bytes: held.weights,
    moments_bytes: held.moments,
    reference_bytes: held.reference,
    critic_bytes: held.critic,
    programs,
    peak_bytes: peak,
    micro_batch_rows: { configured, all, searched: search, largest },
    roofline_step_s: programs.reduce((sum, { runs, roofline_s }) => sum + (runs > 0 ? roofline_s : 0), 0),
  };
}

/** What a program takes, of one run or of its runs in a step. */
function describe(program: StepProgram, compiler: Compiler): DeviceProgram {
  const compiled = compiler.compile(program);
  const { runs, times, phase } = program;
  const memory = compiled.memory ?? { arguments: 0, outputs: 0, aliased: 0, temporary: 0, generated: 0 };
  const rates = cardRates(compiler.target);
  const held = Math.max(...runs.map(({ inUse }) => inUse));
  const scale = times === 0 ? 1 : times;
  const cost = { flops: 0, bytes: 0, kernels: 0 };
  let seconds = 0;
  const collectives = new Map<string, DeviceProgram["collectives"][number]>();
  for (const { turns } of runs) {
    for (const { kind, bytes, times, open } of compiled.collectives(turns)) {
      const key = `${kind} ${open}`;
      const before = collectives.get(key) ?? { kind, runs: 0, bytes: 0, in_loop: open };
      collectives.set(key, {
        ...before,
        runs: before.runs + scale * times,
        bytes: before.bytes + scale * times * bytes,
      });
    }
    const kernels = compiled.kernels(turns);
    const own = totalCost(kernels);
    cost.flops += scale * own.flops;
    cost.bytes += scale * own.bytes;
    cost.kernels += scale * own.kernels;
    seconds += scale * rooflineSeconds(kernels, rates);
  }
  return {
    phase,
    runs: Math.round(times * runs.length),
    turns: Math.max(...runs.map(({ turns }) => turns)),
    arguments_bytes: memory.arguments,
    outputs_bytes: memory.outputs - memory.aliased,
    temporary_bytes: memory.temporary,
    peak_bytes: held + memory.outputs - memory.aliased + memory.temporary + memory.generated,
    ...cost,
    collectives: [...collectives.values()],
    roofline_s: seconds,
    compile_s: compiled.compileSeconds,
  };
}

async function updatePeak(
  stage: RecipeStage,
  files: ModelFiles,
  compiler: Compiler,
  options: TraceOptions,
): Promise<number> {
  const trace: StageTrace = await traceStage(stage, files, options);
  return Math.max(...trace.programs.map((program) => describe(program, compiler).peak_bytes));
}

/**
 * The largest number of rows whose update fits. Memory grows linearly in rows, so two numbers say where to look, and what
 * is found is compiled too.
 * @param all the most there can be
 * @param start where to look first
 * @param peakOf rows
 * @returns null where one row does not fit
 */
export async function largestMicroBatch(
  all: number,
  memory: number,
  start: number,
  peakOf: (rows: number) => Promise<number>,
): Promise<number | null> {
  const seen = new Map<number, number>();
  const fits = async (rows: number) => {
    const peak = seen.get(rows) ?? (await peakOf(rows));
    seen.set(rows, peak);
    return peak <= memory;
  };
  if (await fits(all)) return all;
  // rows that fit, and the fewest known not to
  let low = 0;
  let high = all;
  let guess = Math.min(start, Math.max(1, Math.floor(all / 2)));
  while (high - low > 1 && seen.size < MOST_TRIALS) {
    if (await fits(guess)) low = guess;
    else high = guess;
    guess = interpolate(seen, memory, low, high);
  }
  return low === 0 ? null : low;
}

/** Compilations that a search may take. */
const MOST_TRIALS = 8;

/** Where a line through the two nearest points reaches the memory, strictly between low and high. */
function interpolate(seen: ReadonlyMap<number, number>, memory: number, low: number, high: number): number {
  const points = [...seen].sort(([, a], [, b]) => Math.abs(a - memory) - Math.abs(b - memory)) as [
    number,
    number,
  ][];
  const [[x0, y0], [x1, y1]] = points as [[number, number], [number, number]];
  const found = y1 === y0 ? (low + high) / 2 : x0 + ((memory - y0) * (x1 - x0)) / (y1 - y0);
  return Math.min(high - 1, Math.max(low + 1, Math.floor(found)));
}
