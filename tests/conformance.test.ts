/** `rlpt conformance`: every loss and estimator against its equation, on the tensors that recipes choose. */
import { beforeAll, describe, expect, it } from "vitest";
import { caught, largestError, within } from "../src/conformance/check.ts";
import { conformance } from "../src/conformance/run.ts";
import { policyLosses } from "../src/losses/policy-kinds.ts";
import { testBackends, useBackend } from "./helpers/tensors.ts";

describe.each(testBackends)("the conformance kit on %s", (backend) => {
  beforeAll(async () => {
    await useBackend(backend);
  });

  it("finds every loss and estimator within its bound, and sees every planted fault", async () => {
    const checks = await conformance({ seed: 5, batches: 3 });
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.filter(({ planted }) => planted).length).toBe(39);
    expect(checks.filter(({ planted }) => !planted).length).toBe(35);
    for (const { kind } of policyLosses) {
      const names = checks.filter(({ name }) => name.startsWith(`${kind}, `)).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining([`${kind}, value`, `${kind}, a factor G too many`]));
    }
  });
});

describe("a check", () => {
  it("fails above its bound, and a planted fault below it", () => {
    expect(within("x", [1e-9, 1e-3], 1e-6)).toMatchObject({ error: 1e-3, ok: false, planted: false });
    expect(within("x", [1e-9], 1e-6).ok).toBe(true);
    expect(caught("x", [1e-9], 1e-6)).toMatchObject({ ok: false, planted: true });
    expect(caught("x", [1e-9, 0.1], 1e-6).ok).toBe(true);
  });
  it("is failed by what is no number, or of another length", () => {
    expect(largestError([Number.NaN], [1])).toBe(Number.POSITIVE_INFINITY);
    expect(largestError([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largestError([110, 0.5], [100, 0.4])).toBeCloseTo(0.1, 12);
  });
});
