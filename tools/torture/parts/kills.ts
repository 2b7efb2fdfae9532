/** Runs that are ended at any moment, by any signal, or lose whoever reads them; then they are taken up to their end. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/lib/version.ts";
import { type Draw, drawFrom } from "../draw.ts";
import type { Case, Outcome, Part } from "../part.ts";
import { checkpointFiles, lostCheckpoint, runDifference } from "./same-run.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const STEPS = 40;
/** Of one run, before it may end. */
const KILLS = 5;
const LONGEST_MS = 120_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The program that is killed; another one where a fault is planted. */
export interface Program {
  file: string;
}

function start({ file }: Program, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [file, "train", ...args], { stdio: ["ignore", "pipe", "pipe"] });
}

interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
  said: string;
  hung: boolean;
}

function ended(child: ChildProcess): Promise<End> {
  let said = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (text: Buffer) => {
      said = (said + text.toString()).slice(-3000);
    });
    stream.on("error", () => {});
  }
  return new Promise((resolve) => {
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      child.kill("SIGKILL");
    }, LONGEST_MS);
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, said, hung });
    });
  });
}

const WAYS = ["SIGKILL", "SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "twice", "stdout", "stderr"] as const;
type Way = (typeof WAYS)[number];

function end(child: ChildProcess, way: Way): void {
  if (way === "stdout") child.stdout!.destroy();
  else if (way === "stderr") child.stderr!.destroy();
  else if (way === "twice") {
    child.kill("SIGINT");
    child.kill("SIGTERM");
  } else child.kill(way);
}

/** What its end may look like. Before it listens, a signal ends it as it ends any process. */
function endFault(way: Way, { code, signal, said, hung }: End): string | null {
  if (hung) return `${way}: it goes on for ${LONGEST_MS / 1000} s`;
  if (/^\s+at .+:\d+:\d+\)?$/m.test(said)) return `${way}: a stack: ${said}`;
  if (way === "stdout" || way === "stderr")
    return code === 0 ? null : `${way} closed: it ends with ${signal ?? code}: ${said}`;
  if (code === 0) return null;
  if (way === "SIGKILL")
    return signal === "SIGKILL" ? null : `SIGKILL: it ends with ${signal ?? code}: ${said}`;
  const allowed = ["SIGTERM", "SIGHUP", "SIGINT"];
  return code === 130 || allowed.includes(signal ?? "")
    ? null
    : `${way}: it ends with ${signal ?? code}: ${said}`;
}

const steps = (run: string): number =>
  Math.max(0, ...[...checkpointFiles(run).keys()].map(Number).filter(Number.isInteger));

/** Waits for a moment: any after the start, or around the next checkpoint. */
async function moment(draw: Draw, child: ChildProcess, run: string): Promise<void> {
  const over = () => child.exitCode !== null || child.signalCode !== null;
  if (draw.chance(0.3)) return void (await pause(draw.below(1500)));
  const target = steps(run) + 1 + draw.below(4);
  const last = performance.now() + LONGEST_MS / 2;
  while (!over() && steps(run) < target && performance.now() < last) await pause(5);
  await pause(draw.below(60));
}

async function tryOne({ rng, folder }: Case, shared: string, program: Program): Promise<Outcome> {
  const draw = drawFrom(rng);
  const run = join(folder, "run");
  const done: string[] = [];
  const fault = (text: string): Outcome => ({
    kind: "fault",
    tried: done.join(", "),
    count: done.length,
    fault: text,
  });
  for (;;) {
    const begun = existsSync(join(run, "recipe.yaml"));
    const child = start(program, begun ? ["--resume", run] : [join(shared, "run.yaml"), "--run-dir", run]);
    const end1 = ended(child);
    if (done.length >= KILLS) {
      const { code, signal, said } = await end1;
      if (code !== 0) return fault(`the resume after them ends with ${signal ?? code}: ${said}`);
      break;
    }
    const way = draw.one(WAYS);
    await moment(draw, child, run);
    const before = checkpointFiles(run);
    end(child, way);
    done.push(`${way} at step ${steps(run)}`);
    const wrong = endFault(way, await end1);
    if (wrong !== null) return fault(wrong);
    const whole = new Map([...before].filter(([, files]) => files.has("manifest.json")));
    const lost = lostCheckpoint(whole, run);
    if (lost !== null) return fault(`checkpoint ${lost} was lost`);
  }
  const difference = runDifference(run, join(shared, "calm"), STEPS);
  if (difference !== null) return fault(difference);
  return { kind: "same", tried: done.join(", "), count: done.length };
}

export const openKills = (program: Program) => async (shared: string) => (one: Case) =>
  tryOne(one, shared, program);

export const kills: Part = {
  name: "kills",
  tries: "kills",
  full: 100,
  perCase: KILLS,
  waits: true,
  async prepare(shared) {
    mkdirSync(shared, { recursive: true });
    writeFileSync(join(shared, "run.yaml"), tinyRecipe(STEPS));
    const { code, said } = await ended(
      start({ file: rlpt() }, [join(shared, "run.yaml"), "--run-dir", join(shared, "calm")]),
    );
    if (code !== 0) throw new Error(`the whole run does not train: ${said}`);
  },
  open: (shared) => openKills({ file: rlpt() })(shared),
};

function rlpt(): string {
  return join(packageRoot(), "bin", "rlpt.js");
}
