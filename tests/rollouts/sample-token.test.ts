import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DivergedError } from "../../src/lib/errors.ts";
import { createRng } from "../../src/lib/rng.ts";
import { type SamplingOptions, sampleToken, undrawnIds } from "../../src/rollouts/sample-token.ts";

const plain: SamplingOptions = { temperature: 1, top_p: 1, top_k: 0, min_p: 0 };
const probabilities = [0.5, 0.25, 0.125, 0.125];
const logits = Float32Array.from([9, ...probabilities.map((p) => Math.log(p) + 3), 9]);

/** Which tokens come out, over a grid of u. */
function support(options: Partial<SamplingOptions>): number[] {
  const seen = new Set<number>();
  for (let u = 0; u < 1; u += 1 / 256) seen.add(sampleToken(logits, 1, 4, { ...plain, ...options }, u).token);
  return [...seen].sort();
}

describe("sampleToken", () => {
  it("draws each token with its probability, and reports its logprob", () => {
    const rng = createRng(2);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 8000; i++) {
      const { token, logprob } = sampleToken(logits, 1, 4, plain, rng.uniform(i));
      counts[token]! += 1;
      expect(logprob).toBeCloseTo(Math.log(probabilities[token]!), 6);
    }
    for (const [i, p] of probabilities.entries()) expect(Math.abs(counts[i]! / 8000 - p)).toBeLessThan(0.02);
  });

  it("applies temperature to the draw and to the logprob", () => {
    const { logprob } = sampleToken(logits, 1, 4, { ...plain, temperature: 2 }, 0);
    const z = probabilities.map(Math.sqrt);
    expect(logprob).toBeCloseTo(Math.log(z[0]! / z.reduce((a, b) => a + b)), 6);
    expect(sampleToken(logits, 1, 4, { ...plain, temperature: 0 }, 0.99)).toEqual({
      entropy: expect.closeTo(1.75 * Math.LN2, 6),
      token: 0,
      logprob: expect.closeTo(Math.log(0.5), 6),
    });
  });

  it("truncates by top_k, top_p and min_p, and still reports the untruncated logprob", () => {
    expect(support({ top_k: 2 })).toEqual([0, 1]);
    expect(support({ top_p: 0.5 })).toEqual([0]);
    expect(support({ top_p: 0.51 })).toEqual([0, 1]);
    expect(support({ top_p: 0.76 })).toEqual([0, 1, 2]);
    expect(support({ min_p: 0.3 })).toEqual([0, 1]);
    expect(support({ top_k: 3, top_p: 0.6 })).toEqual([0, 1]); // 0.6 of what top_k left
    expect(sampleToken(logits, 1, 4, { ...plain, top_k: 1 }, 0.9).logprob).toBeCloseTo(Math.log(0.5), 6);
  });

  it("always returns a token of the row and its own logprob, for any logits", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (row, u) => {
          const { token, logprob } = sampleToken(Float32Array.from(row), 0, row.length, plain, u);
          const total = row.reduce((sum, x) => sum + Math.exp(x - row[token]!), 0);
          expect(logprob).toBeCloseTo(-Math.log(total), 4);
        },
      ),
    );
  });

  it("refuses a policy that has diverged", () => {
    expect(() => sampleToken(Float32Array.from([1, Number.NaN]), 0, 2, plain, 0)).toThrow(DivergedError);
    expect(() => sampleToken(Float32Array.from([Number.NaN, 1]), 0, 2, plain, 0)).toThrow(/diverged/);
    expect(() => sampleToken(Float32Array.from([Number.NaN, Number.NaN]), 0, 2, plain, 0)).toThrow(
      /diverged/,
    );
  });
});

describe("ids without a token", () => {
  it("are those beyond the tokenizer and its gaps, but no end tokens", () => {
    expect(undrawnIds({ size: 4, eosIds: [1] }, 4)).toBeNull();
    expect(undrawnIds({ size: 9, eosIds: [1] }, 4)).toBeNull();
    expect([...undrawnIds({ size: 3, gaps: [0, 1, 7], eosIds: [1, 4] }, 6)!]).toEqual([1, 0, 0, 1, 0, 1]);
  });

  it.each<[string, Partial<SamplingOptions>]>([
    ["plain", {}],
    ["greedy", { temperature: 0 }],
    ["cold", { temperature: 0.5 }],
    ["truncated", { top_k: 2, top_p: 0.9, min_p: 0.01 }],
  ])("are drawn as if their logits were -Infinity, and logprobs stay those of all ids: %s", (_, extra) => {
    const options = { ...plain, ...extra };
    const rng = createRng(6);
    for (let n = 0; n < 300; n++) {
      const row = Float32Array.from({ length: 12 }, (_, i) => 2 * rng.fork(String(n)).normal(i));
      const undrawn = Uint8Array.from({ length: 12 }, (_, i) => Number(i > 8 || i === n % 9));
      const masked = row.map((value, i) => (undrawn[i] === 1 ? -Infinity : value));
      const u = rng.uniform(n);
      const got = sampleToken(row, 0, 12, options, u, undefined, undrawn);
      expect(got.token).toBe(sampleToken(masked, 0, 12, options, u).token);
      expect(undrawn[got.token]).toBe(0);
      const all = sampleToken(row, 0, 12, options, u, { force: got.token });
      expect(got).toEqual(all);
    }
  });
});
