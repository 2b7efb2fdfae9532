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

type EngineName = import("../../../tools/bench/engines.ts").EngineName;
type Run = typeof import("../../../tools/bench/run.ts");
type EngineResult = Awaited<ReturnType<Run["runBench"]>>[number];
type Shape = import("../../../tools/bench/shapes.ts").BenchShape;
type Measurement = import("../../../tools/bench/measure.ts").Measurement;

interface Options {
  quick?: boolean;
  json?: boolean;
  engines?: string;
  shapes?: string;
  check?: boolean;
  growth?: boolean;
}

interface EngineOptions {
  shapes: string;
  runs: string;
  budget: string;
  software?: boolean;
}

/** What the 5.1 M shape must reach against stock tfjs wasm, forward+backward. */
const promised = { "wasm-cblas": 15, "wasm-simd": 6 };

export function register(program: Command): void {
  program
    .command("bench")
    .description("time forward+backward and generation of every backend, against stock tfjs wasm")
    .option("--quick", "the laboratory's shape alone (about half a minute)")
    .option("--engines <names>", "comma-separated; default all but cpu")
    .option("--shapes <names>", "comma-separated: lab, small, medium")
    .option(
      "--growth",
      "how time and memory grow with tokens, group, layers and width, on one engine (default xla)",
    )
    .option("--check", "fail when the promised factors are missed")
    .option("--json", "machine-readable output")
    .action(async (options: Options) => {
      const { baseline, engineNames } = await import("../../../tools/bench/engines.ts");
      const { benchShapes } = await import("../../../tools/bench/shapes.ts");
      const { runBench } = await import("../../../tools/bench/run.ts");
      if (options.growth) {
        const [engine] = await choose("--engines", options.engines, engineNames, ["xla"]);
        return showGrowth(engine!, options.json === true);
      }
      const everything = engineNames.filter((name) => name !== "cpu");
      const engines = await choose("--engines", options.engines, engineNames, everything);
      const names = benchShapes.map(({ name }) => name);
      const shapeNames = await choose("--shapes", options.shapes, names, options.quick ? ["lab"] : names);
      const shapes = benchShapes.filter(({ name }) => shapeNames.includes(name));
      const results = await runBench({
        engines,
        shapes,
        software: options.engines !== undefined,
        runs: options.quick ? 5 : 9,
        budgetSeconds: options.quick ? 4 : 10,
        onProgress: printNote,
      });
      const verdicts = judge(results, baseline);
      if (options.json) printJson({ baseline, results, verdicts });
      else print(render(results, shapes, baseline, verdicts));
      if (options.check && verdicts.some(({ reached }) => !reached)) process.exitCode = 1;
    });

  program
    .command("bench-engine", { hidden: true })
    .argument("<engine>")
    .requiredOption("--shapes <names>")
    .requiredOption("--runs <n>")
    .requiredOption("--budget <seconds>")
    .option("--software")
    .action(async (name: string, options: EngineOptions) => {
      const { engineNames, startEngine } = await import("../../../tools/bench/engines.ts");
      const { measureShape } = await import("../../../tools/bench/measure.ts");
      const { allShapes } = await import("../../../tools/bench/shapes.ts");
      const engine = (await choose("engine", name, engineNames, []))[0]!;
      const { BackendUnavailable } = await import("../../backend/unavailable.ts");
      let started: Awaited<ReturnType<typeof startEngine>>;
      try {
        started = await startEngine(engine, { software: options.software === true });
      } catch (error) {
        const cause = (error as Error).cause;
        const reason = cause instanceof BackendUnavailable ? cause.reason : (error as Error).message;
        print(JSON.stringify({ engine, reason } satisfies EngineResult));
        return;
      }
      const wanted = options.shapes.split(",");
      const measurements: Measurement[] = [];
      for (const shape of allShapes.filter((each) => wanted.includes(each.name))) {
        measurements.push(
          await measureShape(shape, { runs: Number(options.runs), budgetSeconds: Number(options.budget) }),
        );
      }
      const { device, description } = started;
      print(JSON.stringify({ engine, device, description, measurements } satisfies EngineResult));
    });
}

/** Each shape in a process of its own, so that its peak memory is its own. */
async function showGrowth(engine: EngineName, json: boolean): Promise<void> {
  const { growths } = await import("../../../tools/bench/shapes.ts");
  const { runBench } = await import("../../../tools/bench/run.ts");
  const tables: { label: string; rows: (Measurement | { shape: string; reason: string })[] }[] = [];
  for (const { label, shapes } of growths) {
    const rows: (typeof tables)[number]["rows"] = [];
    for (const shape of shapes) {
      const options = { engines: [engine], shapes: [shape], software: true, runs: 5, budgetSeconds: 10 };
      const [result] = await runBench({ ...options, onProgress: printNote });
      const measured = measurementOf(result, shape.name);
      const reason = result !== undefined && "reason" in result ? result.reason : "it printed no result";
      rows.push(measured ?? { shape: shape.name, reason });
    }
    tables.push({ label, rows });
  }
  if (json) return printJson({ engine, tables });
  for (const { label, rows } of tables) {
    const first = rows[0]!;
    const cells = rows.map((row) => {
      if ("reason" in row) return [row.shape, row.reason];
      const times = (value: number, of: (first: Measurement) => number) =>
        "reason" in first ? "" : `${(value / of(first)).toFixed(2)} x`;
      const { pass, generation, peakBytes } = row;
      return [
        row.shape.split("-")[1]!,
        row.parameters.toLocaleString("en"),
        formatSeconds(pass.seconds),
        times(pass.seconds, (one) => one.pass.seconds),
        formatSeconds(generation.seconds),
        times(generation.seconds, (one) => one.generation.seconds),
        formatBytes(peakBytes),
      ];
    });
    const header = [label, "parameters", "pass", "", "generation", "", "peak memory"];
    print(`${table(cells, { header, align: Array<"right">(7).fill("right") })}\n`);
  }
}

/** A comma-separated option against the names there are. */
async function choose<T extends string>(
  option: string,
  given: string | undefined,
  known: readonly T[],
  otherwise: readonly T[],
): Promise<readonly T[]> {
  if (given === undefined) return otherwise;
  const { ConfigError } = await import("../../lib/errors.ts");
  return given.split(",").map((name) => {
    const found = known.find((each) => each === name.trim());
    if (found === undefined) throw new ConfigError(`${option}: ${name} is not one of ${known.join(", ")}.`);
    return found;
  });
}

interface Verdict {
  engine: string;
  factor: number;
  promised: number;
  reached: boolean;
}

function measurementOf(result: EngineResult | undefined, shape: string): Measurement | undefined {
  return result && "measurements" in result
    ? result.measurements.find((each) => each.shape === shape)
    : undefined;
}

function judge(results: readonly EngineResult[], baseline: string): Verdict[] {
  const stock = measurementOf(
    results.find(({ engine }) => engine === baseline),
    "medium",
  );
  if (stock === undefined) return [];
  return Object.entries(promised).flatMap(([engine, factor]): Verdict[] => {
    const mine = measurementOf(
      results.find((each) => each.engine === engine),
      "medium",
    );
    if (mine === undefined) return [];
    const reached = stock.pass.seconds / mine.pass.seconds;
    return [{ engine, factor: reached, promised: factor, reached: reached >= factor }];
  });
}

function render(
  results: readonly EngineResult[],
  shapes: readonly Shape[],
  baseline: string,
  verdicts: readonly Verdict[],
): string {
  const lines: string[] = [];
  const stock = results.find(({ engine }) => engine === baseline);
  for (const shape of shapes) {
    const { generation } = shape;
    const rows = generation.prompts * generation.repeats;
    lines.push(
      colours.bold(`${shape.name}: ${shape.label} parameters`),
      colours.dim(
        `pass ${shape.rows} x ${shape.length} tokens; generation ${rows} rows, ${generation.promptTokens} + ${generation.newTokens} tokens`,
      ),
    );
    const reference = measurementOf(stock, shape.name);
    const ran = results.filter((result) => measurementOf(result, shape.name) !== undefined);
    lines.push(
      table(
        ran.map((result) => row(result.engine, measurementOf(result, shape.name)!, reference)),
        {
          header: [
            "engine",
            "pass",
            "tokens/s",
            "GFLOP/s",
            "vs stock",
            "generated/s",
            "vs stock",
            "peak memory",
            "loss",
          ],
          align: ["left", ...Array<"right">(8).fill("right")],
          indent: 2,
        },
      ),
      "",
    );
  }
  const missing = results.flatMap((result) => ("reason" in result ? [[result.engine, result.reason]] : []));
  if (missing.length > 0) lines.push(colours.bold("did not run"), table(missing, { indent: 2 }), "");
  for (const { engine, factor, promised: want, reached } of verdicts) {
    const mark = reached ? colours.green("ok") : colours.red("missed");
    lines.push(`${mark}  ${engine} is ${factor.toFixed(1)} x stock on the 5.1 M pass; promised is ${want} x`);
  }
  const devices = new Set(results.flatMap((result) => ("device" in result ? [result.device] : [])));
  lines.push(colours.dim(`Medians. ${[...devices].join("; ")}; Node ${process.version}.`));
  return lines.join("\n");
}

function row(engine: string, mine: Measurement, stock: Measurement | undefined): string[] {
  const times = (factor: number) => `${factor.toFixed(factor < 9.95 ? 1 : 0)} x`;
  const agrees = (a: number, b: number) => Math.abs(a - b) <= 1e-4 * Math.abs(b);
  const same =
    stock === undefined ||
    (agrees(mine.pass.loss, stock.pass.loss) && agrees(mine.pass.gradientNorm, stock.pass.gradientNorm));
  return [
    engine,
    formatSeconds(mine.pass.seconds),
    Math.round(mine.pass.tokensPerSecond).toLocaleString("en"),
    mine.pass.gflops.toPrecision(3),
    stock ? times(stock.pass.seconds / mine.pass.seconds) : "",
    Math.round(mine.generation.tokensPerSecond).toLocaleString("en"),
    stock ? times(mine.generation.tokensPerSecond / stock.generation.tokensPerSecond) : "",
    formatBytes(mine.peakBytes),
    same ? mine.pass.loss.toFixed(5) : colours.red(`${mine.pass.loss.toFixed(5)} differs`),
  ];
}
