/** A report as Markdown, for issues and terminals, and as one long CSV table, for other tools. */
import { stringify } from "csv-stringify/sync";
import { csvText, printable } from "../lib/printable.ts";
import { type Block, number, type ReportDocument, type Table } from "./document.ts";
import type { RunFiles } from "./read-run.ts";

export function renderMarkdown({ title, subtitle, sections }: ReportDocument): string {
  const paragraphs = [`# ${escapeMarkdown(title)}`];
  if (subtitle !== "") paragraphs.push(escapeMarkdown(subtitle));
  for (const { title: name, blocks } of sections)
    paragraphs.push(`## ${escapeMarkdown(name)}`, ...blocks.map(markdownBlock));
  return `${paragraphs.join("\n\n")}\n`;
}

function markdownBlock(block: Block): string {
  switch (block.kind) {
    case "text":
      return escapeMarkdown(block.text);
    case "table": {
      const caption = block.caption ?? block.folded;
      return (caption === undefined ? "" : `${escapeMarkdown(caption)}\n\n`) + markdownTable(block.table);
    }
    case "figures":
      return block.figures
        .map(({ title, caption }) => `- ${escapeMarkdown(`${title}: ${caption}`)}`)
        .join("\n");
    case "samples":
      return [
        escapeMarkdown(block.note),
        ...block.cards.map(({ step, stage, verdict, reward, tokens, prompt, completion, pictures }) => {
          const fence = "`".repeat(longestTicks(prompt + completion) + 3);
          const names = pictures.map((place) => escapeMarkdown(block.pictures[place]!.name));
          const shown = names.length === 0 ? "" : `Pictures: ${names.join(", ")}\n\n`;
          return `Step ${step}, ${escapeMarkdown(stage)}: ${escapeMarkdown(verdict)}, reward ${number(reward)}, ${number(tokens)} tokens\n\n${shown}${fence}\n${printable(prompt + completion)}\n${fence}`;
        }),
      ].join("\n\n");
    default: {
      const unreachable: never = block;
      throw new Error(`unknown block ${JSON.stringify(unreachable)}`);
    }
  }
}

const longestTicks = (text: string): number =>
  Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length));

function markdownTable({ header, rows, text }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeMarkdown).join(" | ")} |`;
  const rule = `|${header.map((_, i) => (text.includes(i) ? " --- " : " ---: ")).join("|")}|`;
  return [line(header), rule, ...rows.map(line)].join("\n");
}

/** Markup characters of text from files are shown, not obeyed. */
export function escapeMarkdown(text: string): string {
  return printable(text)
    .replaceAll(/[\\`*<>|[\]&]/g, "\\$&")
    .replaceAll(/\s*\n\s*/g, " ");
}

/** Every number of metrics.csv and eval.csv: run, file, step, stage, slice, metric, value. */
export function renderCsv(runs: readonly RunFiles[]): string {
  const lines: string[][] = [["run", "file", "step", "stage", "slice", "metric", "value"]];
  const keys = new Set(["step", "stage", "slice", "dataset", "interval"]);
  for (const { label, metrics, evaluations } of runs) {
    for (const [file, rows] of [
      ["metrics.csv", metrics],
      ["eval.csv", evaluations],
    ] as const) {
      for (const row of rows) {
        for (const [name, value] of Object.entries(row)) {
          if (keys.has(name) || value === "") continue;
          lines.push([label, file, row["step"] ?? "", row["stage"] ?? "", row["slice"] ?? "", name, value]);
        }
      }
    }
  }
  return stringify(lines.map((line) => line.map((cell) => csvText(printable(cell)))));
}
