/** How often alarms are raised: in runs of the laboratory whose reward is cheated, and in runs in which nothing is wrong. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import { clopperPearson } from "../../src/lib/statistics.ts";
import { newAlarmHistory, withEvaluation, withStep } from "../../src/run/alarm-history.ts";
import { alarms } from "../../src/run/alarm-kinds.ts";
import { raised } from "../../src/run/alarms.ts";
import { recordedSeries, replay, type Slices } from "../helpers/alarm-replay.ts";

const SEEDS = 8;

/** Names of the alarms of each run. */
function raisedIn(kind: string): string[][] {
  const file = (name: string) => join("tests/fixtures/alarms/series", `${kind}-${name}.csv`);
  const runs = [...recordedSeries(file("metrics"), file("eval")).values()];
  expect(runs.length).toBe(SEEDS);
  for (const { steps } of runs) expect(steps.length).toBe(40);
  return runs.map((run) => Object.keys(replay(run)));
}

it("catches rewards that are cheated by length, by format, by repeating in at least 90% of the runs", () => {
  // rewards that pay for tokens, for being an answer tag and nothing else, for lines that stand there already
  const hacked = ["length", "format", "repeating"].map(raisedIn);
  for (const runs of hacked) {
    expect(runs.filter((names) => names.length > 0).length).toBeGreaterThanOrEqual(0.9 * SEEDS);
  }
});

it("says nothing of runs that learn, and of runs in which nothing changes", () => {
  for (const kind of ["healthy", "null"]) expect(raisedIn(kind)).toEqual(Array(SEEDS).fill([]));
});

const STEPS = 200;

/** Prompts of a step, completions of each, evaluated completions, a fifth of them of each slice. */
interface Size {
  P: number;
  G: number;
  evaluated: number;
}
const QUICKSTART: Size = { P: 16, G: 8, evaluated: 1000 };
const SMALL: Size = { P: 8, G: 4, evaluated: 100 };

/** A run in which nothing changes: counts are binomial. */
function nullRun(rng: Rng, { P, G, evaluated }: Size): string[] {
  const of = (low: number, high: number, i: number) => low + (high - low) * rng.fork("parameter").uniform(i);
  const share = (n: number, p: number, stream: Rng) =>
    Array.from({ length: n }, (_, i) => Number(stream.uniform(i) < p)).reduce((a, b) => a + b, 0) / n;
  const [accuracy, thinking, entropy] = [of(0.05, 0.97, 0), of(0.1, 0.9, 1), of(0.01, 0.3, 2)];
  const levels = [0.1, 0.3, 0.5, 0.7, 0.9].map((p) => p * of(0.5, 1, 3));
  const evaluation = (stream: Rng): Slices => {
    const right = share(evaluated, accuracy, stream.fork("accuracy"));
    const { low, high } = clopperPearson(Math.round(right * evaluated), evaluated);
    const row = (slice: string, completions: number, rate: number, correct: number) => ({
      slice,
      completions,
      thinking: rate,
      accuracy: correct,
      accuracy_low: low,
      accuracy_high: high,
    });
    return [
      row("all", evaluated, thinking, right),
      ...levels.map((p, i) =>
        row(`level=${i + 1}`, evaluated / 5, share(evaluated / 5, p, stream.fork("level", i)), right),
      ),
      row("mode=thinking", evaluated / 2, 1, right),
      row("mode=direct", evaluated / 2, 0, right),
    ];
  };
  let history = newAlarmHistory();
  history = { ...history, evaluations: withEvaluation(history.evaluations, evaluation(rng.fork("start"))) };
  const names = new Set<string>();
  for (let step = 0; step < STEPS; step++) {
    const stream = rng.fork("step", step);
    const right = share(P * G, accuracy, stream.fork("accuracy"));
    const group = (name: string, p: number) => share(P, p, stream.fork(name));
    const metrics = {
      accuracy: right,
      "reward/mean": right,
      "policy/entropy": entropy * Math.exp(0.2 * stream.fork("entropy").normal(0)),
      "tokens/completion_mean": 20 * Math.exp(0.05 * stream.fork("tokens").normal(0)),
      "mode/thinking/tokens": 25 * Math.exp(0.05 * stream.fork("thoughts").normal(0)),
      "mode/direct/tokens": 5 * Math.exp(0.05 * stream.fork("answers").normal(0)),
      "completion/thinking": share(P * G, thinking, stream.fork("thinking")),
      "group/all_right": group("right", accuracy ** G),
      "group/all_wrong": group("wrong", (1 - accuracy) ** G),
      "group/all_truncated": group("truncated", 0.02),
      "group/all_unparsed": group("unparsed", 0.05),
      "group/equal_rewards": group("equal", Math.max(accuracy ** G, (1 - accuracy) ** G)),
    };
    const due = (step + 1) % 10 === 0;
    history = withStep(history, metrics, due ? evaluation(stream.fork("evaluation")) : null);
    for (const { name } of raised(history, alarms)) names.add(name);
  }
  return [...names];
}

it("at most 5 of 100 simulated runs in which nothing changes raise an alarm", { timeout: 120_000 }, () => {
  const loud = Array.from({ length: 100 }, (_, run) =>
    nullRun(createRng(11).fork("null", run), run % 2 === 0 ? QUICKSTART : SMALL),
  ).filter((names) => names.length > 0);
  expect(loud.length, JSON.stringify(loud)).toBeLessThanOrEqual(5);
});
