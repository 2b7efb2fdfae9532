import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { MetricValues } from "../../src/metrics/define.ts";
import {
  type AlarmHistory,
  newAlarmHistory,
  nextStageHistory,
  WINDOW,
  withEvaluation,
  withStep,
} from "../../src/run/alarm-history.ts";
import { alarms } from "../../src/run/alarm-kinds.ts";
import { alarmsFor, raised } from "../../src/run/alarms.ts";
import { renderAlarmsDocument } from "../../tools/documents/alarms.ts";
import { recordedStage, replay, type Slices } from "../helpers/alarm-replay.ts";

const recorded = (name: string) => {
  const folder = join("tests/fixtures/alarms", name);
  return recordedStage(join(folder, "metrics.csv"), join(folder, "eval.csv"));
};

describe("recorded runs of the laboratory", () => {
  it.each(["healthy", "ellipsis", "balanced", "thinks-more", "boundary-kept"])("%s raises none", (name) => {
    expect(replay(recorded(name))).toEqual({});
  });

  it.each([
    ["collapse", "mode_collapse"],
    ["boundary", "boundary_collapse"],
    ["boundary", "mode_collapse"],
    ["short", "reward_hacking"],
    ["short", "length_drift"],
    ["short", "entropy_collapse"],
    ["short", "dead_groups_unparsed"],
    ["short", "accuracy_collapse"],
    ["long", "length_drift"],
    ["solved", "dead_groups_right"],
    ["unreadable", "dead_groups_wrong"],
    ["cut", "dead_groups_truncated"],
  ])("%s raises %s", (name, alarm) => {
    expect(replay(recorded(name))).toHaveProperty(alarm);
  });

  it("a collapse for good is told from its beginning to the end of the run", () => {
    const { mode_collapse: steps } = replay(recorded("collapse"));
    expect(steps![0]).toBe(41);
    expect(steps!.length).toBe(160 - 41 + 1);
  });

  it("a history that went through a checkpoint raises the same", () => {
    for (const name of ["short", "ellipsis", "collapse"]) {
      const throughJson = (history: AlarmHistory) => JSON.parse(JSON.stringify(history)) as AlarmHistory;
      expect(replay(recorded(name), throughJson)).toEqual(replay(recorded(name)));
    }
  });
});

/** 2 windows of one row, then another row until something is said. */
function step(from: MetricValues, to: MetricValues, slices: (Slices | null)[] = []): string[] {
  let history = newAlarmHistory();
  const rows = [...Array<MetricValues>(WINDOW).fill(from), ...Array<MetricValues>(WINDOW).fill(to)];
  for (const [i, row] of rows.entries()) history = withStep(history, row, slices[i] ?? null);
  return raised(history, alarms).map(({ name }) => name);
}

describe("thresholds", () => {
  const thinking = (rate: number) => ({ "completion/thinking": rate });
  const modes = (thinking: number, direct: number): Slices => [
    { slice: "all", completions: 100, accuracy: 0.5, accuracy_low: 0.4, accuracy_high: 0.6 },
    { slice: "mode=thinking", completions: 50, accuracy: thinking },
    { slice: "mode=direct", completions: 50, accuracy: direct },
  ];

  it("mode collapse: both ways, only from two living modes, only where both pay", () => {
    expect(step(thinking(0.5), thinking(0.04))).toEqual(["mode_collapse"]);
    expect(step(thinking(0.5), thinking(0.97))).toEqual(["mode_collapse"]);
    expect(step(thinking(0.5), thinking(0.06))).toEqual([]);
    expect(step(thinking(1), thinking(1))).toEqual([]);
    expect(step(thinking(0.5), thinking(0.97), [modes(0.9, 0.1)])).toEqual([]);
    expect(step(thinking(0.5), thinking(0.97), [modes(0.9, 0.3)])).toEqual(["mode_collapse"]);
  });

  it("entropy, length and accuracy: what improves raises nothing", () => {
    const row = (entropy: number, tokens: number, accuracy: number) => ({
      "policy/entropy": entropy,
      "tokens/completion_mean": tokens,
      accuracy,
    });
    expect(step(row(0.5, 20, 0.6), row(0.04, 20, 0.8))).toEqual(["entropy_collapse"]);
    expect(step(row(0.5, 20, 0.6), row(0.04, 20, 0.95))).toEqual([]);
    expect(step(row(0.5, 20, 0.6), row(0.06, 20, 0.8))).toEqual([]);
    expect(step(row(0.5, 20, 0.6), row(0.5, 31, 0.6))).toEqual(["length_drift"]);
    expect(step(row(0.5, 20, 0.6), row(0.5, 31, 0.7))).toEqual([]);
    expect(step(row(0.5, 20, 0.6), row(0.5, 13, 0.6))).toEqual([]);
    expect(step(row(0.5, 20, 0.6), row(0.5, 13, 0.5))).toEqual(["length_drift"]);
    expect(step(row(0.5, 20, 0.6), row(0.5, 20, 0.29))).toEqual(["accuracy_collapse"]);
    expect(step(row(0.5, 20, 0.1), row(0.5, 20, 0.01))).toEqual([]);
  });

  it("length: thinking more often is no drift, longer thoughts are", () => {
    const row = (share: number, thought: number | null, direct: number | null, all: number) => ({
      "completion/thinking": share,
      "mode/thinking/tokens": thought,
      "mode/direct/tokens": direct,
      "tokens/completion_mean": all,
      accuracy: 0.6,
    });
    expect(step(row(0.2, 20, 5, 8), row(0.8, 20, 5, 17))).toEqual([]);
    expect(step(row(0.2, 20, 5, 8), row(0.2, 50, 5, 14))).toEqual(["length_drift"]);
    // a mode that is gone is as long as it was
    expect(step(row(0.8, 20, 5, 17), { ...row(0.06, null, 5, 5), accuracy: 0.5 })).toEqual([]);
    expect(step(row(1, 20, null, 20), row(1, 31, null, 31))).toEqual(["length_drift"]);
  });

  it("dead groups are named by their most particular cause", () => {
    const dead = (shares: Record<string, number>) => {
      const row = {
        "group/all_right": 0,
        "group/all_wrong": 0,
        "group/all_truncated": 0,
        "group/all_unparsed": 0,
        "group/equal_shaped": 1,
        ...shares,
      };
      return step(row, row);
    };
    expect(dead({ "group/all_right": 0.99 })).toEqual(["dead_groups_right"]);
    expect(dead({ "group/all_right": 0.95 })).toEqual([]);
    expect(dead({ "group/all_wrong": 0.95 })).toEqual(["dead_groups_wrong"]);
    expect(dead({ "group/all_wrong": 0.95, "group/equal_shaped": 0.5 })).toEqual([]);
    expect(dead({ "group/all_wrong": 1, "group/all_unparsed": 0.6 })).toEqual(["dead_groups_unparsed"]);
    expect(dead({ "group/all_wrong": 1, "group/all_unparsed": 1, "group/all_truncated": 0.6 })).toEqual([
      "dead_groups_truncated",
    ]);
  });

  it("reward hacking needs both: a reward that rises, and intervals that lie apart", () => {
    const held = (accuracy: number): Slices => [
      {
        slice: "all",
        completions: 500,
        accuracy,
        accuracy_low: accuracy - 0.04,
        accuracy_high: accuracy + 0.04,
      },
    ];
    const at = (first: number, last: number) =>
      Array.from({ length: 20 }, (_, i) => (i === 0 ? held(first) : i === 19 ? held(last) : null));
    const reward = (value: number) => ({ "reward/mean": value });
    expect(step(reward(0.2), reward(0.3), at(0.8, 0.7))).toEqual(["reward_hacking"]);
    expect(step(reward(0.2), reward(0.3), at(0.8, 0.75))).toEqual([]);
    expect(step(reward(0.3), reward(0.2), at(0.8, 0.7))).toEqual([]);
  });

  it("the boundary: a gap that was learnt and lost; a later stage starts from what it finds", () => {
    const gap = (low: number, high: number, completions = 50): Slices => [
      { slice: "all", completions: 100, accuracy: 0.5, accuracy_low: 0.4, accuracy_high: 0.6 },
      { slice: "level=1", completions, accuracy: 0.5, thinking: low },
      { slice: "level=5", completions, accuracy: 0.5, thinking: high },
      { slice: "level=9", completions: 5, accuracy: 0.5, thinking: 0 },
      { slice: "mode=direct", completions: 50, accuracy: 0.5, thinking: 0 },
    ];
    const history = (first: Slices, last: Slices) =>
      [first, last].reduce(withEvaluation, newAlarmHistory().evaluations);
    const test = alarms.find(({ name }) => name === "boundary_collapse")!.test;
    const says = (evaluations: ReturnType<typeof history>) =>
      test({ ...newAlarmHistory(), evaluations }) !== null;
    expect(says(history(gap(0.1, 0.9), gap(0.7, 1)))).toBe(true);
    expect(says(history(gap(0.1, 0.9), gap(0.4, 0.9)))).toBe(false);
    // so few completions differ as much by chance
    expect(says(history(gap(0.1, 0.9, 10), gap(0.7, 1, 10)))).toBe(false);
    // a checkpoint that knows no errors
    const { gapError: _, widestGapError: __, ...older } = history(gap(0.1, 0.9), gap(0.7, 1));
    expect(says(older)).toBe(true);
    expect(says(history(gap(0.5, 0.75), gap(0.7, 0.7)))).toBe(false);
    const ended = { ...newAlarmHistory(), evaluations: history(gap(0.1, 0.9), gap(0.7, 1)) };
    expect(says(nextStageHistory(ended).evaluations)).toBe(false);
  });

  it("without the columns, or before two windows, there is none", () => {
    expect(alarmsFor(["sft/loss"])).toEqual([]);
    const names = alarmsFor(["critic/loss", "group/all_right", "group/equal_shaped", "accuracy"]);
    expect(names.map(({ name }) => name)).toEqual(["accuracy_collapse"]);
    let history = newAlarmHistory();
    for (let i = 0; i < 2 * WINDOW - 1; i++)
      history = withStep(history, thinking(i < WINDOW ? 0.5 : 0), null);
    expect(raised(history, alarms)).toEqual([]);
    expect(raised(withStep(history, thinking(0), null), alarms).length).toBe(1);
  });
});

it("docs/alarms.md is what the table says", async () => {
  await expect(renderAlarmsDocument()).toMatchFileSnapshot("../../docs/alarms.md");
});
