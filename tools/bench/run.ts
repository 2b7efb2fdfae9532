/** Runs every engine in a process of its own and puts the results side by side. */
import { runSelf } from "../../src/processes/probe.ts";
import type { EngineName } from "./engines.ts";
import type { Measurement } from "./measure.ts";
import type { BenchShape } from "./shapes.ts";

export type EngineResult =
  | { engine: string; device: string; description: string; measurements: Measurement[] }
  | { engine: string; reason: string };

export interface BenchOptions {
  engines: readonly EngineName[];
  /** Also WebGPU adapters that compute on the CPU. */
  software: boolean;
  shapes: readonly BenchShape[];
  runs: number;
  budgetSeconds: number;
  onProgress(line: string): void;
}

const TIMEOUT_SECONDS = 900;

/** One after the other: they would take each other's cores. */
export async function runBench(options: BenchOptions): Promise<EngineResult[]> {
  const results: EngineResult[] = [];
  for (const engine of options.engines) {
    options.onProgress(`${engine}: ${options.shapes.map(({ name }) => name).join(", ")}`);
    results.push(await runEngine(engine, options));
  }
  return results;
}

async function runEngine(engine: EngineName, options: BenchOptions): Promise<EngineResult> {
  const shapes = options.shapes.map(({ name }) => name).join(",");
  const args = ["bench-engine", engine, "--shapes", shapes, "--runs", String(options.runs)];
  args.push("--budget", String(options.budgetSeconds), ...(options.software ? ["--software"] : []));
  const run = await runSelf(args, { timeoutSeconds: TIMEOUT_SECONDS });
  const answer = run.stdout.split("\n").find((line) => line.startsWith('{"engine"'));
  if (answer !== undefined) return JSON.parse(answer) as EngineResult;
  if (run.timedOut) return { engine, reason: `not done within ${TIMEOUT_SECONDS} s` };
  const said = run.stderr.trim().split("\n")[0] ?? "";
  return { engine, reason: run.signal === null ? said : `crashed (${run.signal}) ${said}`.trim() };
}
