import type { RewardPartResult } from "../types.ts";
import { completeInput } from "./cases.ts";
import { loadRewardFile } from "./file.ts";
import { rewardKinds } from "./kinds.ts";
import { kindOf, type RewardSpec, rewardPartOptions } from "./options.ts";

/** Kinds that come with golden cases, in their order in the documentation. */
export const builtInKinds = rewardKinds.filter(({ cases }) => cases.length > 0).map(({ kind }) => kind);

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
export async function runBuiltInCases(kind: RewardSpec["kind"], part: string = kind): Promise<CaseResult[]> {
  const declared = kindOf({ kind });
  const results: CaseResult[] = [];
  for (const [index, each] of declared.cases.entries()) {
    const input = completeInput(each.input);
    const opened = await declared.open(rewardPartOptions.parse({ kind, ...each.options }), {
      judges: null,
    });
    const judged = await opened.score([input], [each.correct === true]);
    const { right: _, ...got } = judged[0]!;
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
