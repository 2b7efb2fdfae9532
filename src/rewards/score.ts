/** Joins the parts: one score per completion, with a status, and an end to the run when too many fail. */
import { RewardError } from "../lib/errors.ts";
import type { RewardInput, RewardPartResult, RewardStatus, ScoredCompletion } from "../types.ts";
import type { Judged, OpenPart } from "./define.ts";
import type { JudgeServices } from "./judge/ask.ts";
import { decidingPart, kindOf, partName, type RewardSpec, requiredNames } from "./options.ts";
import { thinks } from "./thinking.ts";

export type Score = Pick<ScoredCompletion, "reward" | "status" | "parts" | "correct" | "thinks">;

export interface ScoreContext {
  /** Largest share of a batch's completions with status error or timeout; more end the run. */
  maxErrorShare: number;
  /** Accepted for callers that hold a seed; rewards draw nothing. */
  seed?: number;
  /** Who answers judges' questions; null or absent: nobody. */
  judges?: JudgeServices | null;
}

export type Scorer = (inputs: readonly RewardInput[]) => Promise<Score[]>;

const severity: readonly RewardStatus[] = ["ok", "unparsed", "timeout", "error"];

/** The status to report where several parts have one: error before timeout before unparsed before ok. */
export function worstStatus(statuses: readonly RewardStatus[]): RewardStatus {
  return statuses.reduce(
    (worst, each) => (severity.indexOf(each) > severity.indexOf(worst) ? each : worst),
    "ok",
  );
}

const holds = (result: Judged): boolean => result.right ?? (result.status === "ok" && result.value >= 1);

/** Sets a part to 0 where a part it requires does not hold. */
function applyRequirements(spec: RewardSpec, result: Judged, others: ReadonlyMap<string, Judged>): Judged {
  const missing = requiredNames(spec).find((name) => {
    const other = others.get(name);
    return other === undefined || !holds(other);
  });
  if (missing === undefined) return result;
  const note = `${missing} does not hold${result.note === undefined ? "" : `; ${result.note}`}`;
  return { ...result, value: 0, right: false, note };
}

/**
 * Loads what the parts need and returns the function that scores batches.
 *
 * Parts are taken in their order; a part with `requires` is 0 unless those parts hold (a right answer, or a value of
 * 1 or more). `correct` is what the deciding part says after that; parts of the phase `verdict`, which look at it, come last.
 * The reward is the sum of weight * value.
 * @param specs parts as `rewardPartsOptions` resolves them
 * @throws ConfigError when a reward file cannot be loaded, and for a judge where nobody can be asked
 */
export async function createScorer(
  specs: readonly RewardSpec[],
  context: ScoreContext,
): Promise<Scorer & { close(): Promise<void> }> {
  const opened = new Map<RewardSpec, OpenPart>();
  const close = async (): Promise<void> => {
    await Promise.all([...opened.values()].map((part) => part.close?.()));
    opened.clear();
  };
  try {
    for (const spec of specs)
      opened.set(spec, await kindOf(spec).open(spec, { judges: context.judges ?? null }));
  } catch (error) {
    await close();
    throw error;
  }
  const score = async (inputs: readonly RewardInput[]): Promise<Score[]> => {
    const scores = await scoreBatch(inputs, specs, opened);
    checkErrors(inputs, scores, context.maxErrorShare);
    return scores;
  };
  return Object.assign(score, { close });
}

async function scoreBatch(
  inputs: readonly RewardInput[],
  specs: readonly RewardSpec[],
  opened: ReadonlyMap<RewardSpec, OpenPart>,
): Promise<Score[]> {
  const results = inputs.map(() => new Map<string, Judged>());
  const decider = specs[decidingPart(specs)];
  const decisionOf = (row: number) =>
    decider === undefined ? undefined : results[row]!.get(partName(decider));
  for (const phase of ["completion", "verdict"] as const) {
    const decisions = phase === "completion" ? [] : inputs.map((_, row) => decisionOf(row));
    const correct = decisions.map((one) =>
      one === undefined || failedStatus(one.status) ? null : holds(one),
    );
    for (const spec of specs) {
      if (kindOf(spec).phase !== phase) continue;
      const judged = await opened.get(spec)!.score(inputs, correct);
      for (const [row, parts] of results.entries()) {
        const decision = decisions[row];
        const result: Judged =
          decision !== undefined && failedStatus(decision.status)
            ? { value: 0, status: decision.status, note: "whether the answer is right is not known" }
            : judged[row]!;
        parts.set(partName(spec), applyRequirements(spec, result, parts));
      }
    }
  }
  const opening = specs.flatMap((spec) => kindOf(spec).directOpening?.(spec) ?? [])[0];
  return inputs.map((input, row) => {
    const found = results[row]!;
    const decision = decisionOf(row);
    const correct = decision !== undefined && holds(decision);
    const parts: Record<string, RewardPartResult> = {};
    let reward = 0;
    for (const spec of specs) {
      const { right: _, ...result } = found.get(partName(spec))!;
      parts[partName(spec)] = result;
      reward += spec.weight * result.value;
    }
    // 0 + x turns -0 into 0
    return {
      reward: 0 + reward,
      status: worstStatus(Object.values(parts).map(({ status }) => status)),
      parts,
      correct,
      thinks: thinks(input.promptText, input.completion, opening),
    };
  });
}

/** How often each part had each status. */
export function countStatuses(
  scores: readonly Pick<Score, "parts">[],
): Record<string, Record<RewardStatus, number>> {
  const counts: Record<string, Record<RewardStatus, number>> = {};
  for (const { parts } of scores) {
    for (const [name, { status }] of Object.entries(parts)) {
      counts[name] ??= { ok: 0, unparsed: 0, error: 0, timeout: 0 };
      counts[name][status]++;
    }
  }
  return counts;
}

const failedStatus = (status: RewardStatus): boolean => status === "error" || status === "timeout";

function excerpt(text: string, length: number): string {
  return JSON.stringify(text.length > length ? `...${text.slice(-length)}` : text);
}

/** @throws RewardError naming a completion and the part that failed, when too many of the batch did */
function checkErrors(inputs: readonly RewardInput[], scores: readonly Score[], maxErrorShare: number): void {
  const failed = scores.filter(({ status }) => failedStatus(status)).length;
  if (failed === 0 || failed <= maxErrorShare * scores.length) return;
  const row = scores.findIndex(({ status }) => failedStatus(status));
  const input = inputs[row]!;
  const [part, result] = Object.entries(scores[row]!.parts).find(([, { status }]) => failedStatus(status))!;
  const counts = Object.entries(countStatuses(scores))
    .filter(([, count]) => count.error + count.timeout > 0)
    .map(([name, count]) => `${name} ${count.error} errors, ${count.timeout} timeouts`);
  throw new RewardError(
    [
      `rewards: ${failed} of ${scores.length} completions could not be scored, more than max_error_share = ${maxErrorShare} allows (${counts.join("; ")}).`,
      `  the first is completion ${row} of the batch, part ${part}, status ${result.status}: ${result.note ?? "no reason given"}`,
      `  prompt ${excerpt(input.promptText, 200)}`,
      `  completion ${excerpt(input.completion, 300)}`,
      `  gold answer ${excerpt(input.answer, 100)}`,
      `  Fix the reward or the data row (rlpt reward test runs a reward's own cases), or raise max_error_share if this is expected.`,
    ].join("\n"),
  );
}
