import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { type PanelState, plainStyle, renderPanel, sparkline } from "../../src/terminal/panel.ts";

const state: PanelState = {
  title: "autothink",
  stages: ["balance", "accuracy", "length"],
  stage: "accuracy",
  step: 96,
  first: 60,
  last: 180,
  rate: 2.5,
  left: 33.6,
  metrics: {
    "reward/mean": 0.75,
    accuracy: 0.75,
    "completion/thinking": 0.5,
    "tokens/completion_mean": 21.25,
    "policy/entropy": 0.1234,
    "optim/grad_norm": 0.4567,
    "time/tokens_per_s": 12345.6,
    alarms: 1,
    "alarm/mode_collapse": 1,
    "alarm/entropy_collapse": 0,
  },
  history: new Map([["reward/mean", [0, 0.25, 0.5, 0.75]]]),
  evaluation: { step: 80, accuracy: 0.913, low: 0.89, high: 0.93 },
  remark: "",
};
const look = { width: 79, unicode: false, style: plainStyle };

describe("a panel", () => {
  test("at 80 columns", () => {
    expect(renderPanel(state, look)).toEqual([
      "autothink  stage 2 of 3: accuracy",
      // 36 of 120 steps of the stage
      `${"=".repeat(14)}${".".repeat(33)}  96/180  2.5 steps/s  34s left`,
      "reward       0.750  _.=^                accuracy     75.0%",
      "thinking     50.0%                      length        21.3",
      "entropy      0.123                      gradient     0.457",
      "tokens/s    12,346",
      "held-out     91.3% [89.0%, 93.0%] at step 80",
      "alarms   mode collapse",
    ]);
  });

  test("at 40 columns has one column, and everything that the wide one has", () => {
    const lines = renderPanel(state, { ...look, width: 39 });
    expect(lines.map((line) => line.split(/ +/)[0])).toEqual([
      "autothink",
      expect.stringMatching(/^[=.]+$/),
      "reward",
      "accuracy",
      "thinking",
      "length",
      "entropy",
      "gradient",
      "tokens/s",
      "held-out",
      "alarms",
    ]);
  });

  test("is never wider than the terminal, styled or not", () => {
    const style = {
      bold: (text: string) => `\u001b[1m${text}\u001b[22m`,
      dim: (text: string) => `\u001b[2m${text}\u001b[22m`,
      good: (text: string) => text,
      bad: (text: string) => text,
      accent: (text: string) => `\u001b[36m${text}\u001b[39m`,
    };
    const long = { ...state, title: "a-run-with-a-name-of-fifty-characters-or-some-more", remark: "waiting" };
    for (let width = 20; width <= 160; width++) {
      for (const unicode of [false, true]) {
        const lines = renderPanel(long, { width, unicode, style });
        const widest = Math.max(...lines.map((line) => stripVTControlCharacters(line).length));
        expect(widest, `width ${width}`).toBeLessThanOrEqual(width);
        const plain = renderPanel(long, { width, unicode, style: plainStyle });
        expect(lines.map(stripVTControlCharacters)).toEqual(plain);
      }
    }
  });

  test("says that no alarm is raised only where alarms are watched", () => {
    const last = (metrics: PanelState["metrics"]) => renderPanel({ ...state, metrics }, look).at(-1);
    expect(last({ alarms: 0, "alarm/mode_collapse": 0 })).toBe("alarms   none");
    expect(last({})).toBe("alarms   -");
  });
});

describe("a course", () => {
  test("goes from its lowest to its highest", () => {
    expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8, true)).toBe("▁▂▃▄▅▆▇█");
    expect(sparkline([8, 1], 8, false)).toBe("^_");
  });

  test("means over its share of the steps", () => {
    // pairs: 0, 4, 2
    expect(sparkline([-1, 1, 3, 5, 2, 2], 3, true)).toBe("▁█▅");
  });

  test("is flat where nothing moves, and empty where there is nothing", () => {
    expect(sparkline([3, 3, 3], 8, true)).toBe("▅▅▅");
    expect(sparkline([], 8, true)).toBe("");
  });
});
