import { expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { foreignShare, hasRepeatedChunk } from "../../src/rewards/rule-server.ts";

it("finds what the published pattern finds", () => {
  const pattern = /([^\n]{5,}?)\1{4,}/;
  const rng = createRng(3);
  let found = 0;
  for (let trial = 0; trial < 400; trial++) {
    const draws = rng.fork(trial);
    const chunk = Array.from(
      { length: 3 + draws.integer(6, 0) },
      (_, i) => "ab cab cab c\n"[draws.integer(13, 9 + i)],
    ).join("");
    const times = 2 + draws.integer(5, 1);
    const text = `xy${chunk.repeat(times)}z`;
    expect(hasRepeatedChunk(text, 5, 5), JSON.stringify(text)).toBe(pattern.test(text));
    found += Number(pattern.test(text));
  }
  expect(found).toBeGreaterThan(40);
  expect(found).toBeLessThan(360);
});

it("takes milliseconds where the pattern would backtrack", () => {
  const rng = createRng(5);
  const text = Array.from({ length: 12_000 }, (_, i) => "abcd"[rng.integer(4, i)]).join("");
  const began = performance.now();
  expect(hasRepeatedChunk(text, 5, 5)).toBe(false);
  expect(performance.now() - began).toBeLessThan(2000);
});

it("counts characters outside ASCII and mathematical operators, a surrogate pair as one", () => {
  expect(foreignShare("")).toBe(0);
  expect(foreignShare("x ≤ 4, ∀y: a-b_c\t\\boxed{}")).toBe(0);
  expect(foreignShare("ab因为")).toBe(0.5);
  expect(foreignShare("abc😀")).toBe(0.25);
  expect(foreignShare("π²")).toBe(1);
});
