/**
 * Why a run does not learn: every cause that a run's files can show, the most telling first. `rlpt why` asks these, and
 * docs/reading-metrics.md is written from them. Causes that runs watch for themselves come from the table of alarms.
 */
import { printableLine } from "../../lib/printable.ts";
import { alarmNamed, ENTROPY_ACCURACY } from "../../run/alarm-kinds.ts";
import { mappingAt } from "../read-run.ts";
import type { Course, Facts, PartFacts } from "./facts.ts";
import type { SectionId } from "./sections.ts";

/** A finding counts when windows lie so many standard errors apart. */
export const APART = 3;
/** Share of groups without a difference above which too few are left to learn from. */
const EQUAL = 0.8;
/** Shares of completions. */
const CUT = 0.05;
const UNREAD = 0.2;
/** Share of tokens. */
const CLIPPED = 0.1;
/** Times the stage's median gradient norm. */
const SPIKE = 10;
/** Share of the first loss that is left where nothing was learnt. */
const LOSS_LEFT = 0.99;

/** Columns by name; first and last mean. */
export type Figures = Readonly<Record<string, Pick<Course, "was" | "is"> | number | string>>;

export interface Evidence {
  sentence: string;
  figures: Figures;
}

export interface Cause {
  name: string;
  section: SectionId;
  /** When it is found, for the docs. */
  found: string;
  /** What to change first. */
  change: string;
  /** It needs the first and the last steps apart: not before two windows. */
  compares: boolean;
  /** What shows it; null where it is not there. */
  test(facts: Facts): Evidence | null;
}

export const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
export const digits = (value: number) => String(Number(value.toPrecision(3)));

/** The windows' means of the columns that there are. */
export function figuresOf({ course }: Facts, ...columns: readonly string[]): Figures {
  return Object.fromEntries(
    columns.flatMap((name) => {
      const found = course(name);
      return found === null ? [] : [[name, { was: found.was, is: found.is }]];
    }),
  );
}

/** An alarm that lasts to the end of the run. */
function alarm(name: string, section: SectionId, ...columns: readonly string[]): Cause {
  const { meaning, remedy } = alarmNamed(name);
  return {
    name,
    section,
    found: `[its alarm](alarms.md#${name}) lasts to the last step. ${meaning}`,
    change: remedy,
    compares: true,
    test: (facts) => {
      const span = facts.alarms.find((one) => one.name === name && one.lasts);
      if (span === undefined) return null;
      const numbers = span.message === null ? "" : ` (${span.message})`;
      return {
        sentence: `The alarm ${name} began at step ${span.from} and lasts${numbers}. ${meaning}`,
        figures: figuresOf(facts, ...columns),
      };
    },
  };
}

const lasting = ({ alarms }: Facts, ...names: readonly string[]) =>
  alarms.some(({ name, lasts }) => lasts && (names.length === 0 || names.includes(name)));

/** What stands above a share in the last steps. */
function above(column: string, bound: number, words: (share: number) => string): Cause["test"] {
  return (facts) => {
    const share = facts.course(column)?.is ?? 0;
    return share >= bound ? { sentence: words(share), figures: figuresOf(facts, column) } : null;
  };
}

/** Rewards, right answers or the held-out problems got better by more than noise. */
export function learns({ course, evaluations }: Facts): boolean {
  const up = ["accuracy", "reward/mean", "dpo/accuracy"].some((name) => (course(name)?.errors ?? 0) >= APART);
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  const better = first !== undefined && (last?.low ?? 0) > first.accuracy;
  return up || better;
}

/** Nearly everything is right: what is left to learn is little. */
export const solved = ({ course }: Facts) => (course("accuracy")?.is ?? 0) >= ENTROPY_ACCURACY;

/** The same for every completion, and from the beginning to the end. */
export function isFlat({ course, groups }: PartFacts): boolean {
  if (groups !== null) return groups.differ === 0 && Math.abs(course.is - course.was) <= 1e-6;
  return course.is === course.was;
}

export const causes: readonly Cause[] = [
  {
    name: "reward_fails",
    section: "reward",
    found: "`status/error` or `status/timeout` above 0 in the last steps",
    change:
      "Mend the reward first (`rlpt reward test`; the notes of its parts are in samples.jsonl): a score of these completions means nothing.",
    compares: false,
    test: (facts) => {
      const share = (facts.course("status/error")?.is ?? 0) + (facts.course("status/timeout")?.is ?? 0);
      if (share === 0) return null;
      return {
        sentence: `Scoring failed for ${percent(share)} of the completions.`,
        figures: figuresOf(facts, "status/error", "status/timeout"),
      };
    },
  },
  alarm("reward_hacking", "reward", "reward/mean", "accuracy"),
  alarm("dead_groups_truncated", "tokens", "group/all_truncated", "group/equal_shaped"),
  {
    name: "truncated",
    section: "tokens",
    found: `\`completion/truncated\` ${CUT} or more in the last steps, and no alarm for it`,
    change: "Raise rollout.max_new_tokens, or look in samples.jsonl for text that goes in circles.",
    compares: false,
    test: (facts) =>
      lasting(facts, "dead_groups_truncated")
        ? null
        : above(
            "completion/truncated",
            CUT,
            (share) => `${percent(share)} of the completions hit the token limit before they answered.`,
          )(facts),
  },
  alarm("dead_groups_unparsed", "groups", "group/all_unparsed", "group/equal_shaped"),
  {
    name: "unparsed",
    section: "reward",
    found: `\`status/unparsed\` ${UNREAD} or more in the last steps, and no alarm for it`,
    change: "Ask for the format in the prompt, teach it in a supervised stage, or reward it.",
    compares: false,
    test: (facts) =>
      lasting(facts, "dead_groups_unparsed", "dead_groups_truncated")
        ? null
        : above(
            "status/unparsed",
            UNREAD,
            (share) => `No reward part can read ${percent(share)} of the completions.`,
          )(facts),
  },
  alarm("dead_groups_wrong", "groups", "group/all_wrong", "group/equal_shaped"),
  alarm("dead_groups_right", "groups", "group/all_right", "group/equal_shaped"),
  alarm("accuracy_collapse", "policy", "accuracy", "optim/grad_norm"),
  alarm("length_drift", "tokens", "tokens/completion_mean", "accuracy"),
  alarm("mode_collapse", "policy", "completion/thinking"),
  alarm("boundary_collapse", "heldout", "completion/thinking"),
  alarm("entropy_collapse", "policy", "policy/entropy", "accuracy"),
  {
    name: "large_steps",
    section: "policy",
    found: `\`policy/clip_fraction\` ${CLIPPED} or more in the last steps`,
    change:
      "Lower optimizer.lr, or make fewer updates with each rollout (algorithm.epochs, algorithm.minibatches).",
    compares: false,
    test: above(
      "policy/clip_fraction",
      CLIPPED,
      (share) => `The updates are too large: ${percent(share)} of the tokens were clipped.`,
    ),
  },
  {
    name: "spikes",
    section: "policy",
    found: `\`optim/grad_norm\` of one of the last steps ${SPIKE} times the stage's median or more`,
    change: "Lower optimizer.lr or optimizer.clip_norm, and start again from a checkpoint before the spike.",
    compares: true,
    test: (facts) => {
      const norms = facts.values("optim/grad_norm");
      const median = [...norms].sort((a, b) => a - b)[Math.floor(norms.length / 2)] ?? 0;
      const largest = Math.max(0, ...norms.slice(-facts.window));
      if (median === 0 || largest < SPIKE * median) return null;
      return {
        sentence: `The gradient spikes to ${digits(largest)}, ${digits(largest / median)} times its median.`,
        figures: { "optim/grad_norm, largest of the last": largest, "optim/grad_norm, median": median },
      };
    },
  },
  {
    name: "blind_critic",
    section: "policy",
    found: "`critic/explained_variance` below 0 in the last steps",
    change:
      "Raise algorithm.critic.lr or algorithm.critic.warmup_steps: values that know less than a constant add noise to every advantage.",
    compares: true,
    test: (facts) => {
      const explained = facts.course("critic/explained_variance");
      if (explained === null || explained.is >= 0) return null;
      return {
        sentence: `The critic predicts returns worse than their mean does (explained variance ${digits(explained.is)}).`,
        figures: figuresOf(facts, "critic/explained_variance"),
      };
    },
  },
  {
    name: "flat_part",
    section: "reward",
    found:
      "a part with a weight has one value for all completions of every recorded group, and the same mean in the first and the last steps",
    change:
      "Look at what the part reads (`rlpt reward test`), or drop it: a part that is the same for every completion moves no gradient, whatever its weight.",
    compares: true,
    test: (facts) => {
      const flat = facts.parts.filter((part) => part.weight !== 0 && isFlat(part));
      if (flat.length === 0) return null;
      const names = flat.map(({ name }) => printableLine(name)).join(", ");
      return {
        sentence: `${flat.length === 1 ? "A reward part is" : "Reward parts are"} flat: ${names}.`,
        figures: figuresOf(facts, ...flat.map(({ name }) => `reward/part/${name}`)),
      };
    },
  },
  {
    name: "reward_alone",
    section: "reward",
    found: `\`reward/mean\` up by ${APART} standard errors while neither training nor held-out accuracy rose, accuracy stays below ${ENTROPY_ACCURACY}, and no alarm for it`,
    change:
      "Read the best-rewarded completions in samples.jsonl, and compare reward/part/* with accuracy: something else than right answers is paid.",
    compares: true,
    test: (facts) => {
      const { course, evaluations } = facts;
      const [reward, accuracy] = [course("reward/mean"), course("accuracy")];
      if (reward === null || accuracy === null || reward.errors < APART || accuracy.errors > 1) return null;
      if (lasting(facts, "reward_hacking")) return null;
      const [first, last] = [evaluations[0], evaluations.at(-1)];
      if (solved(facts) || (first && last && last.accuracy > first.accuracy)) return null;
      return {
        sentence: `The reward rises and accuracy does not: ${digits(reward.was)} to ${digits(reward.is)}, and ${percent(accuracy.was)} to ${percent(accuracy.is)}.`,
        figures: figuresOf(facts, "reward/mean", "accuracy"),
      };
    },
  },
  {
    name: "bound_reached",
    section: "groups",
    found: "`group/filled` above 0 in the last steps, below full accuracy",
    change:
      "Choose problems nearer to what the policy can do (sampler: success-rate, or other data): redrawing finds no groups with a difference.",
    compares: false,
    test: (facts) =>
      solved(facts)
        ? null
        : above(
            "group/filled",
            Number.MIN_VALUE,
            () => "Dynamic sampling reached its bound and filled the batch with groups that teach nothing.",
          )(facts),
  },
  {
    name: "equal_groups",
    section: "groups",
    found: `\`group/equal_shaped\` ${EQUAL} or more in the last steps, and neither reward nor accuracy rose, and no alarm names the cause`,
    change:
      "Choose easier or harder problems (sampler: success-rate), larger groups, or redraw such groups (algorithm.dynamic_sampling).",
    compares: true,
    test: (facts) => {
      const equal = facts.course("group/equal_shaped");
      if (!facts.groups || equal === null || equal.is < EQUAL || learns(facts)) return null;
      if (lasting(facts) || solved(facts)) return null;
      return {
        sentence: `Nothing to learn from: in ${percent(equal.is)} of the groups all completions earn the same.`,
        figures: figuresOf(facts, "group/equal_shaped", "group/all_right", "group/all_wrong"),
      };
    },
  },
  {
    name: "still",
    section: "policy",
    found: `neither reward nor accuracy differs by ${APART} standard errors between the first and the last steps, held-out accuracy stays within its interval, below ${ENTROPY_ACCURACY} training accuracy, and neither an alarm nor equal_groups says why`,
    change:
      "Raise optimizer.lr (by 3 at a time) or train longer; then larger groups or batches, for a gradient with less noise.",
    compares: true,
    test: (facts) => {
      const names = ["reward/mean", "accuracy"];
      if (causes.some(({ name, test }) => name === "equal_groups" && test(facts) !== null)) return null;
      if (facts.course("accuracy") === null || learns(facts) || solved(facts) || lasting(facts)) return null;
      if (names.some((name) => Math.abs(facts.course(name)?.errors ?? 0) >= APART)) return null;
      const lr = mappingAt(facts.recipe, "optimizer")["lr"];
      return {
        sentence: `Nothing has changed that is more than noise${typeof lr === "number" ? ` at a learning rate of ${digits(lr)}` : ""}.`,
        figures: {
          ...figuresOf(facts, ...names, "policy/update_kl", "optim/grad_norm"),
          ...(typeof lr === "number" ? { "optimizer.lr": lr } : {}),
        },
      };
    },
  },
  {
    name: "flat_loss",
    section: "policy",
    found: `\`sft/loss\` or \`dpo/loss\` in the last steps still ${LOSS_LEFT} of the first or more`,
    change: "Raise optimizer.lr, or train longer; with LoRA a larger rank.",
    compares: true,
    test: (facts) => {
      const column = ["sft/loss", "dpo/loss"].find((name) => facts.course(name) !== null);
      if (column === undefined) return null;
      const { was, is } = facts.course(column)!;
      if (is < LOSS_LEFT * was) return null;
      return {
        sentence: `The loss has not fallen: ${digits(was)} to ${digits(is)}.`,
        figures: figuresOf(facts, column),
      };
    },
  },
];
