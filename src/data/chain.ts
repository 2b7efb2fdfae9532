/**
 * Task `chain` of the laboratory: a left-to-right calculator, every intermediate result mod 10.
 * One operator is a table look-up that a tiny model learns; several composed without intermediate
 * steps stay near chance, so thinking pays exactly where it should.
 *
 * Problems are drawn, not split: level 1 has 300 problems in all, so short ones recur between training
 * and evaluation; from level 3 on (2.7 million) they hardly do.
 */
import { createRng, type Rng } from "../lib/rng.ts";
import type { Prompt, PromptSource } from "../types.ts";
import { type ChainOptions, chainOptions } from "./chain-options.ts";
import { layPool, type PoolEntry, wrongAnswer } from "./chain-pool.ts";
import { defineDataset } from "./define.ts";

const OPERATORS = ["+", "-", "*"] as const;
type Operator = (typeof OPERATORS)[number];

interface Chain {
  operands: number[]; // level + 1 digits
  operators: Operator[]; // level
}

function apply(left: number, operator: Operator, right: number): number {
  const result = operator === "+" ? left + right : operator === "-" ? left - right : left * right;
  return ((result % 10) + 10) % 10;
}

function evaluate({ operands, operators }: Chain): number {
  return operators.reduce((value, operator, i) => apply(value, operator, operands[i + 1]!), operands[0]!);
}

function drawChain(level: number, rng: Rng): Chain {
  return {
    operands: Array.from({ length: level + 1 }, (_, i) => rng.integer(10, i)),
    operators: Array.from({ length: level }, (_, i) => OPERATORS[rng.integer(3, 100 + i)]!),
  };
}

function question({ operands, operators }: Chain): string {
  return `${operands[0]}${operators.map((operator, i) => operator + operands[i + 1]).join("")}=`;
}

/** The worked lines, one or two operators each, as a careful or a careless writer makes them. */
function trace(chain: Chain, options: ChainOptions["traces"], rng: Rng): string {
  const careful = rng.uniform(0) < options.careful;
  const lines: string[] = [];
  let value = chain.operands[0]!;
  let next = 0;
  while (next < chain.operators.length) {
    const left = chain.operators.length - next;
    const take = !careful && left >= 2 && rng.uniform(1 + next) < options.skip ? 2 : 1;
    let line = String(value);
    for (let k = 0; k < take; k++, next++) {
      const operator = chain.operators[next]!;
      const operand = chain.operands[next + 1]!;
      line += operator + operand;
      value = apply(value, operator, operand);
    }
    lines.push(`${line}=${value}\n`);
  }
  const last = lines.at(-1)!;
  for (const [i, probability] of options.repeat_last.entries()) {
    if (rng.uniform(50 + i) >= probability) break;
    lines.push(last);
  }
  return lines.join("");
}

/** Level of problem `index`: in turn when levels are equally frequent, so that every prefix is balanced. */
function levelOf(index: number, options: ChainOptions, rng: Rng): number {
  const { levels, level_weights: weights } = options;
  if (weights === undefined) return levels[index % levels.length]!;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = rng.fork("level").uniform(0) * total;
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return levels[i]!;
  }
  return levels.at(-1)!;
}

/** The label, where the task has labels: a draw of its own, so that problems stay what they are without. */
function drawLabel(level: number, { need }: ChainOptions, rng: Rng): boolean | undefined {
  if (need === undefined) return undefined;
  return rng.fork("need").uniform(0) < need[Math.min(level, need.length) - 1]!;
}

function drawPrompt(
  index: number,
  id: string,
  options: ChainOptions,
  rng: Rng,
  entry: PoolEntry | undefined,
): Prompt {
  const level = entry?.level ?? levelOf(index, options, rng);
  const chain = drawChain(level, rng.fork("problem"));
  const style = rng.fork("style");
  const closed = options.prompt === "direct";
  const ellipsis =
    closed ||
    options.prompt === "ellipsis" ||
    (options.prompt === "mixed" && style.uniform(0) >= options.plain_share);
  const needs = drawLabel(level, options, rng);
  const wants = options.traces.think_by_label ? needs === true : style.uniform(1) < options.traces.think_rate;
  const thinks = !closed && (!ellipsis || wants);
  const right = evaluate(chain);
  const answer = String(entry?.kind === "mislabelled" ? wrongAnswer(right, rng.fork("label")) : right);
  const kind = entry === undefined ? {} : { kind: entry.kind };
  return {
    id,
    input: {
      kind: "text",
      text: `${question(chain)}<think>\n${ellipsis ? "...\n" : ""}${closed ? "</think>" : ""}`,
    },
    answer,
    target: `${thinks ? trace(chain, options.traces, rng.fork("trace")) : ""}${closed ? "" : "</think>"}<answer>${answer}</answer>`,
    slices: {
      level: String(level),
      ...kind,
      ...(needs === undefined ? {} : { needs_thinking: String(needs) }),
    },
    fields: {
      level,
      ...kind,
      ...(needs === undefined ? {} : { needs_thinking: needs }),
      question: question(chain),
      operands: chain.operands,
      operators: chain.operators,
    },
  };
}

/**
 * @param split names the stream; train and eval never share one
 * @param runSeed moves an endless training stream with the run's seed; a sized pool is the same for all runs
 */
export function chainSource(options: ChainOptions, split: "train" | "eval", runSeed: number): PromptSource {
  const size = options.size ?? (split === "eval" ? 500 : null);
  const stream = createRng(options.seed).fork("chain", split, size === null ? runSeed : -1);
  const pool =
    options.pool === undefined || size === null ? null : layPool(options.pool, size, stream.fork("pool"));
  return {
    name: `chain (${split})`,
    size,
    at(index) {
      return drawPrompt(index, `chain-${split}-${index}`, options, stream.fork(index), pool?.[index]);
    },
  };
}

export const chain = defineDataset({
  kind: "chain",
  options: chainOptions,
  pool: ({ size }) => ({ key: "size", size }),
  slices: ({ pool }) => ["level", ...(pool === undefined ? [] : ["kind"])],
  files: async () => [],
  open: (options, { split, seed }) => chainSource(options, split, seed),
});
