/** `rlpt plan`: what a config's run will take, from a probe in a process of its own. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type LoadOptions, loadRecipe, type RecipeStage } from "../config/load.ts";
import { InterruptedError, RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { loadFlags, ownCommand } from "../processes/pool.ts";
import { estimate } from "./estimate.ts";
import type { EngineCosts, Plan } from "./types.ts";

const COSTS = "costs.json";

/** Says what a config's steps cost: a probe on this machine, or a compiler for another. */
export type CostSource = (config: string, options: LoadOptions) => Promise<EngineCosts>;

/** @throws ConfigFaultsError before anything starts, RlptError when the probe fails */
export async function planRun(
  config: string,
  options: LoadOptions = {},
  costsOf: CostSource = probeInChild,
): Promise<Plan> {
  const { stages } = loadRecipe(config, options);
  const costs = await costsOf(config, options);
  return estimate(config, stages, costs, freeDisk(stages[0]!.recipe.run.root));
}

/** In the child: runs the probe and leaves what it found in the folder. */
export async function probeInto(config: string, options: LoadOptions, folder: string): Promise<void> {
  const { stages } = loadRecipe(config, options);
  const { probe } = await import("./probe.ts");
  const costs = await probe(stages as RecipeStage[], join(folder, "run"));
  writeFileAtomic(join(folder, COSTS), JSON.stringify(costs));
}

/** Costs by a probe on this machine. */
export async function probeInChild(config: string, options: LoadOptions): Promise<EngineCosts> {
  const folder = mkdtempSync(join(tmpdir(), "rlpt-plan-"));
  try {
    const args = [...ownCommand(), "plan", config, ...loadFlags(options), "--probe-into", folder];
    const { status, said } = await runChild(args);
    if (status === 130) throw new InterruptedError("stopped: no plan was made");
    if (status !== 0 || !existsSync(join(folder, COSTS))) {
      const killed =
        status === null ? "was killed; there may not be memory enough for its first step" : "failed";
      throw new RlptError(
        `the probe of ${config} ${killed}:\n${said.trimEnd().split("\n").slice(-8).join("\n")}`,
        {
          exitCode: status === 2 ? 2 : 1,
        },
      );
    }
    return JSON.parse(readFileSync(join(folder, COSTS), "utf8")) as EngineCosts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runChild(args: readonly string[]): Promise<{ status: number | null; said: string }> {
  return new Promise((done, reject) => {
    // `ipc` tells the child when we are gone; a terminal's Ctrl-C reaches both
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      // compiling takes time and memory, and later shapes have to be compiled whatever is kept of the first
      env: { ...process.env, RLPT_XLA_RECOMPILE: "1" },
      windowsHide: true,
    });
    let said = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      said += chunk;
    });
    const wait = () => {};
    process.on("SIGINT", wait);
    child.on("error", reject);
    child.on("close", (status) => {
      process.off("SIGINT", wait);
      done({ status, said });
    });
  });
}

/** Bytes free on the disk that a folder, perhaps one still to be made, lies on. */
export function freeDisk(folder: string): number {
  let path = resolve(folder);
  while (!existsSync(path)) path = dirname(path);
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}
