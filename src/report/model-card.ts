/**
 * README.md of a model on the Hub, of a run's files alone. What stands in them may be anybody's: front matter is written by a YAML
 * library, other text is escaped or lies in a fence that is longer than any in it.
 */
import { stringify } from "yaml";
import { printable, printableLine } from "../lib/printable.ts";
import { numberCell, type Row, type RunFiles } from "./read-run.ts";

export interface CardInput {
  /** "organisation/name" on the Hub. */
  name: string;
  /** Null for a model directory, of which no training is known. */
  run: Pick<RunFiles, "recipe" | "provenance" | "evaluations"> | null;
  /** Text of recipe.yaml. */
  recipeText: string;
  /** The step whose weights these are. */
  step: number;
  /** Id on the Hub of what was trained; null where it has none. */
  baseModel: string | null;
  /** Of the rlpt that writes the card. */
  version: string;
}

/** Rows of the curve's table; of more, every so many and the last. */
const MOST_POINTS = 40;

type Mapping = Readonly<Record<string, unknown>>;
const mapping = (value: unknown): Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

/** Text as Markdown shows it, in one line, table cells included. */
function plain(text: unknown): string {
  return printableLine(String(text))
    .replaceAll(/[\\`*_{}[\]()#+!|~$:@]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

function fenced(text: string, language: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${printable(text).trimEnd()}\n${fence}`;
}

function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map((row) => line(row.map(plain)))].join("\n");
}

/** Ids in every `hf://organisation/name` of a value, each once. */
function hubDatasets(value: unknown): string[] {
  if (typeof value === "string") {
    const id = /^hf:\/\/([\w.-]+\/[\w.-]+)/.exec(value)?.[1];
    return id === undefined ? [] : [id];
  }
  if (typeof value !== "object" || value === null) return [];
  return [...new Set(Object.values(value).flatMap(hubDatasets))];
}

const percent = (value: number | null) => (value === null ? "" : `${(100 * value).toFixed(1)}%`);
const interval = (row: Row) =>
  row["accuracy_low"]
    ? `${percent(numberCell(row, "accuracy_low"))} to ${percent(numberCell(row, "accuracy_high"))}`
    : "";

function thinned<T>(points: readonly T[]): T[] {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
}

/** @returns the card, front matter first */
export function modelCard({ name, run, recipeText, step, baseModel, version }: CardInput): string {
  const recipe = run?.recipe ?? {};
  const kind = mapping(recipe["algorithm"])["kind"];
  const kinds = Array.isArray(recipe["stages"])
    ? recipe["stages"].map((stage) => mapping(mapping(stage)["algorithm"])["kind"] ?? kind)
    : [kind];
  const algorithms = [...new Set(kinds.filter((each): each is string => typeof each === "string"))];
  const datasets = hubDatasets([recipe["data"], recipe["stages"]]);
  const front = stringify({
    ...(baseModel === null ? {} : { base_model: baseModel }),
    library_name: "transformers",
    pipeline_tag: "text-generation",
    tags: ["rlpt", ...algorithms],
    ...(datasets.length === 0 ? {} : { datasets }),
  });
  const parts = [`---\n${front}---`, `# ${plain(name.split("/").at(-1))}`];
  if (run === null) {
    parts.push(
      `Pushed by rlpt ${plain(version)} from a model directory; how it was trained is not known to it.`,
    );
    return `${parts.join("\n\n")}\n`;
  }
  const provenance = run.provenance ?? {};
  const git = mapping(provenance["git"]);
  const model = baseModel ?? provenance["model"];
  const from = model === undefined || model === null ? "a model of the recipe" : plain(model);
  parts.push(
    `Trained from ${from} by ${algorithms.map(plain).join(", then ") || "rlpt"}; the weights are those of step ${step}.`,
    "## Held-out evaluation",
    ...evaluation(run.evaluations, step),
    "## Data",
    data(recipe, provenance, datasets),
    "## Recipe",
    `<details>\n<summary>The resolved config</summary>\n\n${fenced(recipeText, "yaml")}\n\n</details>`,
    "## How to make it again",
    `Written to \`recipe.yaml\`, the config above is all that a run needs beside its model and data:`,
    fenced("rlpt train recipe.yaml", "sh"),
    [
      `- rlpt ${plain(provenance["rlpt"] ?? "of an unknown version")}, Node ${plain(provenance["node"] ?? "of an unknown version")}`,
      `- seed ${plain(provenance["seed"] ?? recipe["seed"] ?? "unknown")}`,
      `- commit of the working directory: ${git["commit"] === undefined ? "none" : `${plain(git["commit"])}${git["dirty"] === true ? ", with changes" : ""}`}`,
      `- pushed by rlpt ${plain(version)}`,
    ].join("\n"),
  );
  return `${parts.join("\n\n")}\n`;
}

function evaluation(evaluations: readonly Row[], step: number): string[] {
  const until = evaluations.filter((row) => (numberCell(row, "step") ?? Number.POSITIVE_INFINITY) <= step);
  const last = until.at(-1)?.["step"];
  if (last === undefined) return ["It was not evaluated on held-out data up to this step."];
  const cells = (row: Row) => [
    percent(numberCell(row, "accuracy")),
    interval(row),
    row["prompts"] ?? "",
    row["tokens_mean"] ?? "",
  ];
  const columns = ["Accuracy", "95% interval", "n (prompts)", "Tokens"];
  const final = until.filter((row) => row["step"] === last);
  const curve = thinned(until.filter((row) => row["slice"] === "all"));
  return [
    `At step ${plain(last)}; intervals over prompts: ${plain(final[0]!["interval"] || "none")}.`,
    table(
      ["Data", "Slice", ...columns],
      final.map((row) => [row["dataset"] ?? "", row["slice"] ?? "", ...cells(row)]),
    ),
    "The curve:",
    table(
      ["Step", "Data", ...columns],
      curve.map((row) => [row["step"], row["dataset"] ?? "", ...cells(row)]),
    ),
  ];
}

function data(recipe: Mapping, provenance: Mapping, datasets: readonly string[]): string {
  const files = Object.entries(mapping(provenance["data"]));
  if (files.length > 0) {
    const rows = files.map(([path, file]) => [
      path,
      mapping(file)["bytes"] ?? "",
      mapping(file)["sha256"] ?? "",
    ]);
    return table(["File", "Bytes", "SHA-256"], rows);
  }
  if (datasets.length > 0) return `Of the Hub: ${datasets.map(plain).join(", ")}.`;
  const made = mapping(mapping(recipe["data"])["train"])["kind"];
  return made === undefined
    ? "The recipe says which."
    : `Made by the generator ${plain(made)}, as the recipe says.`;
}
