/** Evaluation: sample, score, and average by slice, with intervals. */
import { decisionQuality } from "../lib/classification.ts";
import { mean } from "../lib/math.ts";
import type { Rng } from "../lib/rng.ts";
import { sampledCount } from "../lib/sampled.ts";
import { clopperPearson, majority, passAtK, shareInterval } from "../lib/statistics.ts";
import type { ContradictionOptions } from "../rewards/contradiction.ts";
import { summariseConsistency } from "../rewards/contradiction.ts";
import { encodePrompt, promptText } from "../rollouts/encode.ts";
import { type EpisodeOptions, playEpisodes } from "../rollouts/episodes.ts";
import { type GenerateOptions, generate } from "../rollouts/generate.ts";
import type { EvaluationRow } from "../run/logs.ts";
import type { Completion, GenerativePolicy, Prompt, PromptSource, Tokenizer } from "../types.ts";
import { rewardInputs } from "./rollout.ts";
import type { Score, Scorer } from "./stage.ts";

export interface EvaluatedPrompt {
  prompt: Prompt;
  /** As the policy read it. */
  text: string;
  completions: { completion: Completion; score: Score; thinks: boolean | null }[];
}

export interface Evaluation {
  rows: Omit<EvaluationRow, "step" | "stage">[];
  /** Of the row for all prompts, by column: what `keep_best` and callers read. */
  metrics: Record<string, number>;
  /** One line for people. */
  summary: string;
  prompts: EvaluatedPrompt[];
}

export interface EvaluateOptions extends GenerateOptions {
  dataset: string;
  /** First prompts of the source; all when null. */
  limit: number | null;
  maxPromptTokens: number;
  /** Where completions are episodes. */
  episodes?: EpisodeOptions | null;
  /** Where thoughts and answers are compared; null where no reward part does. */
  contradiction: Pick<ContradictionOptions, "choices" | "evidence"> | null;
}

/**
 * Samples `groupSize` completions for each prompt. The draws depend on prompt and sample only, not on the
 * step, so that two evaluations of one run are paired.
 * @param stream `rng.fork("eval")`
 */
export async function evaluate(
  policy: GenerativePolicy,
  tokenizer: Tokenizer,
  source: PromptSource,
  score: Scorer,
  options: EvaluateOptions,
  stream: Rng,
): Promise<Evaluation> {
  const size = Math.min(source.size ?? Number.POSITIVE_INFINITY, options.limit ?? Number.POSITIVE_INFINITY);
  if (!Number.isFinite(size)) throw new RangeError(`${source.name} is endless: an evaluation needs a limit`);
  const encoded = Array.from({ length: size }, (_, i) => {
    const prompt = source.at(i);
    return { prompt, ...encodePrompt(tokenizer, prompt, options.maxPromptTokens) };
  });
  const positions = options.maxPromptTokens + options.maxNewTokens;
  const groups =
    options.episodes == null
      ? await generate(policy, tokenizer, encoded, options, stream)
      : await playEpisodes(policy, tokenizer, encoded, options, { ...options.episodes, positions }, stream);
  const scores = await score(rewardInputs(tokenizer, groups));
  let next = 0;
  const prompts = groups.map(({ prompt, completions }) => ({
    prompt,
    text: promptText(tokenizer, prompt),
    completions: completions.map((completion) => {
      const i = next++;
      return { completion, score: scores[i]!, thinks: scores[i]!.thinks };
    }),
  }));
  return summarise(prompts, options, stream.fork("interval"));
}

function summarise(prompts: EvaluatedPrompt[], options: EvaluateOptions, rng: Rng): Evaluation {
  const slices = new Map<string, EvaluatedPrompt[]>([["all", prompts]]);
  const keys = new Set(prompts.flatMap(({ prompt }) => Object.keys(prompt.slices)));
  for (const key of [...keys].sort()) {
    const values = new Set(prompts.map(({ prompt }) => prompt.slices[key]).filter((v) => v !== undefined));
    for (const value of [...values].sort((a, b) => a.localeCompare(b, "en", { numeric: true }))) {
      slices.set(
        `${key}=${value}`,
        prompts.filter(({ prompt }) => prompt.slices[key] === value),
      );
    }
  }
  const modes = [
    ["mode=thinking", true],
    ["mode=direct", false],
  ] as const;
  for (const [name, mode] of modes) {
    const chosen = prompts
      .map((p) => ({ ...p, completions: p.completions.filter((c) => c.thinks === mode) }))
      .filter((p) => p.completions.length > 0);
    if (chosen.length > 0) slices.set(name, chosen);
  }
  const rows = [...slices].map(([slice, chosen]) => evaluationRow(options, slice, chosen, rng.fork(slice)));
  const metrics = Object.fromEntries(
    Object.entries(rows[0]!).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
  );
  return { rows, metrics, summary: describe(rows[0]!), prompts };
}

function evaluationRow(
  options: EvaluateOptions,
  slice: string,
  prompts: readonly EvaluatedPrompt[],
  rng: Rng,
): Omit<EvaluationRow, "step" | "stage"> {
  const all = prompts.flatMap(({ completions }) => completions);
  const n = all.length;
  const share = (test: (c: (typeof all)[0]) => boolean) => all.filter(test).length / n;
  const correct = all.filter(({ score }) => score.correct).length;
  const perPrompt = prompts.map(({ completions }) =>
    mean(completions.map(({ score }) => (score.correct ? 1 : 0))),
  );
  const k = Math.min(...prompts.map(({ completions }) => completions.length));
  const single = prompts.every(({ completions }) => completions.length === 1);
  // completions of one prompt are not independent: with several, the prompt is the unit
  const interval = single ? clopperPearson(correct, n) : shareInterval(perPrompt, rng);
  const modes = all.filter(({ thinks }) => thinks !== null);
  return {
    dataset: options.dataset,
    slice,
    prompts: prompts.length,
    completions: n,
    correct,
    accuracy: single ? correct / n : mean(perPrompt),
    accuracy_low: interval.low,
    accuracy_high: interval.high,
    interval: single ? "clopper-pearson" : "gaffke",
    k,
    pass_at_k: mean(
      prompts.map(({ completions }) =>
        passAtK(completions.length, completions.filter(({ score }) => score.correct).length, k),
      ),
    ),
    maj_at_k: mean(
      prompts.map(({ completions }) =>
        majority(completions.map(({ score }) => ({ text: votedAnswer(score), correct: score.correct }))),
      ),
    ),
    reward_mean: mean(all.map(({ score }) => score.reward)),
    tokens_mean: mean(all.map(({ completion }) => sampledCount(completion))),
    thinking: modes.length === 0 ? null : modes.filter(({ thinks }) => thinks).length / modes.length,
    ...triggerQuality(prompts),
    ...contradictions(prompts, options),
    truncated: share(({ completion }) => completion.finishReason === "length"),
    unparsed: share(({ score }) => score.status === "unparsed"),
    error: share(({ score }) => score.status === "error" || score.status === "timeout"),
  };
}

/** How often the thought speaks for another candidate than the answer names, and which of them is right then. */
function contradictions(
  prompts: readonly EvaluatedPrompt[],
  { contradiction }: EvaluateOptions,
): Record<"contradiction" | "contradiction_thought" | "contradiction_answer", number | null> {
  const inputs =
    contradiction === null
      ? []
      : prompts.flatMap(({ prompt: { fields, answer }, text, completions }) =>
          completions.map(({ completion }) => ({
            completion: completion.text,
            promptText: text,
            fields,
            answer,
          })),
        );
  const summary = contradiction === null ? null : summariseConsistency(inputs, contradiction);
  const none = summary === null || summary.compared === 0;
  return {
    contradiction: none ? null : summary.inconsistent / summary.compared,
    contradiction_thought: none ? null : summary.thoughtAccuracy,
    contradiction_answer: none ? null : summary.answerAccuracy,
  };
}

/** How well thinking follows the labels (slice needs_thinking), blank without labels. */
function triggerQuality(
  prompts: readonly EvaluatedPrompt[],
): Record<"trigger_precision" | "trigger_recall" | "trigger_f1", number | null> {
  const counts = { truePositive: 0, falsePositive: 0, falseNegative: 0, trueNegative: 0 };
  for (const { prompt, completions } of prompts) {
    const label = prompt.slices["needs_thinking"]?.toLowerCase();
    if (label !== "true" && label !== "false") continue;
    for (const { thinks } of completions) {
      if (label === "true") counts[thinks === true ? "truePositive" : "falseNegative"]++;
      else counts[thinks === true ? "falsePositive" : "trueNegative"]++;
    }
  }
  const labelled = Object.values(counts).some((count) => count > 0);
  const { precision, recall, f1 } = decisionQuality(counts);
  return {
    trigger_precision: labelled ? precision : null,
    trigger_recall: labelled ? recall : null,
    trigger_f1: labelled ? f1 : null,
  };
}

/** What a completion votes for: the answer that its deciding part noted, nothing when it had none. */
export function votedAnswer(score: Score): string {
  const parts = Object.values(score.parts).filter(
    ({ status, note }) => status === "ok" && note !== undefined,
  );
  return parts[0]?.note ?? "";
}

function describe(row: Omit<EvaluationRow, "step" | "stage">): string {
  const percent = (value: unknown) => `${(Number(value) * 100).toFixed(1)}%`;
  const several =
    Number(row.k) > 1
      ? `, pass@${row.k} ${percent(row.pass_at_k)}, maj@${row.k} ${percent(row.maj_at_k)}`
      : "";
  const quality = typeof row.trigger_f1 === "number" ? `, trigger F1 ${row.trigger_f1.toFixed(3)}` : "";
  const thinking = row.thinking === null ? "" : `, thinking ${percent(row.thinking)}${quality}`;
  const { contradiction: apart, contradiction_thought: thought, contradiction_answer: answer } = row;
  const which =
    typeof thought === "number"
      ? ` (thought right in ${percent(thought)}, answer in ${percent(answer)} of them)`
      : "";
  const consistency = typeof apart === "number" ? `, thought against answer ${percent(apart)}${which}` : "";
  return (
    `accuracy ${percent(row.accuracy)} [${percent(row.accuracy_low)}, ${percent(row.accuracy_high)}]${several}, ` +
    `${Number(row.tokens_mean).toFixed(1)} tokens${thinking}${consistency} (${row.completions} completions of ${row.prompts} prompts)`
  );
}
