/** Runs every engine in a process of its own and puts the results side by side. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../lib/version.ts";
import { runSelf } from "../probe.ts";
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
  for (const script of peerScripts()) {
    options.onProgress(`peer ${script.name}`);
    results.push(await runPeer(script, options));
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

interface Peer {
  name: string;
  path: string;
}

/**
 * Other programs on the same shapes: Python scripts in tools/peers. Each gets the shapes and options as one JSON
 * argument and prints one line, an EngineResult in JSON; without what it needs it prints { engine, reason }.
 */
function peerScripts(): Peer[] {
  const folder = join(packageRoot(), "tools", "peers");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".py"))
    .sort()
    .map((name) => ({ name: name.slice(0, -3), path: join(folder, name) }));
}

function runPeer(peer: Peer, options: BenchOptions): Promise<EngineResult> {
  const { shapes, runs, budgetSeconds } = options;
  return new Promise((resolve) => {
    const python = process.env["RLPT_PYTHON"] ?? "python3";
    const child = spawn(python, [peer.path, JSON.stringify({ shapes, runs, budgetSeconds })], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_SECONDS * 1000,
    });
    let output = "";
    let errors = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk;
    });
    child.on("error", (error) => resolve({ engine: peer.name, reason: error.message }));
    child.on("close", () => {
      const answer = output.split("\n").find((line) => line.startsWith('{"engine"'));
      if (answer !== undefined) resolve(JSON.parse(answer) as EngineResult);
      else resolve({ engine: peer.name, reason: errors.trim().split("\n").at(-1) || "it printed no result" });
    });
  });
}
