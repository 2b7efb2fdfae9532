/** Evaluations as they come, drawn by number: what intervals and tests are measured on. */
import type { Rng } from "../../src/lib/rng.ts";

/** Values of two sides by prompt, and whether a prompt's difference has a bound. */
export interface PairedShape {
  name: string;
  bound: 1 | null;
  /** The mean difference in expectation, where `equal` is false; 0 where it is true. */
  difference: number;
  draw(rng: Rng, prompts: number, equal: boolean): number[];
}

const list = <T>(n: number, of: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => of(i));
const yes = (rng: Rng, i: number, chance: number): number => Number(rng.uniform(i) < chance);
/** Share of k draws that come true. */
const share = (rng: Rng, i: number, k: number, chance: number): number =>
  list(k, (j) => yes(rng, i * k + j, chance)).reduce((sum, value) => sum + value, 0) / k;

/** Better by a tenth of what is left to win: 0.05 over difficulties that are spread evenly. */
const answers =
  (k: number) =>
  (rng: Rng, n: number, equal: boolean): number[] =>
    list(n, (i) => {
      const easy = rng.fork("prompt").uniform(i);
      const better = equal ? easy : easy + 0.1 * (1 - easy);
      return share(rng.fork("a"), i, k, better) - share(rng.fork("b"), i, k, easy);
    });

/** Student's t with three degrees of freedom. */
const heavy = (rng: Rng, i: number): number =>
  rng.normal(4 * i) /
  Math.sqrt((rng.normal(4 * i + 1) ** 2 + rng.normal(4 * i + 2) ** 2 + rng.normal(4 * i + 3) ** 2) / 3);

export const pairedShapes: readonly PairedShape[] = [
  { name: "one answer a prompt", bound: 1, difference: 0.05, draw: answers(1) },
  { name: "four answers a prompt", bound: 1, difference: 0.05, draw: answers(4) },
  {
    name: "nearly all prompts agree",
    bound: 1,
    difference: 0.05,
    draw: (rng, n, equal) =>
      list(n, (i) => {
        const u = rng.uniform(i);
        const [up, down] = equal ? [0.05, 0.05] : [0.1, 0.05];
        return u < up ? 1 : u < up + down ? -1 : 0;
      }),
  },
  {
    name: "one side alone ever wins",
    bound: 1,
    difference: 0.1,
    draw: (rng, n, equal) => list(n, (i) => (equal ? 0 : yes(rng, i, 0.1))),
  },
  {
    name: "few prompts gain what the others lose",
    bound: 1,
    difference: 0,
    draw: (rng, n) => list(n, (i) => (rng.uniform(i) < 0.1 ? 0.9 : -0.1)),
  },
  {
    name: "lengths, even",
    bound: null,
    difference: 10,
    draw: (rng, n, equal) =>
      list(n, (i) => 10 * (rng.fork("a").normal(i) - rng.fork("b").normal(i)) + (equal ? 0 : 10)),
  },
  {
    name: "lengths, long tails on both sides",
    bound: null,
    difference: 5,
    draw: (rng, n, equal) =>
      list(n, (i) => 10 * (heavy(rng.fork("a"), i) - heavy(rng.fork("b"), i)) + (equal ? 0 : 5)),
  },
  {
    name: "lengths, a long tail on one side",
    bound: null,
    difference: 10,
    draw: (rng, n, equal) => list(n, (i) => -20 * Math.log(rng.uniform(i) + 1e-9) - (equal ? 20 : 10)),
  },
  {
    name: "lengths, a fifth of the prompts is thought about",
    bound: null,
    difference: 4,
    draw: (rng, n, equal) =>
      list(n, (i) => {
        const long = rng.uniform(i) < 0.2;
        return (
          (long ? 100 : 5) +
          (long ? 5 : 1) * rng.fork("a").normal(i) -
          rng.fork("b").normal(i) -
          (equal ? 24 : 20)
        );
      }),
  },
];

/** Shares by prompt, one or several completions each. */
export interface ShareShape {
  name: string;
  mean: number;
  draw(rng: Rng, prompts: number): number[];
}

const single = (chance: number): ShareShape => ({
  name: `one completion, right in ${chance}`,
  mean: chance,
  draw: (rng, n) => list(n, (i) => yes(rng, i, chance)),
});

export const shareShapes: readonly ShareShape[] = [
  ...[0.5, 0.8, 0.9, 0.965, 0.985, 0.9965].map(single),
  {
    name: "four completions, prompts of every difficulty",
    mean: 0.5,
    draw: (rng, n) => list(n, (i) => share(rng.fork("a"), i, 4, rng.fork("prompt").uniform(i))),
  },
  {
    name: "eight completions, prompts all right or all wrong, few between",
    mean: 0.7,
    draw: (rng, n) =>
      list(n, (i) => {
        const u = rng.fork("prompt").uniform(i);
        return share(rng.fork("a"), i, 8, u < 0.2 ? 0 : u < 0.4 ? 0.5 : 1);
      }),
  },
  {
    name: "sixteen completions, a tenth of the prompts never right",
    mean: 0.882,
    draw: (rng, n) =>
      list(n, (i) => share(rng.fork("a"), i, 16, rng.fork("prompt").uniform(i) < 0.1 ? 0 : 0.98)),
  },
  {
    name: "eight completions of prompts that are equally hard",
    mean: 0.3,
    draw: (rng, n) => list(n, (i) => share(rng, i, 8, 0.3)),
  },
];

/**
 * Values of two sides by seed and prompt, [seeds][prompts], without a difference in expectation.
 * @param luck how far seeds differ, @param taste how far prompts suit a side; standard deviations of the chance to be right
 */
export function crossedSides(
  rng: Rng,
  seeds: number,
  prompts: number,
  luck: number,
  taste: number,
): [number[][], number[][]] {
  const side = (name: string) => {
    const ease = list(
      prompts,
      (i) => 0.5 + taste * (1.5 * rng.fork("prompt").normal(i) + rng.fork(name, "prompt").normal(i)),
    );
    return list(seeds, (s) => {
      const fortune = luck * rng.fork(name, "luck").normal(s);
      return ease.map((easy, i) => yes(rng.fork(name, s), i, easy + fortune));
    });
  };
  return [side("a"), side("b")];
}
