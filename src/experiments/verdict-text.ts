/** A verdict as people read it in a terminal. */
import type { SequentialDesign } from "../report/looks.ts";
import type { Outcome, Verdict } from "../report/verdict.ts";
import {
  type ConditionRecord,
  effectWords,
  neededWords,
  type Reproduction,
  shownValue,
} from "../report/verdict-record.ts";
import { colours, table, terminalWidth, wrapText } from "../terminal/terminal.ts";

export function verdictColour(verdict: Verdict): string {
  if (verdict === "SUPPORTED") return colours.green(verdict);
  return verdict === "NOT SUPPORTED" ? colours.red(verdict) : colours.yellow(verdict);
}

const outcomeColour = (outcome: Outcome): string =>
  outcome === "holds"
    ? colours.green(outcome)
    : outcome === "fails"
      ? colours.red(outcome)
      : colours.yellow(outcome);

/** What is measured: "tokens, level=3: selected - 0.5 x random". */
function quantityWords({ metric, slice, of, minus, times }: ConditionRecord): string {
  const second =
    minus === undefined ? "" : ` - ${times === 1 ? "" : `${Number(times.toPrecision(4))} x `}${minus}`;
  return `${metric}${slice === "all" ? "" : `, ${slice}`}: ${of}${second}`;
}

/** Title and source, every arm by seed, every condition with its effect, and the verdict with its reason. */
export function renderReproduction(one: Reproduction): string {
  const width = terminalWidth();
  const wrapped = (text: string) => wrapText(text, width).join("\n");
  const { paper, where, reported } = one.source;
  const source = `${paper}, ${where}${reported === undefined ? "" : `: ${reported}`}`;
  return [
    colours.bold(one.title),
    wrapped(one.statement),
    colours.dim(wrapped(source)),
    "",
    armTable(one),
    "",
    conditionTable(one.conditions),
    colours.dim(
      wrapped(
        `intervals: ${levelWords(one.design)}, over seeds and prompts${one.conditions.some(({ unit }) => unit === "run") ? "; * over seeds alone" : ""}; ${neededLegend}`,
      ),
    ),
    "",
    wrapped(`${colours.bold(verdictColour(one.verdict))}: ${one.reason}`),
    `${colours.dim("recompute it from")} ${one.directory}/values.csv ${colours.dim("and")} verdict.json`,
  ].join("\n");
}

/** "95%", or of one of several looks "98.1% (look 1 of 3, 95% over all of them)". */
function levelWords({ look, looks, level }: Reproduction["design"]): string {
  const share = `${Number((100 * (1 - 2 * level)).toFixed(1))}%`;
  return looks.length === 1 ? share : `${share} (look ${look} of ${looks.length}, 95% over all of them)`;
}

/** What a design can find, for people who have not run it yet. */
export function designWords({ looks, detectable }: SequentialDesign): string {
  const what = Number.isFinite(detectable)
    ? `finds in 80% what lies ${shownValue(detectable)} standard deviations between seeds beyond a margin`
    : "cannot say how much seeds differ, and so decides nothing";
  if (looks.length === 1) return `${looks[0]} ${looks[0] === 1 ? "seed" : "seeds"}, one verdict: ${what}`;
  return `looks after ${looks.slice(0, -1).join(", ")} and ${looks.at(-1)} seeds, until it is decided: with ${looks.at(-1)} it ${what}`;
}

const neededLegend = "a condition holds when its whole interval lies on the side asked for";

/** Every quantity of the conditions: a row for each arm, a column for each seed. */
function armTable({ conditions, seeds }: Reproduction): string {
  const rows = new Map<string, string[]>();
  const add = (arm: string, one: ConditionRecord, values: readonly number[]): void => {
    const what = `${one.metric}${one.slice === "all" ? "" : `, ${one.slice}`}`;
    const average = values.reduce((sum, value) => sum + value, 0) / values.length;
    rows.set(`${what}\n${arm}`, [
      what,
      arm,
      ...values.map((value) => shownValue(value)),
      shownValue(average),
    ]);
  };
  for (const one of conditions) {
    add(
      one.of,
      one,
      one.by_seed.map(({ first }) => first),
    );
    if (one.minus !== undefined)
      add(
        one.minus,
        one,
        one.by_seed.map(({ second }) => second!),
      );
  }
  const sorted = [...rows.values()].sort((a, b) => a[0]!.localeCompare(b[0]!, "en", { numeric: true }));
  let before = "";
  const body = sorted.map(([what, ...cells]) => {
    const shown = what === before ? "" : what!;
    before = what!;
    return [shown, ...cells];
  });
  return table(body, {
    header: ["metric", "arm", ...seeds.map((seed) => `seed ${seed}`), "mean"],
    align: ["left", "left", ...seeds.map(() => "right" as const), "right"],
  });
}

function conditionTable(conditions: readonly ConditionRecord[]): string {
  return table(
    conditions.map((one) => [
      outcomeColour(one.outcome),
      effectWords(one) + (one.unit === "run" ? " *" : ""),
      neededWords(one),
      `${one.say} (${quantityWords(one)})`,
    ]),
    { header: ["outcome", "effect, interval", "asked for", "condition"] },
  );
}

/** One row for each claim, with the condition that came nearest to its margin. */
export function renderTable(all: readonly Reproduction[]): string {
  const rows = all.map((one) => {
    const tightest = [...one.conditions].sort((a, b) => b.p_holds - a.p_holds)[0]!;
    return [
      verdictColour(one.verdict),
      one.claim,
      `${one.conditions.filter(({ outcome }) => outcome === "holds").length} of ${one.conditions.length}`,
      effectWords(tightest),
      neededWords(tightest),
      `${tightest.say} (${quantityWords(tightest)})`,
    ];
  });
  const head = ["verdict", "claim", "hold", "effect, interval", "asked for", "the condition that decides"];
  return `${table(rows, { header: head })}\n${colours.dim("rlpt reproduce <claim> shows one in full; nothing is run again")}`;
}
