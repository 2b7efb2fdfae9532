import { describe, expect, it } from "vitest";
import { maskDecision, tokenWeights } from "../../src/losses/aggregation.ts";

const on = (divisor: "drop" | "keep") => ({ enabled: true, divisor });

/** Worked by hand from AdaCoT's equation: losses of one completion, decision token 0. */
describe("selective loss masking", () => {
  const losses = [0.5, -0.2, 0.1, 0.4];
  const total = (divisor: "drop" | "keep", aggregation: "token" | "sequence" | "constant") => {
    const { length, masked } = maskDecision(losses.length, 0, on(divisor));
    const [weight] = tokenWeights([length], aggregation, 1);
    return losses.reduce((sum, loss, t) => sum + (t === masked ? 0 : weight! * loss), 0);
  };

  it("leaves the decision token's loss out of the sum: .8 -> .3", () => {
    expect(total("keep", "constant")).toBeCloseTo(0.3, 12);
    expect(total("drop", "constant")).toBeCloseTo(0.3, 12);
  });

  it("takes the mean over the kept tokens, or over all: .1 or .075", () => {
    expect(total("drop", "token")).toBeCloseTo(0.1, 12);
    expect(total("drop", "sequence")).toBeCloseTo(0.1, 12);
    expect(total("keep", "token")).toBeCloseTo(0.075, 12);
  });

  it("does nothing when off, without a decision, or for a completion that is out", () => {
    expect(maskDecision(4, 0, { enabled: false, divisor: "drop" })).toEqual({ length: 4, masked: null });
    expect(maskDecision(4, null, on("drop"))).toEqual({ length: 4, masked: null });
    expect(maskDecision(0, 0, on("drop"))).toEqual({ length: 0, masked: null });
  });
});
