/** How far a judge agrees with people, on rows that they judged. */
import { clopperPearson } from "../../lib/statistics.ts";
import type { RewardInput } from "../../types.ts";
import { type JudgeServices, verdictsOf } from "./ask.ts";
import type { JudgeSpec } from "./options.ts";
import { BETTER, pairQuestion, type Question, rubricQuestion, YES_NO } from "./prompts.ts";

/** A row of `labelled`, checked. */
export interface LabelledRow {
  inputs: readonly RewardInput[]; // one, or two to compare
  /** What people said, as verdicts have it. */
  values: readonly number[];
}

export interface Agreement {
  /** What was asked. */
  item: string;
  rows: number;
  agree: number;
  /** 95%, Clopper-Pearson. */
  low: number;
  high: number;
  /** Cohen's kappa: agreement beyond what the shares of the answers alone give; null where one side always says the same. */
  kappa: number | null;
}

export interface JudgeAgreement {
  part: string;
  items: Agreement[];
  all: Agreement;
  /** Rows without a verdict that could be read; they count as disagreement. */
  unread: number;
}

/**
 * Checks the rows of a labelled file.
 * @returns rows, or what is wrong with each line that is none
 */
export function readLabelled(spec: JudgeSpec, text: string): { rows: LabelledRow[]; faults: string[] } {
  const rows: LabelledRow[] = [];
  const faults: string[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const read = readRow(spec, line);
    if (typeof read === "string") faults.push(`line ${i + 1}: ${read}`);
    else rows.push(read);
  }
  if (rows.length === 0 && faults.length === 0) faults.push("it holds no row");
  return { rows, faults };
}

function readRow(spec: JudgeSpec, line: string): LabelledRow | string {
  let row: Record<string, unknown>;
  try {
    const value: unknown = JSON.parse(line.replace(/^\ufeff/, ""));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "is no JSON object";
    row = value as Record<string, unknown>;
  } catch {
    return "is no JSON";
  }
  const input = (column: string): RewardInput | string => {
    const completion = row[column];
    if (typeof completion !== "string") return `${column} is no text`;
    return {
      completion,
      finishReason: "eos",
      tokens: 1,
      promptText: typeof row["prompt"] === "string" ? row["prompt"] : "",
      answer: typeof row["answer"] === "string" ? row["answer"] : "",
      fields: row,
    };
  };
  const inputs = (spec.rubric === undefined ? ["first", "second"] : ["completion"]).map(input);
  const wrong = inputs.find((one) => typeof one === "string");
  if (wrong !== undefined) return wrong;
  if (spec.task === undefined && typeof row["prompt"] !== "string") return "prompt is no text";
  const given = spec.rubric === undefined ? [row["better"]] : row["verdict"];
  const names = spec.rubric === undefined ? { first: BETTER.a, second: BETTER.b, tie: BETTER.tie } : YES_NO;
  const count = spec.rubric?.length ?? 1;
  const key = spec.rubric === undefined ? "better" : "verdict";
  if (!Array.isArray(given) || given.length !== count)
    return `${key} is no list of ${count}, one for each question of the rubric`;
  const values = given.map((one) =>
    Object.hasOwn(names, String(one)) ? names[one as keyof typeof names] : undefined,
  );
  if (values.some((one) => one === undefined))
    return `${key} holds something else than ${Object.keys(names).join(", ")}`;
  return { inputs: inputs as RewardInput[], values: values.flatMap((one) => one ?? []) };
}

/** Asks the judge about the labelled rows. @throws RewardError, RlptError as asking does; Error for a task that lacks a column */
export async function agreementOf(
  part: string,
  spec: JudgeSpec,
  rows: readonly LabelledRow[],
  services: JudgeServices,
): Promise<JudgeAgreement> {
  const question = ({ inputs: [first, second] }: LabelledRow): Question =>
    spec.rubric === undefined ? pairQuestion(spec, first!, second!) : rubricQuestion(spec, first!);
  const verdicts = await verdictsOf(part, spec, rows.map(question), services);
  const asked = spec.rubric?.map(({ ask }) => ask) ?? [spec.pairwise!];
  const pairs = (i: number) =>
    rows.map(({ values }, row): [number, number | undefined] => [values[i]!, verdicts[row]!.values[i]]);
  return {
    part,
    items: asked.map((item, i) => agreement(item, pairs(i))),
    all: agreement(
      "all",
      asked.flatMap((_, i) => pairs(i)),
    ),
    unread: verdicts.filter(({ status }) => status !== "read").length,
  };
}

/** Cohen (1960): kappa = (p_o - p_e) / (1 - p_e), p_e from the shares of both sides' answers. */
function agreement(item: string, pairs: readonly (readonly [number, number | undefined])[]): Agreement {
  const n = pairs.length;
  const agree = pairs.filter(([person, judge]) => person === judge).length;
  const share = (side: 0 | 1, value: number) => pairs.filter((pair) => pair[side] === value).length / n;
  const chance = [0, 0.5, 1].reduce((sum, value) => sum + share(0, value) * share(1, value), 0);
  const { low, high } = clopperPearson(agree, n);
  return {
    item,
    rows: n,
    agree,
    low,
    high,
    kappa: chance === 1 ? null : (agree / n - chance) / (1 - chance),
  };
}

/** Lines for people. */
export function describeAgreement({ part, items, all, unread }: JudgeAgreement): string[] {
  const line = ({ rows, agree, low, high, kappa }: Agreement) =>
    `${agree} of ${rows} as people said, ${percent(agree / rows)} [${percent(low)}, ${percent(high)}]${kappa === null ? "" : `, kappa ${kappa.toFixed(2)}`}`;
  return [
    `judge ${part}: ${line(all)}${unread === 0 ? "" : `; ${unread} without a verdict that can be read`}`,
    ...(items.length > 1 ? items.map((one, i) => `  ${i + 1}. ${one.item}: ${line(one)}`) : []),
  ];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
