/** The command line. Commands load what they need when they run, so that `--help` answers at once. */
import { Command, CommanderError } from "commander";
import { RlptError } from "../lib/errors.ts";
import { VERSION } from "../lib/version.ts";
import { restartWithOneHeap } from "../processes/one-heap.ts";
import { stopWithParent } from "../processes/parent.ts";
import { outliveTerminal } from "../run/hangup.ts";
import { printError } from "../terminal/output.ts";
import { lostOutput, outliveReaders } from "../terminal/streams.ts";
import { visible } from "../terminal/visible.ts";
import { register as registerBackend } from "./commands/backend.ts";
import { register as registerBench } from "./commands/bench.ts";
import { register as registerBenchPeers } from "./commands/bench-peers.ts";
import { register as registerChat } from "./commands/chat.ts";
import { register as registerCompare } from "./commands/compare.ts";
import { register as registerCompletion } from "./commands/completion.ts";
import { register as registerConformance } from "./commands/conformance.ts";
import { register as registerData } from "./commands/data.ts";
import { register as registerDoctor } from "./commands/doctor.ts";
import { register as registerEval } from "./commands/eval.ts";
import { register as registerExport } from "./commands/export.ts";
import { register as registerLabel } from "./commands/label.ts";
import { register as registerNew } from "./commands/new.ts";
import { register as registerPipeline } from "./commands/pipeline.ts";
import { register as registerPlan } from "./commands/plan.ts";
import { register as registerPush } from "./commands/push.ts";
import { register as registerRecipes } from "./commands/recipes.ts";
import { register as registerReplay } from "./commands/replay.ts";
import { register as registerReport } from "./commands/report.ts";
import { register as registerReproduce } from "./commands/reproduce.ts";
import { register as registerReward } from "./commands/reward.ts";
import { register as registerRuns } from "./commands/runs.ts";
import { register as registerSample } from "./commands/sample.ts";
import { register as registerSelectData } from "./commands/select-data.ts";
import { register as registerServe } from "./commands/serve.ts";
import { register as registerSweep } from "./commands/sweep.ts";
import { register as registerTrack } from "./commands/track.ts";
import { register as registerTrain } from "./commands/train.ts";
import { register as registerValidate } from "./commands/validate.ts";
import { register as registerWatch } from "./commands/watch.ts";
import { register as registerWhy } from "./commands/why.ts";
import { memoryAdvice } from "./out-of-memory.ts";

export function createProgram(): Command {
  const program = new Command("rlpt")
    .description("Run reinforcement-learning post-training recipes on language models, from one YAML file.")
    .version(VERSION)
    .option("--no-color", "plain output")
    .option("--verbose", "show the stack of an error")
    .configureOutput({ writeErr: (text) => void process.stderr.write(visible(text)) })
    .showHelpAfterError("(rlpt --help lists the commands)")
    .showSuggestionAfterError()
    .exitOverride();
  for (const register of [
    registerNew,
    registerTrain,
    registerEval,
    registerSample,
    registerChat,
    registerServe,
    registerExport,
    registerPush,
    registerData,
    registerSelectData,
    registerPipeline,
    registerSweep,
    registerReproduce,
    registerLabel,
    registerPlan,
    registerValidate,
    registerRecipes,
    registerReport,
    registerCompare,
    registerWhy,
    registerTrack,
    registerReplay,
    registerWatch,
    registerRuns,
    registerReward,
    registerDoctor,
    registerConformance,
    registerBackend,
    registerBench,
    registerCompletion,
    registerBenchPeers,
  ]) {
    register(program);
  }
  // subcommands inherit exitOverride only when created after it; set it on all
  const override = (command: Command) => {
    command.exitOverride();
    command.commands.forEach(override);
  };
  override(program);
  return program;
}

/** Runs one command line and ends the process with its status: 0, 1 failed, 2 usage or config, 5 stopped by an alarm, 130 interrupted. */
export async function main(argv: readonly string[]): Promise<void> {
  // before the restart, which would forget that there was a parent
  stopWithParent();
  await restartWithOneHeap(argv);
  outliveReaders();
  outliveTerminal();
  const status = await run(argv);
  const lost = lostOutput();
  if (lost !== null) printError(`rlpt: the output was not written: ${lost}`);
  process.exitCode = status === 0 && lost !== null ? 1 : status;
}

/** As `main`, for callers that go on living. @returns the exit status */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    process.exitCode = 0;
    await createProgram().parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    reportError(error, argv.includes("--verbose"));
    return error instanceof RlptError ? error.exitCode : 1;
  }
}

/** One message for people; the stack with --verbose, or when the error is a bug of ours. */
function reportError(error: unknown, verbose: boolean): void {
  const expected = error instanceof RlptError;
  const message = error instanceof Error ? error.message : String(error);
  const advice = expected ? null : memoryAdvice(message);
  const text = advice ?? `${expected ? "" : "rlpt: unexpected error: "}${message}`;
  printError(text);
  if (verbose) {
    for (let e: unknown = error; e instanceof Error; e = e.cause) printError(String(e.stack));
  } else if (!expected && advice === null) {
    printError("Run again with --verbose for the stack.");
  }
}
