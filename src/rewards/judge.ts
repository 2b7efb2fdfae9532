/**
 * A model that judges: a rubric of weighted yes-or-no questions, or comparisons within a group (docs/judge.md). The value is a
 * function of completion and stored verdicts, so that a run that is resumed or replayed gets the same rewards.
 */
import { ConfigError } from "../lib/errors.ts";
import type { RewardInput, Verdict } from "../types.ts";
import { defineReward, type Judged } from "./define.ts";
import { type JudgeServices, verdictFailure, verdictsOf } from "./judge/ask.ts";
import { checkJudge, type JudgeSpec, judgeShape } from "./judge/options.ts";
import { pairQuestion, type Question, rubricQuestion, taskText } from "./judge/prompts.ts";

const failed = (note: string): Judged => ({ value: 0, status: "error", note });

/** Sum of the weights of what was answered yes, over the sum of those above 0; [P G]. */
async function judgeRubric(
  name: string,
  spec: JudgeSpec,
  inputs: readonly RewardInput[],
  services: JudgeServices,
): Promise<Judged[]> {
  const questions = inputs.map((input) => attempt(() => rubricQuestion(spec, input)));
  const whole = questions.filter((one): one is Question => !(one instanceof Error));
  const verdicts = await verdictsOf(name, spec, whole, services);
  const best = spec.rubric!.reduce((sum, { weight }) => sum + Math.max(0, weight), 0);
  let next = 0;
  return questions.map((one): Judged => {
    if (one instanceof Error) return failed(one.message);
    const verdict = verdicts[next++]!;
    if (verdict.status !== "read") return failed(verdictFailure(verdict));
    const value = spec.rubric!.reduce((sum, { weight }, i) => sum + weight * verdict.values[i]!, 0) / best;
    const note = verdict.values.map((yes, i) => `${i + 1} ${yes === 1 ? "yes" : "no"}`).join(", ");
    return { value, status: "ok", note };
  });
}

/** Pairs of a group of n: each with so many that follow it, round and round; each pair once. */
export function pairsOf(n: number, opponents: number): [number, number][] {
  const seen = new Set<string>();
  const pairs: [number, number][] = [];
  for (let i = 0; i < n; i++) {
    for (let step = 1; step <= Math.min(opponents, n - 1); step++) {
      const j = (i + step) % n;
      const key = i < j ? `${i} ${j}` : `${j} ${i}`;
      if (seen.has(key)) continue;
      seen.add(key);
      pairs.push([i, j]);
    }
  }
  return pairs;
}

/** Share of its comparisons that a completion wins, a tie being one half; 0.5 where it is alone. */
async function judgePairs(
  name: string,
  spec: JudgeSpec,
  inputs: readonly RewardInput[],
  services: JudgeServices,
): Promise<Judged[]> {
  const results: Judged[] = inputs.map(() => ({ value: 0.5, status: "ok", note: "nothing to compare with" }));
  const groups = new Map<string, number[]>();
  for (const [row, input] of inputs.entries()) {
    const task = attempt(() => taskText(spec, input));
    if (task instanceof Error) {
      results[row] = failed(task.message);
      continue;
    }
    const key = JSON.stringify([input.promptText, task, input.answer]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const pairs = [...groups.values()].flatMap((rows) =>
    pairsOf(rows.length, spec.opponents).map(([i, j]): [number, number] => [rows[i]!, rows[j]!]),
  );
  // equal texts tie without being asked about
  const asked = pairs
    .filter(([i, j]) => inputs[i]!.completion !== inputs[j]!.completion)
    .flatMap(([i, j]) => [
      { i, j, question: pairQuestion(spec, inputs[i]!, inputs[j]!) },
      ...(spec.both_orders ? [{ i: j, j: i, question: pairQuestion(spec, inputs[j]!, inputs[i]!) }] : []),
    ]);
  const verdicts = await verdictsOf(
    name,
    spec,
    asked.map(({ question }) => question),
    services,
  );
  const of = new Map(asked.map(({ i, j }, k) => [`${i} ${j}`, verdicts[k]!]));
  const won = inputs.map(() => [] as number[]);
  const broken = new Map<number, Verdict>();
  for (const [i, j] of pairs) {
    const both = [of.get(`${i} ${j}`), of.get(`${j} ${i}`)];
    const unread = both.find((one) => one !== undefined && one.status !== "read");
    if (unread !== undefined) {
      for (const row of [i, j]) broken.set(row, unread);
      continue;
    }
    const [there, back] = both.map((one) => one?.values[0]);
    const share = there === undefined ? 0.5 : back === undefined ? there : (there + 1 - back) / 2;
    won[i]!.push(share);
    won[j]!.push(1 - share);
  }
  for (const [row, shares] of won.entries()) {
    if (shares.length > 0) {
      const value = shares.reduce((sum, one) => sum + one, 0) / shares.length;
      results[row] = { value, status: "ok", note: `${shares.length} comparisons` };
    } else if (broken.has(row)) results[row] = failed(verdictFailure(broken.get(row)!));
  }
  return results;
}

function attempt<T>(make: () => T): T | Error {
  try {
    return make();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Values of a batch, [P G], by a rubric or by comparisons. @throws RewardError when the budget is spent */
export function judgeRewards(
  name: string,
  spec: JudgeSpec,
  inputs: readonly RewardInput[],
  services: JudgeServices,
): Promise<Judged[]> {
  return (spec.rubric === undefined ? judgePairs : judgeRubric)(name, spec, inputs, services);
}

export const judge = defineReward({
  kind: "judge",
  judges: false,
  options: judgeShape,
  check: (options, fault) => checkJudge(options, fault),
  async open(options, { judges }) {
    const name = options.name ?? "judge";
    if (judges === null)
      throw new ConfigError(`reward part ${name}: a judge asks a model, and nobody here can be asked`);
    return { score: (inputs) => judgeRewards(name, options, inputs, judges) };
  },
  cases: [],
});
