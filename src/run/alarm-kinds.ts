/**
 * Every alarm: what raises it, what that means, and what to do; one declaration each, pure functions of the history. Config, runs,
 * documents and `rlpt why` read this table.
 */
import { mean, standardDeviation } from "../lib/math.ts";
import {
  type AlarmHistory,
  type AlarmRow,
  SLICE_COMPLETIONS,
  type Watched,
  WINDOW,
} from "./alarm-history.ts";

/** Mode collapse: share of a mode below which it has vanished; and above which it was alive at the beginning. */
export const VANISHED = 0.05;
/** A mode pays when at least this share of its completions is right, as the last evaluation with 10 of them saw. */
export const PAYS = 0.2;
/** Boundary collapse: the gap between slices must once have been so wide, and have lost this share of it. */
export const BOUNDARY_GAP = 0.3;
export const BOUNDARY_LEFT = 0.5;
/** Standard errors that it must have lost: small evaluations have wide gaps by chance, and the widest is a pick. */
export const BOUNDARY_ERRORS = 4;
/** Entropy collapse: share of the first entropy that is left, while accuracy is below the bound. */
export const ENTROPY_LEFT = 0.1;
export const ENTROPY_ACCURACY = 0.9;
/** Length drift: ratio to the first length, either way, and the accuracy that would justify it. */
export const LENGTH_RATIO = 1.5;
export const LENGTH_ACCURACY = 0.05;
/** Dead groups by cause: share of all groups. */
export const DEAD_RIGHT = 0.98;
export const DEAD_WRONG = 0.9;
export const DEAD_CUT = 0.5;
/** Reward up: standard errors between the means of first and last window. */
export const REWARD_UP = 3;
/** Accuracy collapse: share of the first accuracy that is left, where there was some. */
export const ACCURACY_LEFT = 0.5;
export const ACCURACY_FLOOR = 0.2;

export interface Alarm {
  name: string;
  /** Columns without which it is silent. */
  needs: readonly Watched[];
  /** Only where advantages compare the completions of a group. */
  groups?: true;
  /** For docs/alarms.md. */
  threshold: string;
  meaning: string;
  remedy: string;
  /** What is wrong, in numbers; null when nothing is. Both windows are full. */
  test(history: AlarmHistory): string | null;
}

/** Alarms that an algorithm can raise, before any column is known. */
export function alarmsOf({ samples, critic }: { samples: boolean; critic: boolean }): Alarm[] {
  return samples ? alarms.filter(({ groups }) => groups === undefined || !critic) : [];
}

/** @throws Error for a name that no alarm has */
export function alarmNamed(name: string): Alarm {
  const found = alarms.find((alarm) => alarm.name === name);
  if (found === undefined) throw new Error(`no alarm ${name}`);
  return found;
}

/** Mean of a metric over rows that have it; null when none has. */
function average(rows: readonly AlarmRow[], name: Watched): number | null {
  // rows of checkpoints that knew fewer metrics lack some
  const values = rows.flatMap((row) => row[name] ?? []);
  return values.length === 0 ? null : mean(values);
}

/** First and present mean of a metric. */
function windows({ first, last }: AlarmHistory, name: Watched): { was: number; is: number } | null {
  const [was, is] = [average(first, name), average(last, name)];
  return was === null || is === null ? null : { was, is };
}

/**
 * First and present mean length, the present one as it would be with the first window's share of thinking: a policy
 * that thinks more often is longer without writing a token more when it does.
 */
function lengths(history: AlarmHistory): { was: number; is: number } | null {
  const all = windows(history, "tokens/completion_mean");
  const share = average(history.first, "completion/thinking");
  const modes = (["mode/thinking/tokens", "mode/direct/tokens"] as const).map((name) => {
    const [was, is] = [average(history.first, name), average(history.last, name)];
    return was === null ? null : { was, is: is ?? was };
  });
  const [thinking, direct] = modes;
  if (all === null || share === null || !thinking || !direct) return all;
  const mixed = (of: "was" | "is") => share * thinking[of] + (1 - share) * direct[of];
  return { was: mixed("was"), is: mixed("is") };
}

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;

function deadGroups(cause: Watched, bound: number, words: string): Alarm["test"] {
  return ({ last }) => {
    const share = average(last, cause) ?? 0;
    const equal = average(last, "group/equal_shaped") ?? 0;
    return share >= bound && equal >= bound ? `${percent(share)} of the groups are ${words}` : null;
  };
}

export const alarms: readonly Alarm[] = [
  {
    name: "mode_collapse",
    needs: ["completion/thinking"],
    threshold: `thinking rate below ${VANISHED} or above ${1 - VANISHED}, both modes above ${VANISHED} in the first window, and each right in at least ${PAYS} of its completions when an evaluation last saw ${SLICE_COMPLETIONS} of them (not yet seen counts as right)`,
    meaning:
      "One of thinking and answering directly is no longer sampled, though both earn rewards. Groups without the rare mode give it no gradient: it does not come back by itself.",
    remedy:
      "Balance the modes (shaping mode-balance with a larger lambda), force samples of each mode (rollout.mode_samples), or go back to a checkpoint from before and lower the learning rate.",
    test: (history) => {
      const rate = windows(history, "completion/thinking");
      if (rate === null || Math.min(rate.was, 1 - rate.was) < VANISHED) return null;
      const { thinking, direct } = history.evaluations;
      if ((thinking ?? 1) < PAYS || (direct ?? 1) < PAYS) return null;
      if (rate.is > VANISHED && rate.is < 1 - VANISHED) return null;
      return `thinking went from ${percent(rate.was)} to ${percent(rate.is)} of the completions`;
    },
  },
  {
    name: "boundary_collapse",
    needs: ["completion/thinking"],
    threshold: `largest minus smallest thinking rate over the slices of an evaluation (${SLICE_COMPLETIONS} completions or more each): once ${BOUNDARY_GAP} or more, now below ${BOUNDARY_LEFT} of its widest, and by ${BOUNDARY_ERRORS} standard errors of the two`,
    meaning:
      "The policy no longer tells problems that need thought from those that do not: training data of one kind drives the decision for all.",
    remedy:
      "Mask the decision token (algorithm.mask_decision), mix problems of both kinds into the stage, or penalise needless thought (rewards of kind trigger).",
    test: ({ evaluations: { gap, widestGap, gapError, widestGapError } }) => {
      if (gap === null || widestGap === null || widestGap < BOUNDARY_GAP) return null;
      if (gap >= BOUNDARY_LEFT * widestGap) return null;
      if (widestGap - gap < BOUNDARY_ERRORS * Math.hypot(gapError ?? 0, widestGapError ?? 0)) return null;
      return `thinking rates of the slices lie ${percent(gap)} apart, once ${percent(widestGap)}`;
    },
  },
  {
    name: "entropy_collapse",
    needs: ["policy/entropy", "accuracy"],
    threshold: `entropy below ${ENTROPY_LEFT} of the first window's, at a training accuracy below ${ENTROPY_ACCURACY}`,
    meaning:
      "The policy has stopped exploring before it has learnt the task. Entropy that falls because nearly everything is right raises no alarm.",
    remedy:
      "Lower the learning rate, raise algorithm.clip.high (DAPO's clip-higher), add a KL to the reference, or raise the sampling temperature.",
    test: (history) => {
      const entropy = windows(history, "policy/entropy");
      const accuracy = average(history.last, "accuracy");
      if (entropy === null || accuracy === null || accuracy >= ENTROPY_ACCURACY) return null;
      if (entropy.is >= ENTROPY_LEFT * entropy.was) return null;
      return `entropy went from ${entropy.was.toPrecision(2)} to ${entropy.is.toPrecision(2)} nats at an accuracy of ${percent(accuracy)}`;
    },
  },
  {
    name: "dead_groups_right",
    needs: ["group/all_right", "group/equal_shaped"],
    groups: true,
    threshold: `${DEAD_RIGHT} of the groups all right, and as many of equal rewards after shaping`,
    meaning: "The training problems are solved: nothing is left to compare.",
    remedy: "Stop, or go on with harder problems.",
    test: deadGroups("group/all_right", DEAD_RIGHT, "all right"),
  },
  {
    name: "dead_groups_wrong",
    needs: ["group/all_wrong", "group/equal_shaped"],
    groups: true,
    threshold: `${DEAD_WRONG} of the groups all wrong, and as many of equal rewards after shaping; not where dead_groups_truncated or dead_groups_unparsed says why`,
    meaning: "The training problems are too hard, or the reward does not see right answers.",
    remedy:
      "Look into samples.jsonl first; then use easier problems, larger groups, or a supervised stage before this one.",
    test: (history) => {
      const cut = average(history.last, "group/all_truncated") ?? 0;
      const unparsed = average(history.last, "group/all_unparsed") ?? 0;
      if (Math.max(cut, unparsed) >= DEAD_CUT) return null;
      return deadGroups("group/all_wrong", DEAD_WRONG, "all wrong")(history);
    },
  },
  {
    name: "dead_groups_truncated",
    needs: ["group/all_truncated", "group/equal_shaped"],
    groups: true,
    threshold: `${DEAD_CUT} of the groups all cut at the token limit, and as many of equal rewards after shaping`,
    meaning: "Completions do not end within rollout.max_new_tokens.",
    remedy: "Raise rollout.max_new_tokens, or look in samples.jsonl for text that goes in circles.",
    test: deadGroups("group/all_truncated", DEAD_CUT, "cut at the token limit"),
  },
  {
    name: "dead_groups_unparsed",
    needs: ["group/all_unparsed", "group/equal_shaped"],
    groups: true,
    threshold: `${DEAD_CUT} of the groups all unparsed, and as many of equal rewards after shaping; not where dead_groups_truncated says why`,
    meaning: "No reward part can read the completions.",
    remedy: "Ask for the format in the prompt, teach it in a supervised stage, or reward it.",
    test: (history) => {
      if ((average(history.last, "group/all_truncated") ?? 0) >= DEAD_CUT) return null;
      return deadGroups("group/all_unparsed", DEAD_CUT, "unparsed")(history);
    },
  },
  {
    name: "length_drift",
    needs: ["tokens/completion_mean", "accuracy"],
    threshold: `completions ${LENGTH_RATIO} times as long as in the first window while accuracy gained less than ${LENGTH_ACCURACY}, or as much shorter while it lost more than that; with both modes measured, at the first window's share of thinking`,
    meaning: "Length itself is being learnt: what changes does not buy right answers.",
    remedy: "Look for a reward that grows with length (or penalises it), and for normalisation by length.",
    test: (history) => {
      const length = lengths(history);
      const accuracy = windows(history, "accuracy");
      if (length === null || accuracy === null) return null;
      const gain = accuracy.is - accuracy.was;
      const longer = length.is >= LENGTH_RATIO * length.was && gain < LENGTH_ACCURACY;
      const shorter = length.is * LENGTH_RATIO <= length.was && gain < -LENGTH_ACCURACY;
      if (!longer && !shorter) return null;
      return `completions went from ${length.was.toFixed(1)} to ${length.is.toFixed(1)} tokens, accuracy from ${percent(accuracy.was)} to ${percent(accuracy.is)}`;
    },
  },
  {
    name: "reward_hacking",
    needs: ["reward/mean"],
    threshold: `training reward up by ${REWARD_UP} standard errors of the two windows' means, while the interval of the held-out accuracy lies wholly below that of the best evaluation`,
    meaning: "The reward is earned by something else than right answers.",
    remedy: "Compare reward/part/* with accuracy, and read the best-rewarded completions in samples.jsonl.",
    test: (history) => {
      const { best, last } = history.evaluations;
      if (best === null || last === null || last.high >= best.low) return null;
      const values = (rows: readonly AlarmRow[]) => rows.map((row) => row["reward/mean"] ?? 0);
      const [was, is] = [values(history.first), values(history.last)];
      const error = Math.sqrt((standardDeviation(was, 1) ** 2 + standardDeviation(is, 1) ** 2) / WINDOW);
      if (mean(is) - mean(was) <= REWARD_UP * error) return null;
      return `reward went from ${mean(was).toFixed(3)} to ${mean(is).toFixed(3)}, held-out accuracy from ${percent(best.accuracy)} to ${percent(last.accuracy)}`;
    },
  },
  {
    name: "accuracy_collapse",
    needs: ["accuracy"],
    threshold: `training accuracy below ${ACCURACY_LEFT} of the first window's, where that was ${ACCURACY_FLOOR} or more`,
    meaning: "Training has destroyed what the model could do.",
    remedy:
      "Lower the learning rate and start again from an earlier checkpoint; optim/grad_norm shows when it began.",
    test: (history) => {
      const accuracy = windows(history, "accuracy");
      if (accuracy === null || accuracy.was < ACCURACY_FLOOR) return null;
      if (accuracy.is >= ACCURACY_LEFT * accuracy.was) return null;
      return `accuracy went from ${percent(accuracy.was)} to ${percent(accuracy.is)}`;
    },
  },
];
