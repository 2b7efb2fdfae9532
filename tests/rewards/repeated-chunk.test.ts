import fc from "fast-check";
import { expect, it } from "vitest";
import { hasRepeatedChunk } from "../../src/rewards/rule-server.ts";

/** The pattern that the function stands for. */
const byPattern = (text: string, chunk: number, times: number): boolean =>
  new RegExp(`(.{${chunk},}?)\\1{${times - 1}}`).test(text);

it("finds what the pattern finds", () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 8 });
  const text = fc
    .array(fc.tuple(piece, fc.integer({ min: 1, max: 6 })), { maxLength: 8 })
    .map((parts) => parts.map(([part, count]) => part.repeat(count)).join(""));
  let found = 0;
  fc.assert(
    fc.property(
      text,
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 2, max: 6 }),
      (line, chunk, times) => {
        const expected = byPattern(line, chunk, times);
        if (expected) found++;
        expect(hasRepeatedChunk(line, chunk, times)).toBe(expected);
      },
    ),
    { numRuns: 3000, seed: 5 },
  );
  expect(found).toBeGreaterThan(300);
});
