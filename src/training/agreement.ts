/** `rlpt reward agree`: the judges of a config beside people, and nothing else. */
import type { ResolvedRecipe } from "../config/load.ts";
import type { JudgeAgreement } from "../rewards/judge/agreement.ts";
import { assembleBackend } from "./assemble.ts";
import { judgeAgreements, judgeParts, openJudges } from "./judges.ts";

/** @returns the agreement of each judge that has labelled rows @throws as the judges do */
export async function askPeopleAndJudges(
  { stages }: ResolvedRecipe,
  note: (text: string) => void,
): Promise<JudgeAgreement[]> {
  const parts = judgeParts(stages).filter(({ labelled }) => labelled !== undefined);
  if (parts.some(({ judge }) => judge.path !== undefined)) await assembleBackend(stages[0]!.recipe, null);
  const judges = openJudges(null, note);
  try {
    return (await judgeAgreements(parts, judges)).map(({ agreement }) => agreement);
  } finally {
    judges.close();
  }
}
