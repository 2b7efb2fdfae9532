import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { optimizerOptions } from "../../src/optim/options.ts";
import { learningRate } from "../../src/optim/schedule.ts";

interface Golden {
  lr: number;
  cases: {
    transformers: string;
    schedule: "constant" | "linear" | "cosine";
    warmup_steps: number;
    final_lr_share: number;
    rates: number[];
  }[];
}
/** From transformers' get_scheduler: tools/goldens/schedules.py. */
const golden = JSON.parse(readFileSync("tests/golden/schedules.json", "utf8")) as Golden;

describe("the learning rate of every step", () => {
  it.each(golden.cases.map((one) => ({ ...one, total: one.rates.length })))(
    "is that of $transformers: warm-up $warmup_steps of $total, down to $final_lr_share",
    ({ schedule, warmup_steps, final_lr_share, rates }) => {
      const options = optimizerOptions.parse({ lr: golden.lr, schedule, warmup_steps, final_lr_share });
      for (const [step, rate] of rates.entries()) {
        const found = learningRate(options, step, rates.length);
        expect(Math.abs(found - rate), `step ${step}: ${found} for ${rate}`).toBeLessThan(1e-15);
      }
    },
  );

  it("were computed for each schedule, with and without warm-up and floor", () => {
    expect(golden.cases.length).toBe(56);
    expect(new Set(golden.cases.map((one) => one.transformers)).size).toBe(6);
  });

  it("never throws the last step away", () => {
    for (const schedule of ["linear", "cosine"] as const) {
      const options = optimizerOptions.parse({ lr: 1, schedule });
      expect(learningRate(options, 29, 30)).toBeGreaterThan(0);
    }
  });
});
