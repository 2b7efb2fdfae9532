import type { Command } from "commander";
import { colours, print, printJson, printNote, visible, wantsColour } from "../../terminal/terminal.ts";
import type { Lengths, ShownData, ShownRow } from "../../training/show-data.ts";
import { collect, wholeNumber } from "../flags.ts";

interface Flags {
  part: string;
  rows: string;
  from: string;
  stage?: string;
  set: string[];
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("data")
    .description("look at data as the policy will read it")
    .command("show")
    .description(
      "rows token by token, what is learnt marked, and counts of lengths, empty answers, duplicates and overlap",
    )
    .argument("<config>", "a recipe, YAML")
    .option("--part <train|eval>", "which dataset", "train")
    .option("--rows <n>", "rows to show", "3")
    .option("--from <n>", "number of the first row, from 1", "1")
    .option("--stage <name>", "of a config with stages; the first when absent")
    .option("--set <key=value>", "change one value, as in train; may be repeated", collect, [])
    .option("--json", "machine-readable output")
    .action(show);
}

async function show(config: string, flags: Flags): Promise<void> {
  const { ConfigError, RlptError } = await import("../../lib/errors.ts");
  const { loadRecipe } = await import("../../config/load.ts");
  const { inspectModel } = await import("../../training/preflight-model.ts");
  const { showData } = await import("../../training/show-data.ts");
  const { part } = flags;
  if (part !== "train" && part !== "eval") throw new ConfigError(`--part ${part}: give train or eval`);
  const rows = wholeNumber(flags.rows, "--rows");
  const first = wholeNumber(flags.from, "--from", 1) - 1;
  const { stages } = loadRecipe(config, { set: flags.set });
  const stage = flags.stage === undefined ? stages[0]! : stages.find(({ name }) => name === flags.stage);
  if (stage === undefined)
    throw new ConfigError(`--stage ${flags.stage}: there are ${stages.map(({ name }) => name).join(", ")}`);
  if (stage.recipe.data[part] === undefined) throw new ConfigError(`${config}: it has no data.${part}`);
  const facts = await inspectModel(stage.recipe, { fetch: true, weights: false });
  if (facts instanceof RlptError) throw facts;
  if (facts === null) throw new ConfigError(`${config}: its model is not here`);
  const shown = await showData(stage.recipe, part, facts, { rows, first, note: printNote });
  if (flags.json) {
    printJson(shown);
    return;
  }
  for (const [index, row] of shown.rows.entries()) print(`${rowText(row, first + index + 1)}\n`);
  print(countsText(shown));
}

/** With colours what is learnt is green, and tokens alternate in brightness; without, `|` parts tokens and [[ ]] holds what is learnt. */
export function rowText(row: ShownRow, number: number, colour = wantsColour(process.stdout)): string {
  const slices = Object.entries(row.slices).map(([name, value]) => `${name}=${value}`);
  const facts = [row.answer === "" ? "no answer" : `answer ${JSON.stringify(row.answer)}`, ...slices];
  const head = colours.bold(
    visible(`row ${number}, id ${row.id}, ${facts.join(", ")}, ${row.length} tokens`),
  );
  let text = "";
  for (const [index, { text: token, learnt }] of row.tokens.entries()) {
    const shown = visible(token);
    if (colour) {
      const tinted = learnt ? colours.green(shown) : shown;
      text += index % 2 === 0 ? tinted : colours.dim(tinted);
      continue;
    }
    const before = index > 0 && row.tokens[index - 1]!.learnt;
    const border = learnt === before ? (index === 0 ? "" : "|") : learnt ? "[[" : "]]";
    text += border + shown;
  }
  const pictures = (row.pictures ?? []).map((each) => `${visible(each)}\n`).join("");
  return `${head}\n${pictures}${text}${!colour && row.tokens.at(-1)?.learnt === true ? "]]" : ""}`;
}

function picturesText(counts: ShownData["counts"]["pictures"], other: string): string[] {
  if (counts === null) return [];
  const whole = (value: number) => value.toLocaleString("en");
  const { pictures, duplicates, shared, unread } = counts;
  return [
    `  pictures  ${whole(pictures)}, ${whole(duplicates)} of them in an earlier row too${shared === null ? "" : `, ${whole(shared)} in ${other} too`}${unread === 0 ? "" : `; ${whole(unread)} were told by their names alone`}`,
  ];
}

function countsText({ part, name, counts }: ShownData): string {
  const { size, counted } = counts;
  const whole = (value: number) => value.toLocaleString("en");
  const lengths = ({ least, median, p95, most }: Lengths) =>
    `${whole(least)} to ${whole(most)} tokens, half at most ${whole(median)}, 95% at most ${whole(p95)}`;
  const of = (count: number) => `${whole(count)} of ${whole(counted)}`;
  const other = part === "train" ? "data.eval" : "data.train";
  return [
    `data.${part}: ${visible(name)}, ${size === null ? "without an end" : `${whole(size)} rows`}${size === counted ? "" : `; the first ${whole(counted)} are counted`}`,
    `  read      ${lengths(counts.prompt)}`,
    ...(counts.learnt === null ? [] : [`  learnt    ${lengths(counts.learnt)}`]),
    `  too long  ${of(counts.tooLong)} (limit ${whole(counts.limit)} tokens)`,
    `  no answer ${of(counts.emptyAnswers)}`,
    `  twice     ${of(counts.duplicates)} have a prompt that an earlier row has`,
    ...picturesText(counts.pictures, other),
    ...(counts.overlap === null ? [] : [`  shared    ${whole(counts.overlap)} prompts are in ${other}, too`]),
  ].join("\n");
}
