import { describe, expect, it } from "vitest";
import { builtInKinds, runBuiltInCases } from "../../src/rewards/run-cases.ts";

describe("golden cases of every built-in part", () => {
  it("covers twelve kinds", () => expect(builtInKinds).toHaveLength(12));

  it.each(builtInKinds)("%s", async (kind) => {
    const results = await runBuiltInCases(kind);
    expect(results.length).toBeGreaterThanOrEqual(4);
    expect(results.filter(({ pass }) => !pass)).toEqual([]);
  });
});
