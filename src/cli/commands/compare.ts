import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import type { ComparedMetric, Comparison } from "../../report/compare.ts";
import { colours, print, printJson, table, visibleLine } from "../../terminal/terminal.ts";

interface CompareFlags {
  metric: string;
  slice?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("compare")
    .description("runs against the first, prompt by prompt: differences with 95% intervals")
    .argument(
      "<run...>",
      "run directories; several seeds of one side as a,b,c or as a quoted pattern 'runs/x-*'",
    )
    .option("--metric <name>", "accuracy, reward, tokens or thinking", "accuracy")
    .option("--slice <name>", "of these prompts only, such as level=3")
    .option("--json", "machine-readable output")
    .action(async (paths: string[], flags: CompareFlags) => {
      const { compareSides, comparedMetrics } = await import("../../report/compare.ts");
      const { readSides } = await import("../../report/sides.ts");
      const metric = comparedMetrics.find((one) => one === flags.metric);
      if (metric === undefined)
        throw new ConfigError(`--metric ${flags.metric}: use ${comparedMetrics.join(", ")}`);
      const comparisons = compareSides(readSides(paths), { metric, slice: flags.slice ?? null });
      if (flags.json) printJson(comparisons);
      else print(render(comparisons));
    });
}

function render(comparisons: readonly Comparison[]): string {
  const parts = (["last", "best"] as const).map((at) => {
    const rows = comparisons.filter((one) => one.at === at);
    const head = [
      "a - b",
      "a",
      "b",
      "difference",
      "95% interval",
      "p (Holm)",
      "detectable",
      "prompts",
      "seeds",
      "steps",
    ];
    const body = rows.map((one) => {
      const show = formatter(one.metric);
      const { mean, low, high, detectable } = one.difference;
      return [
        visibleLine(`${one.a} - ${one.b}`),
        show(one.meanA),
        show(one.meanB),
        signed(mean, show),
        `[${signed(low, show)}, ${signed(high, show)}]`,
        one.corrected < 0.001 ? "< 0.001" : one.corrected.toFixed(3),
        show(detectable),
        String(one.prompts),
        one.seedsA === one.seedsB ? String(one.seedsA) : `${one.seedsA}, ${one.seedsB}`,
        `${[...new Set(one.stepsA)].join(" ")} | ${[...new Set(one.stepsB)].join(" ")}`,
      ];
    });
    const title =
      at === "last"
        ? "last evaluation"
        : "best evaluation, chosen for each half of the prompts by accuracy on the other half";
    return `${colours.bold(title)}\n${table(body, { header: head })}`;
  });
  const notes = [...new Set(comparisons.flatMap((one) => one.notes))];
  const unpaired = Math.max(...comparisons.map((one) => one.unpaired));
  if (unpaired > 0) notes.push(`up to ${unpaired} prompts that not every run was evaluated on are left out`);
  notes.push(
    "detectable: the true difference that a comparison like this finds in 80% of the cases at the 5% level",
    "Holm: p corrected for the comparisons of one table; intervals are not corrected",
  );
  return [...parts, notes.map((note) => colours.dim(note)).join("\n")].join("\n\n");
}

const formatter = (metric: ComparedMetric) => (value: number) =>
  metric === "accuracy" || metric === "thinking"
    ? `${(value * 100).toFixed(1)}%`
    : String(Number(value.toPrecision(4)));

const signed = (value: number, show: (value: number) => string): string =>
  `${value > 0 ? "+" : ""}${show(value)}`;
