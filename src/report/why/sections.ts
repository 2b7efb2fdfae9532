/** What to look at in a run, in this order: how docs/reading-metrics.md explains it, and what `rlpt why` says of one run. */
import { printableLine } from "../../lib/printable.ts";
import { stageStarts } from "../series.ts";
import { digits, type Evidence, figuresOf, isFlat, percent } from "./causes.ts";
import type { Facts, PartFacts } from "./facts.ts";

export type SectionId = "heldout" | "groups" | "reward" | "tokens" | "policy" | "sampler";

export interface WhySection {
  id: SectionId;
  title: string;
  /** How to read it, for the docs; Markdown. */
  reading: string;
  tell(facts: Facts): Evidence[];
}

const change = ({ was, is }: { was: number; is: number }, show: (value: number) => string) =>
  show(was) === show(is) ? `stays at ${show(is)}` : `goes from ${show(was)} to ${show(is)}`;

export const sections: readonly WhySection[] = [
  {
    id: "heldout",
    title: "Held-out problems",
    reading:
      "Held-out accuracy with its interval. Training accuracy is sampled from what is trained on. A change within the interval is noise; `rlpt compare` pairs prompts and is sharper.",
    tell: ({ evaluations }) => {
      const [first, last] = [evaluations[0], evaluations.at(-1)];
      if (first === undefined || last === undefined)
        return [
          {
            sentence: "There is no evaluation: add data.eval to know what the policy does on other problems.",
            figures: {},
          },
        ];
      const show = ({ accuracy, low, high }: typeof last) =>
        `${percent(accuracy)}${low === null || high === null ? "" : ` [${percent(low)}, ${percent(high)}]`}`;
      const one = first === last;
      const noise = last.low !== null && last.low <= first.accuracy && first.accuracy <= (last.high ?? 1);
      return [
        {
          sentence: one
            ? `Held-out accuracy is ${show(last)} at step ${last.step}; there is no second evaluation to compare it with.`
            : `Held-out accuracy goes from ${show(first)} at step ${first.step} to ${show(last)} at step ${last.step}${noise ? ", which is within the interval" : ""}.`,
          figures: { "accuracy (eval.csv)": { was: first.accuracy, is: last.accuracy } },
        },
      ];
    },
  },
  {
    id: "groups",
    title: "What the groups did",
    reading:
      "A group whose completions earn the same has no advantage: `group/all_wrong` says too hard (or a reward that sees nothing), `group/all_right` too easy, `group/all_truncated` a limit too low, `group/all_unparsed` a format that was never learned. Above one half of `group/equal_shaped`, most of the time goes into completions that teach nothing. With `algorithm.dynamic_sampling` such groups are drawn anew: `group/drawn` is what the batch has cost, and `group/filled` above 0 says that the bound was reached and that the problems are too easy or too hard. `prompts.csv` says which problems these are.",
    tell: (facts) => {
      const equal = facts.course("group/equal_shaped");
      if (equal === null) return [];
      const kinds = [
        ["group/all_right", "all right"],
        ["group/all_wrong", "all wrong"],
        ["group/all_truncated", "all cut at the token limit"],
        ["group/all_unparsed", "all unparsed"],
      ] as const;
      const shares = kinds.flatMap(([name, words]) => {
        const share = facts.course(name)?.is ?? 0;
        return share > 0 ? [`${percent(share)} are ${words}`] : [];
      });
      const told = facts.groups
        ? `${percent(equal.is)} of the groups have equal rewards and teach nothing${equal.was === equal.is ? "" : ` (at first ${percent(equal.was)})`}`
        : `${percent(equal.is)} of the groups have equal rewards, which a critic learns from all the same`;
      return [
        {
          sentence: `${told}. Of all groups ${shares.length === 0 ? "none is all right, all wrong, cut or unparsed" : shares.join(", ")}.`,
          figures: figuresOf(facts, "group/equal_shaped", ...kinds.map(([name]) => name)),
        },
        ...promptEvidence(facts),
      ];
    },
  },
  {
    id: "reward",
    title: "What the reward saw",
    reading:
      "A reward that rises while accuracy does not is being gamed. `reward/mean` is what the parts earn, `reward/shaped_mean` what is trained on; with shaping only the second can rise by balance or length alone. A part that is the same for every completion of a group moves no gradient.",
    tell: (facts) => {
      const [reward, accuracy] = [facts.course("reward/mean"), facts.course("accuracy")];
      if (reward === null) return [];
      return [
        {
          sentence: `The reward ${change(reward, digits)}${accuracy === null ? "" : `, training accuracy ${change(accuracy, percent)}`}.`,
          figures: figuresOf(facts, "reward/mean", "reward/shaped_mean", "accuracy"),
        },
        ...facts.parts.map((part) => ({
          sentence: partSentence(part),
          figures: figuresOf(facts, `reward/part/${part.name}`),
        })),
      ];
    },
  },
  {
    id: "tokens",
    title: "Where the tokens went",
    reading:
      "`tokens/completion_mean` with `tokens/correct_mean` and `tokens/wrong_mean`. Longer with more right is the method working; longer with as many right is length being rewarded.",
    tell: (facts) => {
      const evidence: Evidence[] = [];
      const length = facts.course("tokens/completion_mean");
      if (length !== null) evidence.push(lengthEvidence(facts, length));
      const [tokens, equal] = [facts.values("tokens/total"), facts.values("group/equal_shaped")];
      if (facts.groups && tokens.length > 0 && tokens.length === equal.length) {
        const all = tokens.reduce((sum, value) => sum + value, 0);
        const idle = tokens.reduce((sum, value, i) => sum + value * equal[i]!, 0);
        evidence.push({
          sentence: `Of ${all.toLocaleString("en")} sampled tokens about ${percent(idle / Math.max(1, all))} went into groups that teach nothing (were these as long as the others).`,
          figures: { "tokens/total, summed": all, "times group/equal_shaped": Math.round(idle) },
        });
      }
      return evidence;
    },
  },
  {
    id: "policy",
    title: "How the policy moved",
    reading:
      "Entropy (`policy/entropy`, nats a token) falls while a policy becomes sure. Near 0 below full accuracy means that it has stopped exploring. `optim/grad_norm` before clipping: spikes come before a collapse. `policy/clip_fraction` and `policy/update_kl` are 0 with one update per batch; with more, above a few percent means a step that is rather large.",
    tell: (facts) => {
      const told: [string, string, (value: number) => string][] = [
        ["sft/loss", "the supervised loss", digits],
        ["dpo/loss", "the preference loss", digits],
        ["dpo/accuracy", "the share of preferred texts", percent],
        ["policy/entropy", "entropy", (value) => `${digits(value)} nats`],
        ["optim/grad_norm", "the gradient's norm", digits],
        ["policy/clip_fraction", "the share of clipped tokens", percent],
        ["policy/update_kl", "the KL of an update", digits],
        ["completion/thinking", "the share of completions that think", percent],
      ];
      const said = told.flatMap(([name, words, show]) => {
        const course = facts.course(name);
        return course === null ? [] : [`${words} ${change(course, show)}`];
      });
      if (said.length === 0) return [];
      const sentence = `${said.join(", ")}.`;
      return [
        {
          sentence: sentence[0]!.toUpperCase() + sentence.slice(1),
          figures: figuresOf(facts, ...told.map(([name]) => name)),
        },
      ];
    },
  },
  {
    id: "sampler",
    title: "What a sampler or a shaping says of itself",
    reading:
      "`sampler/difficulty` rises while a curriculum opens; `sampler/success` near 0.5 says that the prompts are of the right difficulty. `shaping/target/{band}` falls while LASER-D's policy becomes shorter, and `shaping/short` says how many right completions get the bonus. With a sampler `accuracy` in `metrics.csv` is that of the prompts it chose: compare held-out accuracy.",
    tell: (facts) =>
      facts.columns
        .filter((name) => name.startsWith("sampler/") || name.startsWith("shaping/"))
        .map((name) => ({
          sentence: `${printableLine(name)} ${change(facts.course(name)!, digits)}.`,
          figures: figuresOf(facts, name),
        })),
  },
];

function lengthEvidence(facts: Facts, length: { was: number; is: number }): Evidence {
  const [right, wrong] = [facts.course("tokens/correct_mean"), facts.course("tokens/wrong_mean")];
  const cut = facts.course("completion/truncated");
  const both =
    right === null || wrong === null
      ? ""
      : `; right ones have ${right.is.toFixed(1)}, wrong ones ${wrong.is.toFixed(1)}`;
  return {
    sentence: `A completion's length ${change(length, (value) => `${value.toFixed(1)} tokens`)}${both}${cut === null ? "" : `; ${percent(cut.is)} are cut at the limit`}.`,
    figures: figuresOf(
      facts,
      "tokens/completion_mean",
      "tokens/correct_mean",
      "tokens/wrong_mean",
      "completion/truncated",
    ),
  };
}

function partSentence(part: PartFacts): string {
  const { name, weight, course, groups } = part;
  const differ =
    groups === null
      ? ""
      : groups.differ === 0
        ? `; it is the same for all completions in all ${groups.recorded} recorded groups of the last steps`
        : `; it tells completions apart in ${groups.differ} of ${groups.recorded} recorded groups of the last steps`;
  const weighs =
    weight === null ? "" : weight === 0 ? " (weight 0: it only measures)" : ` (weight ${weight})`;
  return `Part ${printableLine(name)}${weighs} ${change(course, digits)}${isFlat(part) ? ": flat" : ""}${differ}.`;
}

/** Problems that were drawn more than once, by what became of them. */
function promptEvidence({ run, stage }: Facts): Evidence[] {
  const seen = new Map<string, number[]>();
  for (const row of run.prompts) {
    const accuracy = Number(row["accuracy"]);
    if ((row["stage"] ?? "") !== stage || row["accuracy"] === "" || !Number.isFinite(accuracy)) continue;
    const id = row["prompt_id"] ?? "";
    seen.set(id, [...(seen.get(id) ?? []), accuracy]);
  }
  const again = [...seen.values()].filter((values) => values.length > 1);
  if (again.length === 0) return [];
  const never = again.filter((values) => values.every((value) => value === 0)).length;
  const always = again.filter((values) => values.every((value) => value === 1)).length;
  return [
    {
      sentence: `Of ${again.length} problems drawn more than once, ${never} were never answered right and ${always} always.`,
      figures: {
        "problems drawn again (prompts.csv)": again.length,
        "never right": never,
        "always right": always,
      },
    },
  ];
}

/** Alarms of the stage that are over, and those of earlier stages, which metrics.csv alone remembers. */
export function pastAlarms({ alarms, run, stage }: Facts): string[] {
  const over = alarms.filter(({ lasts }) => !lasts);
  const earlier = stageStarts(run.metrics)
    .filter((one) => one.stage !== stage)
    .flatMap((one) => {
      const rows = run.metrics.filter((row) => row["stage"] === one.stage);
      const names = run.metricColumns.filter(
        (name) => name.startsWith("alarm/") && rows.some((row) => Number(row[name]) > 0),
      );
      return names.map(
        (name) =>
          `In stage ${printableLine(one.stage)} the alarm ${printableLine(name.slice(6))} was raised.`,
      );
    });
  return [
    ...earlier,
    ...over.map(
      ({ name, from, to }) =>
        `The alarm ${name} was raised ${from === to ? `at step ${from}` : `between steps ${from} and ${to}`} and is over.`,
    ),
  ];
}
