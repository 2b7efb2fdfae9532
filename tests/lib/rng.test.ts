import { describe, expect, it } from "vitest";
import { createRng, philox } from "../../src/lib/rng.ts";

const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");

describe("counter-based random numbers", () => {
  // known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10 rounds)
  it("is Philox4x32-10", () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      "d16cfe09 94fdcceb 5001e420 24126ea1",
    );
  });

  it("gives each path a stream of its own, whatever was drawn before", () => {
    const rng = createRng(7);
    const late = rng.fork("rollout", 3, "p1", 0).uniform(5);
    rng.uniform(0);
    expect(createRng(7).fork("rollout", 3, "p1", 0).uniform(5)).toBe(late);
    const firsts = ["p1", "p2", "p11", "p1\0"].flatMap((id) =>
      [0, 1].map((k) => rng.fork("rollout", 3, id, k).uint32(0)),
    );
    expect(new Set(firsts).size).toBe(8);
    expect(createRng(8).uint32(0)).not.toBe(rng.uint32(0));
    expect(rng.fork("ab", "c").uint32(0)).not.toBe(rng.fork("a", "bc").uint32(0));
  });

  it("is uniform and normal to sampling error", () => {
    const rng = createRng(1);
    const n = 20_000;
    let sum = 0;
    let squares = 0;
    const bins = new Array<number>(16).fill(0);
    for (let i = 0; i < n; i++) {
      bins[Math.floor(rng.uniform(i) * 16)]! += 1;
      const z = rng.normal(i);
      sum += z;
      squares += z * z;
    }
    const chi2 = bins.reduce((total, count) => total + (count - n / 16) ** 2 / (n / 16), 0);
    expect(chi2).toBeLessThan(37.7); // 0.1% point of chi-squared with 15 degrees of freedom
    expect(Math.abs(sum / n)).toBeLessThan(0.03);
    expect(Math.abs(squares / n - 1)).toBeLessThan(0.04);
  });

  it("permutes without loss and without favourites", () => {
    const first = new Array<number>(5).fill(0);
    for (let seed = 0; seed < 2000; seed++) {
      const order = createRng(seed).permutation(5);
      expect([...order].sort()).toEqual([0, 1, 2, 3, 4]);
      first[order[0]!]! += 1;
    }
    for (const count of first) expect(Math.abs(count - 400)).toBeLessThan(80);
    expect(createRng(1).permutation(0)).toEqual([]);
  });
});
