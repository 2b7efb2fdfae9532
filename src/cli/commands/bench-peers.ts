import { readFileSync } from "node:fs";
import type { Command } from "commander";
import {
  colours,
  formatBytes,
  formatSeconds,
  print,
  printJson,
  printNote,
  table,
} from "../../terminal/terminal.ts";

type CaseSummary = import("../../../tools/peers/run.ts").CaseSummary;
type SideSummary = import("../../../tools/peers/run.ts").SideSummary;
type PeerTask = import("../../../tools/peers/tasks.ts").PeerTask;

interface Options {
  cases?: string;
  rounds: string;
  runs?: string;
  microBatchRows?: string;
  threads?: string;
  precision: string;
  backend: string;
  library?: string;
  smollm2?: string;
  answers?: string;
  python?: string;
  own?: boolean;
  profile?: boolean;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("bench-peers")
    .description("time training steps, passes and generation beside TRL, transformers and PyTorch")
    .option(
      "--cases <names>",
      "comma-separated; default all but the large ones, which are for cards (docs/benchmarks.md)",
    )
    .option("--rounds <n>", "processes of each side and case, in turns", "3")
    .option("--runs <n>", "timed runs in each process; default the case's own number")
    .option("--micro-batch-rows <n>", "rows of a forward and backward pass of the SmolLM2 steps; default 8")
    .option("--threads <n>", "of both sides; default every core")
    .option("--precision <name>", "f32, tf32 (on cards), or bf16 (autocast on the other side)", "f32")
    .option("--backend <kind>", "of our side", "auto")
    .option("--library <path>", "as backend.library")
    .option("--smollm2 <path>", "SmolLM2-135M-Instruct, a directory or GGUF file; default $RLPT_SMOLLM2_GGUF")
    .option("--answers <file>", "JSONL with answers in LaTeX, for the grading case")
    .option(
      "--python <path>",
      "a Python that has torch and transformers (without trl, a plain loop takes its steps); default an environment of its own in the cache folder",
    )
    .option("--own", "our side alone")
    .option("--profile", "one more run of ours, whose programs are timed one by one")
    .option("--json", "machine-readable output")
    .action(async (options: Options) => {
      const { availableParallelism } = await import("node:os");
      const { ConfigError } = await import("../../lib/errors.ts");
      const { wholeNumber } = await import("../flags.ts");
      const { peerCases } = await import("../../../tools/peers/tasks.ts");
      const { runPeers } = await import("../../../tools/peers/run.ts");
      const { peerPython } = await import("../../../tools/peers/environment.ts");
      const wanted = options.cases?.split(",").map((name) => name.trim());
      for (const name of wanted ?? []) {
        if (peerCases.some((one) => one.name === name)) continue;
        const known = peerCases.map((one) => one.name).join(", ");
        throw new ConfigError(`--cases: ${name} is not one of ${known}.`);
      }
      const { precision, backend, library, smollm2 = process.env["RLPT_SMOLLM2_GGUF"] } = options;
      if (precision !== "f32" && precision !== "tf32" && precision !== "bf16") {
        throw new ConfigError(`--precision ${precision}: use f32, tf32 or bf16.`);
      }
      const numbers = {
        rounds: wholeNumber(options.rounds, "--rounds", 1),
        threads:
          options.threads === undefined
            ? availableParallelism()
            : wholeNumber(options.threads, "--threads", 1),
        ...(options.runs === undefined ? {} : { runs: wholeNumber(options.runs, "--runs", 1) }),
        ...(options.microBatchRows === undefined
          ? {}
          : { microBatchRows: wholeNumber(options.microBatchRows, "--micro-batch-rows", 1) }),
      };
      const summaries = await runPeers({
        cases: peerCases.filter(({ name, large }) => wanted?.includes(name) ?? !large),
        ...numbers,
        precision,
        profile: options.profile === true,
        backend: { kind: backend, ...(library === undefined ? {} : { library }) },
        smollm2: smollm2 || undefined,
        answers: options.answers,
        python: options.own ? null : peerPython(options.python, printNote),
        onProgress: printNote,
      });
      if (options.json) printJson({ ...numbers, precision, summaries });
      else print(render(summaries, precision, numbers.threads));
      if (summaries.every(({ own }) => "reason" in own)) process.exitCode = 1;
    });

  program
    .command("bench-task", { hidden: true })
    .argument("<task>")
    .requiredOption("--backend <kind>")
    .option("--library <path>")
    .action(async (file: string, { backend, library }: { backend: string; library?: string }) => {
      const { ownSide } = await import("../../../tools/peers/own-side.ts");
      const { backendOptions } = await import("../../backend/options.ts");
      const task = JSON.parse(readFileSync(file, "utf8")) as PeerTask;
      const { kind } = backendOptions.parse(backend);
      print(JSON.stringify(await ownSide(task, { kind, library })));
    });
}

function render(summaries: readonly CaseSummary[], precision: string, threads: number): string {
  const lines: string[] = [];
  for (const { label, own, peer, faster, memory } of summaries) {
    lines.push(colours.bold(label));
    const sides = [own, peer].flatMap((side) => (side !== null && "seconds" in side ? [side] : []));
    lines.push(
      table(sides.flatMap(sideRows), {
        header: ["", "part", "median", "least", "most", "runs", "first", "peak memory"],
        align: ["left", "left", ...Array<"right">(6).fill("right")],
        indent: 2,
      }),
    );
    for (const side of [own, peer]) {
      if (side !== null && "reason" in side) lines.push(`  ${colours.red("did not run")}: ${side.reason}`);
    }
    if (faster !== null && memory !== null) {
      const speed =
        faster >= 1
          ? `${faster.toPrecision(3)} times as fast`
          : `${(1 / faster).toPrecision(3)} times slower`;
      lines.push(`  rlpt is ${speed}, in ${memory.toFixed(2)} of the memory`);
    }
    const checks = sides.flatMap(({ engine, check }) =>
      check === null ? [] : [`${engine} ${check.toPrecision(7)}`],
    );
    if (checks.length > 0) lines.push(colours.dim(`  what both compute: ${checks.join(", ")}`));
    lines.push("");
  }
  const descriptions = summaries.flatMap(({ own, peer }) =>
    [own, peer].flatMap((side) => (side !== null && "seconds" in side ? [side.description] : [])),
  );
  lines.push(...[...new Set(descriptions)].map((text) => colours.dim(text)));
  lines.push(
    colours.dim(
      `${threads} threads, ${precision}. first: from the process's start to the end of the first run.`,
    ),
  );
  return lines.join("\n");
}

function sideRows(side: SideSummary): string[][] {
  return Object.entries(side.seconds).map(([part, { median, least, most, count }], i) => [
    i === 0 ? side.engine : "",
    part,
    ...[median, least, most].map(formatSeconds),
    String(count),
    i === 0 ? formatSeconds(side.firstSeconds) : "",
    i === 0 ? formatBytes(side.deviceBytes ?? side.peakBytes) : "",
  ]);
}
