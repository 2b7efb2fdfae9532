import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { decisionQuality } from "../../src/lib/classification.ts";
import { mean, standardDeviation } from "../../src/lib/math.ts";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import { conditionValues } from "../../src/report/claim-values.ts";
import { decisionMetrics, decisionValues } from "../../src/report/decision-values.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

/** A policy that thinks on 80% of what needs it and on 20% of the rest; half needs it. */
function rows(rng: Rng, prompts: number): Record<string, string>[] {
  return Array.from({ length: prompts }, (_, i) => {
    const needs = rng.fork("needs").uniform(i) < 0.5;
    const thinks = rng.fork("thinks").uniform(i) < (needs ? 0.8 : 0.2);
    const slices = `level=1;needs_thinking=${needs}`;
    return { step: "9", prompt_id: `p${i}`, slices, completions: "1", thinking: String(Number(thinks)) };
  });
}

function quality(all: readonly Record<string, string>[]) {
  const count = (needs: boolean, thinks: string) =>
    all.filter((row) => row["slices"]!.includes(`needs_thinking=${needs}`) && row["thinking"] === thinks)
      .length;
  const { precision, recall, f1 } = decisionQuality({
    truePositive: count(true, "1"),
    falsePositive: count(false, "1"),
    falseNegative: count(true, "0"),
    trueNegative: count(false, "0"),
  });
  return { trigger_precision: precision, trigger_recall: recall, trigger_f1: f1 };
}

it.each(decisionMetrics)(
  "values of %s have the metric as their mean and its error as their spread",
  (metric) => {
    const found: number[] = [];
    const stated: number[] = [];
    for (let i = 0; i < 400; i++) {
      const all = rows(createRng(i), 100);
      const values = [...decisionValues(all, metric).values()];
      const whole = quality(all)[metric as keyof ReturnType<typeof quality>];
      expect(mean(values)).toBeCloseTo(whole, 12);
      found.push(whole);
      stated.push(standardDeviation(values, 1) / 10);
    }
    // what 400 evaluations differ by against what each of them says of itself
    expect(mean(stated) / standardDeviation(found, 1)).toBeGreaterThan(0.9);
    expect(mean(stated) / standardDeviation(found, 1)).toBeLessThan(1.1);
  },
);

it("prompts without a label are left out, and a claim says so when none has one", () => {
  const all = rows(createRng(1), 10);
  expect(decisionValues([...all, { ...all[0]!, prompt_id: "x", slices: "level=1" }], "trigger_f1").size).toBe(
    10,
  );
  expect(decisionValues([{ ...all[0]!, slices: "" }], "trigger_f1").size).toBe(0);

  const write = (name: string, text: string) => writeFileSync(join(space.path(""), name), text);
  write("eval.csv", "step,slice,prompts\n9,all,10\n");
  const head = "step,prompt_id,slices,completions,thinking\n";
  const lines = (from: Rng) =>
    rows(from, 40)
      .map((row) =>
        [row["step"], row["prompt_id"], row["slices"], row["completions"], row["thinking"]].join(),
      )
      .join("\n");
  write("eval-prompts.csv", `${head}${lines(createRng(2))}\n`);
  const arm = new Map([1, 2].map((seed) => [seed, [{ directory: space.path(""), at: "end" as const }]]));
  const ask = { metric: "trigger_f1", slice: "all", times: 1 };
  const { unit, prompts, effect } = conditionValues(arm, null, ask);
  expect([unit, prompts.length]).toEqual(["prompt", 40]);
  expect(effect.mean).toBeCloseTo(quality(rows(createRng(2), 40)).trigger_f1, 10);
  // two seeds that agree to the letter: what is left is the error over prompts
  expect(effect.standardError).toBeGreaterThan(0.03);
  const recall = conditionValues(arm, null, {
    ...ask,
    metric: "thinking",
    slice: "needs_thinking=true",
  }).effect;
  expect(recall.mean).toBeGreaterThan(0.5);
  expect(recall.high).toBeLessThanOrEqual(1);
  write(
    "eval-prompts.csv",
    readFileSync(space.path("eval-prompts.csv"), "utf8").replaceAll(/;needs_\w+=\w+/g, ""),
  );
  expect(() => conditionValues(arm, null, ask)).toThrow(
    "has no labels needs_thinking for slice all, which trigger_f1 asks for",
  );
});
