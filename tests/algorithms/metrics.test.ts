import { expect, it } from "vitest";
import { rolloutColumns, rolloutMetrics } from "../../src/algorithms/metrics.ts";
import type { Group, ScoredCompletion } from "../../src/types.ts";

function completion(text: string, over: Partial<ScoredCompletion> = {}): ScoredCompletion {
  const tokens = new Int32Array(4);
  return {
    promptId: "p",
    sampleIndex: 0,
    tokens,
    logprobs: new Float32Array(4),
    entropies: new Float32Array(4),
    text,
    finishReason: "eos",
    reward: 0,
    status: "ok",
    parts: {},
    correct: false,
    thinks: null,
    ...over,
  };
}

it("counts text in circles, whatever its mode and its verdict", () => {
  const circles = [
    "so".concat(" so".repeat(9)),
    "then we go on ".repeat(10),
    "x".repeat(120),
    `a right answer${" 5".repeat(10)}`,
  ];
  const fine = ["so".concat(" so".repeat(8)), "x".repeat(119), "", "1 2 1 2 1 2 1 2 1 2"];
  const group = [...circles, ...fine].map((text) => completion(text, { correct: true, thinks: true }));
  const groups = [{ prompt: { slices: {} }, promptTokens: new Int32Array(3), completions: group }];
  const metrics = rolloutMetrics(groups as unknown as Group[], [group], []);
  expect(metrics["completion/degenerate"]).toBe(0.5);
  expect(Object.keys(metrics).sort()).toEqual(rolloutColumns([], false).sort());
});
