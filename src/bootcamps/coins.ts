import { z } from "zod";
import { defineBootcamp, pickSome, range, within } from "./define.ts";

export const coins = defineBootcamp({
  name: "coins",
  about: "a sum paid with few coins; more than needed earn less",
  difficulty: z.strictObject({
    coins: range(2, 6, 3).describe("kinds of coins, 1 among them"),
    largest: z.int().min(6).max(100).default(10).describe("largest coin"),
    total: range(2, 500, [5, 30]).describe("the sum"),
  }),
  identity: z.strictObject({
    coins: z.array(z.int().min(1).max(1000)).min(1).max(10),
    total: z.int().min(1).max(5000),
  }),
  draw(rng, { coins: count, largest, total }) {
    const others = Array.from({ length: largest - 1 }, (_, i) => i + 2);
    const kinds = pickSome(rng.fork("coins"), others, within(rng.fork("count"), count) - 1);
    return { coins: [1, ...kinds].sort((a, b) => a - b), total: within(rng.fork("total"), total) };
  },
  prompt: ({ coins: kinds, total }) =>
    `There are coins of ${kinds.join(", ")}, as many of each as you want. Pay ${total} with as few coins as you can. Answer with the coins, with blanks between them.`,
  brief: ({ coins: kinds, total }) => `pay ${total} ${kinds.join(" ")}:`,
  solve: (identity) => ({ steps: [], answer: fewest(identity).join(" ") }),
  verify(answer, identity) {
    const paid = answer
      .split(/[\s,+]+/)
      .filter((word) => word !== "")
      .map(Number);
    if (paid.length === 0 || !paid.every((coin) => identity.coins.includes(coin))) return false;
    if (paid.reduce((sum, coin) => sum + coin, 0) !== identity.total) return false;
    const least = fewest(identity).length;
    return paid.length === least ? true : least / paid.length;
  },
});

/** Largest first, by dynamic programming over sums. @throws RangeError where no coins make the sum */
function fewest({ coins: kinds, total }: { coins: readonly number[]; total: number }): number[] {
  const last: (number | undefined)[] = [];
  const least = [0];
  for (let sum = 1; sum <= total; sum++) {
    least[sum] = Number.POSITIVE_INFINITY;
    for (const coin of kinds) {
      if (coin > sum || least[sum - coin]! + 1 >= least[sum]!) continue;
      least[sum] = least[sum - coin]! + 1;
      last[sum] = coin;
    }
  }
  const paid: number[] = [];
  for (let left = total; left > 0; left -= paid.at(-1)!) {
    if (last[left] === undefined) throw new RangeError(`no coins of ${kinds.join(", ")} make ${total}`);
    paid.push(last[left]!);
  }
  return paid.sort((a, b) => b - a);
}
