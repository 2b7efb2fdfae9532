import { expect, it } from "vitest";
import { peakMemory } from "../../src/lib/peak-memory.ts";

it("grows with what is held, and stays when that is gone", () => {
  const before = peakMemory();
  expect(before).toBeGreaterThan(20e6);
  let held: Buffer | null = Buffer.alloc(Math.round(before) + 100_000_000, 1);
  const grown = peakMemory();
  expect(grown).toBeGreaterThan(held.length);
  held = null;
  expect(peakMemory()).toBeGreaterThanOrEqual(grown);
  // MiB, not KiB or pages
  expect(grown).toBeLessThan(3 * (before + 100_000_000));
});
