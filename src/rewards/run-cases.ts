import type { RewardPartResult } from "../types.ts";
import { completeInput, type GoldenCase } from "./cases.ts";
import { contradictionCases } from "./contradiction.ts";
import { cosineLengthCases, cosineLengthReward } from "./cosine-length.ts";
import { exactCases } from "./exact.ts";
import { loadRewardFile } from "./file.ts";
import { finishedCases } from "./finished.ts";
import { cosineLengthOptions } from "./form-options.ts";
import { lengthCases } from "./length.ts";
import { mathCases } from "./math-answer.ts";
import { modeAnswerCases } from "./mode-answer.ts";
import { numberCases } from "./number.ts";
import { partName, type RewardSpec, rewardPartOptions } from "./options.ts";
import { repetitionCases } from "./repetition.ts";
import { ruleServerCases } from "./rule-server.ts";
import { createScorer } from "./score.ts";
import { tagFormatCases } from "./tag-format.ts";
import { triggerCases } from "./trigger.ts";

const builtIn: Readonly<Record<Exclude<RewardSpec["kind"], "file">, readonly GoldenCase[]>> = {
  exact: exactCases,
  "tag-format": tagFormatCases,
  number: numberCases,
  math: mathCases,
  "mode-answer": modeAnswerCases,
  "rule-server": ruleServerCases,
  length: lengthCases,
  "cosine-length": cosineLengthCases,
  repetition: repetitionCases,
  contradiction: contradictionCases,
  finished: finishedCases,
  trigger: triggerCases,
};

/** Kinds that come with golden cases, in their order in the documentation. */
export const builtInKinds = Object.keys(builtIn) as (keyof typeof builtIn)[];

export interface CaseResult {
  /** Name of the part or path of the file. */
  part: string;
  index: number;
  /** What the completion was, short. */
  completion: string;
  expect: number;
  got: RewardPartResult;
  pass: boolean;
}

const TOLERANCE = 1e-6;

const near = (a: number, b: number): boolean => Math.abs(a - b) <= TOLERANCE;

/** Runs the golden cases that come with a kind, under the name `part`. */
export async function runBuiltInCases(
  kind: keyof typeof builtIn,
  part: string = kind,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [index, each] of builtIn[kind].entries()) {
    const input = completeInput(each.input);
    let got: RewardPartResult;
    if (kind === "cosine-length") {
      const options = cosineLengthOptions.parse({ kind, ...each.options });
      got = cosineLengthReward(input, options, each.correct === true);
    } else {
      const spec = rewardPartOptions.parse({ kind, ...each.options });
      const score = await createScorer([spec], { maxErrorShare: 1 });
      got = (await score([input]))[0]!.parts[partName(spec)]!;
    }
    const pass = near(got.value, each.expect) && got.status === (each.status ?? "ok");
    results.push({ part, index, completion: input.completion, expect: each.expect, got, pass });
  }
  return results;
}

/** Runs the `cases` of a user's reward file. @throws ConfigError when it cannot be loaded */
export async function runFileCases(path: string, timeoutMs: number): Promise<CaseResult[]> {
  const file = await loadRewardFile(path);
  try {
    const inputs = file.cases.map((each) => completeInput(each.input));
    const scores = await file.score(inputs, timeoutMs);
    return file.cases.map(({ expect }, index) => {
      const got = scores[index]!;
      const pass = near(got.value, expect) && (got.status === "ok" || got.status === "unparsed");
      return { part: path, index, completion: inputs[index]!.completion, expect, got, pass };
    });
  } finally {
    await file.close();
  }
}
