import { expect, it } from "vitest";
import { optimizerOptions } from "../../src/optim/options.ts";
import { learningRate } from "../../src/optim/schedule.ts";

const options = (extra: object) => optimizerOptions.parse({ lr: 2, ...extra });

it("warms up to the peak, then follows its shape to the last step", () => {
  const rates = (o: object) => [0, 1, 4, 5, 8, 10].map((step) => learningRate(options(o), step, 11));
  expect(rates({})).toEqual([2, 2, 2, 2, 2, 2]);
  expect(rates({ warmup_steps: 5 })).toEqual([0.4, 0.8, 2, 2, 2, 2]);
  expect(rates({ schedule: "linear" })).toEqual([2, 1.8, 1.2, 1, 0.3999999999999999, 0]);
  expect(rates({ schedule: "linear", final_lr_share: 0.5 })[5]).toBe(1);
  const cosine = rates({ schedule: "cosine", final_lr_share: 0.05 });
  expect(cosine[0]).toBe(2);
  expect(cosine[3]).toBeCloseTo(2 * 0.525, 12);
  expect(cosine[5]).toBeCloseTo(0.1, 12);
});
