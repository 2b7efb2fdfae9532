import type { Command } from "commander";
import type { Evidence, Figures } from "../../report/why/causes.ts";
import type { Why } from "../../report/why/why.ts";
import { colours, print, printJson, terminalWidth, visibleLine, wrapText } from "../../terminal/terminal.ts";

export function register(program: Command): void {
  program
    .command("why")
    .description("why a run does not learn: what its files tell in plain sentences, and what to change first")
    .argument("<run>", "run directory; one that is still being written too")
    .option("--json", "machine-readable output")
    .action(async (run: string, flags: { json?: boolean }) => {
      const { explainRun } = await import("../../report/why/why.ts");
      const why = explainRun(run);
      if (flags.json) printJson(why);
      else print(render(why));
    });
}

function render({ run, status, stage, steps, verdict, summary, changes, sections, faults }: Why): string {
  const place = `${steps.done}${steps.planned === null ? "" : ` of ${steps.planned}`} steps, ${status}${stage === "" ? "" : `, stage ${stage}`}`;
  const colour = verdict === "sick" ? colours.yellow : verdict === "healthy" ? colours.green : colours.bold;
  const lines = [`${colours.bold(visibleLine(run))}  ${visibleLine(place)}`, colour(summary)];
  if (changes.length > 0) {
    lines.push("", colours.bold("What to change first"));
    for (const [i, { change, ...evidence }] of changes.entries())
      lines.push(
        ...indented(`${i + 1}. `, change),
        ...indented("   ", evidence.sentence),
        ...figureLines(evidence),
      );
  }
  for (const { title, sentences } of sections) {
    lines.push("", colours.bold(title));
    for (const one of sentences) lines.push(...indented("  ", one.sentence), ...figureLines(one));
  }
  if (faults.length > 0) {
    lines.push("", colours.bold("What could not be read"));
    for (const fault of faults) lines.push(...indented("  ", visibleLine(fault)));
  }
  return lines.join("\n");
}

function indented(head: string, text: string): string[] {
  const width = Math.max(40, Math.min(100, terminalWidth())) - head.length;
  return wrapText(text, width).map((line, i) => (i === 0 ? head : " ".repeat(head.length)) + line);
}

function figureLines({ figures }: Evidence): string[] {
  const text = figureText(figures);
  return text === "" ? [] : indented("     ", text).map(colours.dim);
}

const show = (value: number) => String(Number(value.toPrecision(4)));

function figureText(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => {
      if (typeof value === "object") return `${visibleLine(name)} ${show(value.was)} -> ${show(value.is)}`;
      return `${visibleLine(name)} ${typeof value === "number" ? show(value) : visibleLine(value)}`;
    })
    .join("; ");
}
