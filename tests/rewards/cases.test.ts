import { describe, expect, it } from "vitest";
import { rewardKinds } from "../../src/rewards/kinds.ts";
import { builtInKinds, runBuiltInCases } from "../../src/rewards/run-cases.ts";

describe("golden cases of every built-in part", () => {
  it("covers every kind; a file brings cases of its own, a judge has rows that people judged", () => {
    expect(builtInKinds.length).toBeGreaterThanOrEqual(12);
    expect([...builtInKinds, "file", "judge"].sort()).toEqual(rewardKinds.map(({ kind }) => kind).sort());
  });

  it.each(builtInKinds)("%s", async (kind) => {
    const results = await runBuiltInCases(kind);
    expect(results.length).toBeGreaterThanOrEqual(4);
    expect(results.filter(({ pass }) => !pass)).toEqual([]);
  });
});
