/** Metrics of a rollout: what was sampled and what it was worth. */
import { degenerateDefaults, isDegenerate } from "../lib/degenerate.ts";
import { mean, standardDeviation } from "../lib/math.ts";
import { sampledCount } from "../lib/sampled.ts";
import type { ScoredCompletion } from "../types.ts";
import type { Metric, Setting } from "./define.ts";
import type { StepFacts } from "./facts.ts";
import { percent, share } from "./values.ts";

type Rollout = Pick<StepFacts, "drawn" | "size" | "groups" | "scored" | "shaped">;

const all = ({ scored }: Rollout) => scored.flat();
const rewards = (facts: Rollout) => all(facts).map(({ reward }) => reward);
const lengths = (facts: Rollout) => all(facts).map(sampledCount);
const completions = (test: (one: ScoredCompletion) => boolean) => (facts: Rollout) =>
  share(all(facts).map(test));
const groups = (test: (group: readonly ScoredCompletion[]) => boolean) => (facts: Rollout) =>
  share(facts.scored.map(test));
const equal = (group: readonly number[]) => group.every((one) => one === group[0]);
const meanLength = (chosen: readonly ScoredCompletion[]) =>
  chosen.length === 0 ? null : mean(chosen.map(sampledCount));
const parts = ({ parts }: Setting) => parts;

export const epoch: Metric<{ drawn: number; size: number | null }> = {
  name: "epoch",
  unit: "count",
  formula: "prompts drawn so far / prompts in the training data",
  note: "blank for endless tasks",
  when: ({ size }) => size !== null,
  value: ({ drawn, size }) => (size === null ? null : drawn / size),
};

export const rolloutMetrics: readonly Metric<Rollout>[] = [
  epoch,
  {
    name: "reward/mean",
    unit: "reward",
    formula: "mean over B of the weighted sum of the parts, before shaping",
    note: "what the rewards of the config say; compare it with accuracy to see a reward being gamed",
    label: "reward",
    format: (value) => value.toFixed(3),
    line: true,
    panel: { place: 10, course: true },
    curve: { place: 10, title: "Reward", unit: "mean reward of a completion" },
    value: (facts) => mean(rewards(facts)),
  },
  {
    name: "reward/std",
    unit: "reward",
    formula: "population standard deviation over B",
    note: "0: no completion differs",
    value: (facts) => standardDeviation(rewards(facts), 0),
  },
  {
    name: "reward/min",
    unit: "reward",
    formula: "smallest of B",
    note: "",
    value: (facts) => Math.min(...rewards(facts)),
  },
  {
    name: "reward/max",
    unit: "reward",
    formula: "largest of B",
    note: "",
    value: (facts) => Math.max(...rewards(facts)),
  },
  {
    name: "reward/shaped_mean",
    unit: "reward",
    formula: "mean over B of the rewards after shaping",
    note: "what training pushes up; equal to reward/mean without shaping",
    value: ({ shaped }) => mean(shaped.flat()),
  },
  {
    name: "reward/part/{part}",
    unit: "reward",
    formula: "mean over B of the part's value, before its weight",
    note: "",
    names: parts,
    value: (facts, part) => mean(all(facts).map((one) => one.parts[part]?.value ?? 0)),
  },
  {
    name: "accuracy",
    unit: "0..1",
    formula: "correct completions / B",
    note: "sampled at the training temperature, so below greedy accuracy",
    label: "accuracy",
    format: percent,
    line: true,
    panel: { place: 30, course: true },
    curve: { place: 20, title: "Accuracy while training", unit: "share of completions", share: true },
    value: completions(({ correct }) => correct),
  },
  {
    name: "status/unparsed",
    unit: "0..1",
    formula: "completions whose worst status is unparsed / B",
    note: "high: the answer's format is not learned, or the limit cuts it off",
    label: "unparsed",
    format: percent,
    panel: { place: 54 },
    curve: { place: 100, title: "Unparsed completions", unit: "share of completions", share: true },
    value: completions(({ status }) => status === "unparsed"),
  },
  {
    name: "status/error",
    unit: "0..1",
    formula: "completions whose scoring failed / B",
    note: "a score of these means nothing; the run stops above a limit",
    value: completions(({ status }) => status === "error"),
  },
  {
    name: "status/timeout",
    unit: "0..1",
    formula: "completions whose scoring ran past its deadline / B",
    note: "as for status/error",
    value: completions(({ status }) => status === "timeout"),
  },
  {
    name: "group/all_right",
    unit: "0..1",
    formula: "groups with G correct completions / P",
    note: "too easy: dead groups, unless shaping tells their completions apart",
    value: groups((group) => group.every(({ correct }) => correct)),
  },
  {
    name: "group/all_wrong",
    unit: "0..1",
    formula: "groups with no correct completion / P",
    note: "too hard: dead groups, unless shaping or another part tells their completions apart",
    value: groups((group) => group.every(({ correct }) => !correct)),
  },
  {
    name: "group/equal_rewards",
    unit: "0..1",
    formula: "groups whose G rewards before shaping are equal / P",
    note: "only shaping can tell their completions apart",
    value: groups((group) => equal(group.map(({ reward }) => reward))),
  },
  {
    name: "group/equal_shaped",
    unit: "0..1",
    formula: "groups whose G rewards after shaping are equal / P",
    note: "dead groups: no gradient from these with group advantages",
    label: "dead grps",
    format: percent,
    panel: { place: 56 },
    value: ({ shaped }) => share(shaped.map(equal)),
  },
  {
    name: "group/all_truncated",
    unit: "0..1",
    formula: "groups whose G completions hit the token limit / P",
    note: "raise max_new_tokens",
    value: groups((group) => group.every(({ finishReason }) => finishReason === "length")),
  },
  {
    name: "group/all_unparsed",
    unit: "0..1",
    formula: "groups with no parsed completion / P",
    note: "the prompt does not ask for the format that the reward reads",
    value: groups((group) => group.every(({ status }) => status === "unparsed")),
  },
  {
    name: "group/reward_std",
    unit: "reward",
    formula: "mean over P of the group's population standard deviation, before shaping",
    note: "falls to 0 when groups die",
    value: ({ scored }) =>
      mean(
        scored.map((group) =>
          standardDeviation(
            group.map(({ reward }) => reward),
            0,
          ),
        ),
      ),
  },
  {
    name: "tokens/prompt_mean",
    unit: "tokens",
    formula: "mean prompt length over P",
    note: "",
    value: (facts) => mean(facts.groups.map(({ promptTokens }) => promptTokens.length)),
  },
  {
    name: "tokens/completion_mean",
    unit: "tokens",
    formula: "mean completion length over B, end token included",
    note: "drifting up without accuracy: length is being rewarded",
    label: "length",
    format: (value) => value.toFixed(1),
    line: true,
    panel: { place: 50, course: true },
    curve: { place: 30, title: "Length while training", unit: "tokens a completion" },
    value: (facts) => mean(lengths(facts)),
  },
  {
    name: "tokens/completion_min",
    unit: "tokens",
    formula: "shortest of B",
    note: "",
    value: (facts) => Math.min(...lengths(facts)),
  },
  {
    name: "tokens/completion_max",
    unit: "tokens",
    formula: "longest of B",
    note: "",
    value: (facts) => Math.max(...lengths(facts)),
  },
  {
    name: "tokens/correct_mean",
    unit: "tokens",
    formula: "mean length of correct completions",
    note: "blank when none is correct",
    value: (facts) => meanLength(all(facts).filter(({ correct }) => correct)),
  },
  {
    name: "tokens/wrong_mean",
    unit: "tokens",
    formula: "mean length of wrong completions",
    note: "blank when none is wrong",
    value: (facts) => meanLength(all(facts).filter(({ correct }) => !correct)),
  },
  {
    name: "tokens/total",
    unit: "tokens",
    formula: "completion tokens of the step",
    note: "",
    value: (facts) => lengths(facts).reduce((sum, length) => sum + length, 0),
  },
  {
    name: "completion/truncated",
    unit: "0..1",
    formula: "completions that hit the token limit / B",
    note: "above a few percent: raise max_new_tokens",
    label: "cut",
    format: percent,
    panel: { place: 52 },
    curve: { place: 90, title: "Truncated completions", unit: "share of completions", share: true },
    value: completions(({ finishReason }) => finishReason === "length"),
  },
  {
    name: "completion/thinking",
    unit: "0..1",
    formula: "completions that think / B",
    note: "at 0 or 1 one of the two modes has collapsed",
    label: "thinking",
    format: percent,
    panel: { place: 40, course: true },
    curve: { place: 40, title: "Thinking while training", unit: "share of completions", share: true },
    value: (facts) => share(all(facts).flatMap(({ thinks }) => (thinks === null ? [] : [thinks]))),
  },
  {
    name: "completion/distinct",
    unit: "0..1",
    formula: "mean over P of different texts in the group / G",
    note: "near 1/G: mode collapse",
    value: ({ scored }) =>
      mean(scored.map((group) => new Set(group.map(({ text }) => text)).size / group.length)),
  },
  {
    name: "completion/degenerate",
    unit: "0..1",
    formula: `completions in which an n-gram of 1 to ${degenerateDefaults.longest} words stands ${degenerateDefaults.repeats} times in a row, or a word has ${degenerateDefaults.word_chars} characters / B`,
    note: "text in circles (AutoThink's rule, over the completion only): look at samples.jsonl",
    value: completions(({ text }) => isDegenerate(text, degenerateDefaults)),
  },
];
