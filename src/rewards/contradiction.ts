/**
 * Does the think block speak for another candidate than the answer block names? CLS-RL (arXiv:2503.16188) lets a
 * judge model read the think block; here the candidates' evidence in it is counted, which needs no second model
 * and holds where thoughts name candidates or their features.
 */
import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";

const shape = {
  weight: z
    .number()
    .default(0)
    .describe(
      "factor in the sum; 0 measures: the mean is the share of completions that contradict themselves",
    ),
  choices: z.string().min(1).default("choices").describe("column with the list of candidate answers"),
  evidence: z
    .string()
    .min(1)
    .default("evidence")
    .describe(
      "column with the words that speak for each candidate, a map of lists; without it a candidate's own name does",
    ),
};
export type ContradictionOptions = PartOptions<typeof shape>;

export interface Verdict {
  /** Candidates that the thought has most evidence for; several when tied. */
  thought: readonly string[];
  /** The candidate that the answer names. */
  answer: string;
}

/** Text of the think block; an open block ends where the answer begins. */
function thoughtOf(completion: string, promptText: string): string | null {
  const opened = promptText.lastIndexOf("<think>") > promptText.lastIndexOf("</think>");
  const start = completion.indexOf("<think>");
  if (!opened && start < 0) return null;
  const text = completion.slice(start < 0 ? 0 : start + "<think>".length);
  return text.split(/<\/think>|<answer>/, 1)[0]!;
}

function occurrences(text: string, word: string): number {
  if (word === "") return 0;
  let found = 0;
  const isWord = (char: string | undefined) => char !== undefined && /[\p{L}\p{N}]/u.test(char);
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    // "cat" is no evidence in "catfish"
    if (!isWord(text[at - 1]) && !isWord(text[at + word.length])) found++;
  }
  return found;
}

/** @returns null where there is nothing to compare: no thought, no evidence in it, or an answer not in the list */
export function thoughtAndAnswer(
  input: Pick<RewardInput, "completion" | "promptText" | "fields">,
  options: Pick<ContradictionOptions, "choices" | "evidence">,
): Verdict | null {
  const choices = input.fields[options.choices];
  const thought = thoughtOf(input.completion, input.promptText)?.toLowerCase();
  const given = extractAnswer(input.completion, { extract: ["first-answer-tag"] })
    ?.trim()
    .toLowerCase();
  if (!Array.isArray(choices) || thought === undefined || given === undefined) return null;
  const names = choices.map(String);
  const answer = names.find((name) => name.toLowerCase() === given);
  if (answer === undefined) return null;
  const evidence = input.fields[options.evidence];
  const words = (name: string): readonly string[] => {
    const rowWords = (evidence as Record<string, unknown> | undefined)?.[name];
    return Array.isArray(rowWords) ? rowWords.map(String) : [name];
  };
  const counts = names.map((name) =>
    words(name).reduce((sum, word) => sum + occurrences(thought, word.toLowerCase()), 0),
  );
  const most = Math.max(...counts);
  return most === 0 ? null : { thought: names.filter((_, i) => counts[i] === most), answer };
}

/** 1 when the answer is none of the candidates that the thought has most evidence for, else 0. */
export function contradictionReward(input: RewardInput, options: ContradictionOptions): RewardPartResult {
  const verdict = thoughtAndAnswer(input, options);
  if (verdict === null) return { value: 0, status: "ok", note: "nothing to compare" };
  const { thought, answer } = verdict;
  return {
    value: thought.includes(answer) ? 0 : 1,
    status: "ok",
    note: `thought ${thought.join(" or ")}; answer ${answer}`.slice(0, 200),
  };
}

export interface ConsistencySummary {
  /** Completions with something to compare. */
  compared: number;
  /** How many of these have a thought and an answer that differ. */
  inconsistent: number;
  /** Of the inconsistent ones: the thought's candidate is right (a tie counts its share), the answer is right. */
  thoughtAccuracy: number | null;
  answerAccuracy: number | null;
}

/** The paper's table of inconsistent outputs: how many, and which of thought and answer was right in them. */
export function summariseConsistency(
  inputs: readonly Pick<RewardInput, "completion" | "promptText" | "fields" | "answer">[],
  options: Pick<ContradictionOptions, "choices" | "evidence">,
): ConsistencySummary {
  const verdicts = inputs.flatMap((input) => {
    const verdict = thoughtAndAnswer(input, options);
    return verdict === null ? [] : [{ ...verdict, gold: input.answer }];
  });
  const apart = verdicts.filter(({ thought, answer }) => !thought.includes(answer));
  const share = (value: (one: (typeof apart)[0]) => number) =>
    apart.length === 0 ? null : apart.reduce((sum, one) => sum + value(one), 0) / apart.length;
  return {
    compared: verdicts.length,
    inconsistent: apart.length,
    thoughtAccuracy: share(({ thought, gold }) => (thought.includes(gold) ? 1 / thought.length : 0)),
    answerAccuracy: share(({ answer, gold }) => (answer === gold ? 1 : 0)),
  };
}

const choices = ["tabby cat", "lynx"];
export const contradiction = defineReward({
  kind: "contradiction",
  judges: false,
  options: shape,
  score: contradictionReward,
  cases: [
    {
      options: {},
      input: { completion: "<think>A lynx.</think><answer>lynx</answer>", fields: { choices } },
      expect: 0,
    },
    {
      options: {},
      input: { completion: "<think>A lynx.</think><answer>Tabby cat</answer>", fields: { choices } },
      expect: 1,
    },
    { options: {}, input: { completion: "<answer>lynx</answer>", fields: { choices } }, expect: 0 },
    {
      options: {},
      input: {
        completion: "<think> e3 f4 </think> <answer> G1 s1 </answer>",
        fields: { choices: ["G1 s1", "G2 s5"], evidence: { "G1 s1": ["e1", "f4"], "G2 s5": ["e3", "f4"] } },
      },
      expect: 1,
    },
  ],
});
