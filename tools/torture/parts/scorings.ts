/** Hostile completions and gold answers against every reward kind, every extraction, user patterns and reward files. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { answerPatternFault, compileAnswerPattern } from "../../../src/data/answer-pattern.ts";
import { completeInput } from "../../../src/rewards/cases.ts";
import { type RewardSpec, rewardPartsOptions } from "../../../src/rewards/options.ts";
import { builtInKinds } from "../../../src/rewards/run-cases.ts";
import { createScorer } from "../../../src/rewards/score.ts";
import type { RewardInput } from "../../../src/types.ts";
import { type Draw, drawFrom } from "../draw.ts";
import type { Case, Outcome, Part } from "../part.ts";
import { hostileCompletion, hostileGold, hostileOptions, hostilePattern } from "./hostile-completions.ts";

const PER_CASE = 1000;
const BATCH = 50;
/** Processor time for one completion: a training step has hundreds. */
const LONGEST_S = 2;

const input = (draw: Draw): RewardInput =>
  completeInput({
    completion: hostileCompletion(draw),
    answer: hostileGold(draw),
    promptText: draw.one(["", "2+3=", "<think>\n...\n", "<think>".repeat(1000)]),
    finishReason: draw.one(["eos", "eos", "length", "stop"]),
    fields: { choices: ["a", "1", draw.one(["", "(a+)+$"])], split: "x" },
  });

const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** @returns seconds of processor time, and what it gives */
async function timed<T>(work: () => T | Promise<T>): Promise<{ seconds: number; value: T }> {
  const begin = cpu();
  const value = await work();
  return { seconds: cpu() - begin, value };
}

function specsOf(draw: Draw, kind: string): { specs: readonly RewardSpec[]; words: string } {
  const options = draw.one(hostileOptions[kind] ?? [{}]);
  // parts that look at whether the answer is right come after one that says so
  const needsJudge = !rewardPartsOptions.safeParse([{ kind, ...options }]).success;
  const parts = [...(needsJudge ? [{ kind: "exact", name: "judge" }] : []), { kind, ...options }];
  return { specs: rewardPartsOptions.parse(parts), words: JSON.stringify({ kind, ...options }) };
}

const excerpt = (text: string): string =>
  JSON.stringify(
    text.length > 120 ? `${text.slice(0, 80)}...${text.slice(-40)} (${text.length} characters)` : text,
  );

async function scoreKind(draw: Draw, kind: string, trying: Case["trying"]): Promise<Outcome> {
  const { specs, words } = specsOf(draw, kind);
  trying(words);
  const scorer = await createScorer(specs, { maxErrorShare: 1 });
  const inputs = Array.from({ length: PER_CASE }, () => input(draw));
  const found = (one: RewardInput, what: string): Outcome => ({
    kind: "fault",
    tried: `${words}: completion ${excerpt(one.completion)}, gold ${excerpt(one.answer)}`,
    fault: what,
  });
  for (let from = 0; from < inputs.length; from += BATCH) {
    const batch = inputs.slice(from, from + BATCH);
    const { seconds, value: scores } = await timed(() => scorer(batch));
    for (const [i, { reward, parts, status }] of scores.entries()) {
      if (!Number.isFinite(reward)) return found(batch[i]!, `the reward is ${reward}`);
      // the clock decides only where something is broken
      const late = Object.values(parts).find((part) => part.status === "timeout");
      if (late !== undefined) return found(batch[i]!, `no verdict before the deadline: ${late.note}`);
      if (status === "error" && /grader failed|Maximum call stack|out of memory/i.test(JSON.stringify(parts)))
        return found(batch[i]!, `the grader broke: ${JSON.stringify(parts).slice(0, 300)}`);
    }
    if (seconds < LONGEST_S) continue;
    for (const one of batch) {
      const alone = await timed(() => scorer([one]));
      if (alone.seconds > LONGEST_S)
        return found(one, `it took ${alone.seconds.toFixed(1)} s of processor time`);
    }
  }
  await scorer.close();
  return { kind: "scored", tried: words, count: PER_CASE };
}

async function matchPattern(draw: Draw, trying: Case["trying"]): Promise<Outcome> {
  let refused = 0;
  for (let i = 0; i < PER_CASE; i++) {
    const pattern = hostilePattern(draw);
    const text = hostileCompletion(draw).slice(0, 20_000);
    trying(`answer_pattern ${JSON.stringify(pattern)}`);
    const { seconds } = await timed(() => {
      if (answerPatternFault(pattern) === null) compileAnswerPattern(pattern).find(text);
      else refused++;
    });
    if (seconds > LONGEST_S)
      return {
        kind: "fault",
        tried: `answer_pattern ${JSON.stringify(pattern)} on ${excerpt(text)}`,
        fault: `it took ${seconds.toFixed(1)} s of processor time`,
      };
  }
  return {
    kind: refused === PER_CASE ? "patterns refused" : "patterns matched",
    tried: "answer_pattern",
    count: PER_CASE,
  };
}

/** Bodies of reward files that go wrong, and what may come of each. */
const rewardFiles: readonly string[] = [
  "for (;;) {}",
  "return new Promise(() => {});",
  "const all = []; for (;;) all.push(new Array(100000).fill(1));",
  "const all = []; for (;;) all.push(Buffer.alloc(1e8, 1));",
  "const f = () => f(); return f();",
  "process.exit(0);",
  "throw new Error('\\u001b[2J');",
  "throw null;",
  "return NaN;",
  "return { value: 1, status: 'timeout' };",
  "return { value: 1n };",
  "return () => 1;",
  "return 'x'.repeat(2 ** 28);",
  "return { value: 1, note: 'x'.repeat(2 ** 27) };",
  "setTimeout(() => { throw new Error('later'); }, 0); return 1;",
  "Promise.reject(new Error('unheard')); return 1;",
  "return /^(a+)+$/.test('a'.repeat(40) + '!') ? 1 : 0;",
];

async function scoreFile(draw: Draw, folder: string, trying: Case["trying"]): Promise<Outcome> {
  const body = draw.one(rewardFiles);
  trying(`reward file: ${body}`);
  const path = join(folder, "reward.mjs");
  writeFileSync(path, `export function reward(input) { ${body} }\n`);
  const specs = rewardPartsOptions.parse([{ kind: "file", file: path, timeout_ms: 500 }]);
  const scorer = await createScorer(specs, { maxErrorShare: 1 });
  const scores = await scorer([input(draw), input(draw)]);
  await scorer.close();
  const bad = scores.find(({ reward }) => !Number.isFinite(reward));
  const outcome = { tried: `reward file: ${body}`, count: 2 };
  return bad === undefined
    ? { kind: "reward files", ...outcome }
    : { kind: "fault", ...outcome, fault: `the reward is ${bad.reward}` };
}

async function tryOne({ rng, folder, index, trying }: Case): Promise<Outcome> {
  const draw = drawFrom(rng);
  // all kinds in turn, so that few cases hold each of them
  const turn = index % (builtInKinds.length + 2);
  if (turn < builtInKinds.length) return scoreKind(draw, builtInKinds[turn]!, trying);
  if (turn === builtInKinds.length) return matchPattern(draw, trying);
  const file = await scoreFile(draw, folder, trying);
  return file.fault === undefined ? scoreKind(draw, draw.one(builtInKinds), trying) : file;
}

export const scorings: Part = {
  name: "scorings",
  tries: "hostile scorings",
  full: 480_000,
  perCase: PER_CASE,
  async prepare() {},
  open: async () => tryOne,
};
