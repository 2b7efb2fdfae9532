/** Simulated reproductions: do intervals cover, and how often does a claim of nothing come out SUPPORTED over all looks? */

import { mean } from "../src/lib/math.ts";
import { createRng, type Rng } from "../src/lib/rng.ts";
import { LEVEL, sequentialDesign } from "../src/report/looks.ts";
import { judge, promptEffect, type Verdict } from "../src/report/verdict.ts";

export interface World {
  prompts: number;
  /** Standard deviation of a seed's luck, the same for all its prompts. */
  luck: number;
  /** Standard deviation of what suits a prompt. */
  taste: number;
  /** Seeds in a hundred that go wrong, by how much: an arm that sticks. */
  stuck?: { share: number; by: number };
}

/** Differences of two arms that answer rightly or not, [seeds][prompts]; the first is better by `gain` on average. */
export function differences(
  rng: Rng,
  seeds: number,
  { prompts, luck, taste, stuck }: World,
  gain: number,
): number[][] {
  const ease = Array.from({ length: prompts }, (_, i) => 0.5 + 0.15 * rng.fork("ease").normal(i));
  const liking = ease.map((_, i) => taste * rng.fork("taste").normal(i));
  return Array.from({ length: seeds }, (_, s) => {
    const wrong = stuck !== undefined && rng.fork("stuck").uniform(s) < stuck.share;
    // the mean over seeds stays `gain`
    const shift = stuck === undefined ? 0 : stuck.by * (stuck.share - Number(wrong));
    const fortune = luck * rng.fork("luck").normal(s) + shift;
    const [a, b] = [rng.fork("a", s), rng.fork("b", s)];
    return ease.map(
      (easy, i) =>
        Number(a.uniform(i) < easy + (gain + fortune + liking[i]!) / 2) -
        Number(b.uniform(i) < easy - (gain + fortune + liking[i]!) / 2),
    );
  });
}

/** One reproduction: seeds until it is decided or the bound is reached. @returns the verdict and seeds taken */
export function sequential(
  looks: readonly number[],
  conditions: readonly (readonly (readonly number[])[])[],
  margin: number,
): { verdict: Verdict; seeds: number } {
  const { levels } = sequentialDesign(looks);
  for (const [j, seeds] of looks.entries()) {
    const { verdict } = judge(
      conditions.map((values) => ({
        effect: promptEffect(values.slice(0, seeds), 1, levels[j]!),
        requirement: { direction: "above", margin },
      })),
    );
    if (verdict !== "INCONCLUSIVE") return { verdict, seeds };
  }
  return { verdict: "INCONCLUSIVE", seeds: looks.at(-1)! };
}

const percent = (share: number): string => (100 * share).toFixed(1).padStart(5);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

export function main(args: readonly string[]): void {
  const times = Number(args[0] ?? 1000);
  const worlds: World[] = [
    { prompts: 100, luck: 0, taste: 0 },
    { prompts: 100, luck: 0.04, taste: 0.1 },
    { prompts: 100, luck: 0.1, taste: 0.1 },
    { prompts: 200, luck: 0.1, taste: 0 },
    { prompts: 200, luck: 0.2, taste: 0.1 },
    { prompts: 200, luck: 0.04, taste: 0.05, stuck: { share: 0.1, by: 0.2 } },
  ];
  const name = ({ prompts, luck, taste, stuck }: World) =>
    `${String(prompts).padStart(5)} prompts, luck ${luck}, taste ${taste}${stuck ? `, ${100 * stuck.share}% stuck by ${stuck.by}` : ""}`.padEnd(
      52,
    );
  say(
    `${times} reproductions a world. Fixed design: coverage of the 95% interval, false SUPPORTED, mean width`,
  );
  for (const world of worlds)
    for (const seeds of [2, 3, 5]) {
      let [covered, supported] = [0, 0];
      const widths: number[] = [];
      for (let i = 0; i < times; i++) {
        const effect = promptEffect(differences(createRng(i), seeds, world, 0), 1, LEVEL);
        if (effect.low <= 0 && effect.high >= 0) covered++;
        if (effect.low > 0) supported++;
        widths.push(effect.high - effect.low);
      }
      say(
        `${name(world)} ${seeds} seeds  ${percent(covered / times)} ${percent(supported / times)}  ${mean(widths).toFixed(3)}`,
      );
    }
  for (const looks of [[3, 5, 8]]) {
    const { levels, detectable } = sequentialDesign(looks);
    say(
      `\nLooks ${looks.join(", ")}: levels ${levels.map((level) => level.toFixed(5)).join(", ")}; detectable ${detectable.toFixed(2)} standard deviations`,
    );
    say(
      "false SUPPORTED, false NOT SUPPORTED of one condition; of three, one false; of three, all at the margin; gain 2x detectable: found, seeds",
    );
    for (const world of worlds) {
      const counts = { supported: 0, refuted: 0, three: 0, all: 0, allRefuted: 0, found: 0, seeds: 0 };
      const most = looks.at(-1)!;
      // standard deviation of a seed's difference: luck, and the draws of its prompts
      const gain = Math.min(0.45, 1.25 * detectable * Math.sqrt(world.luck ** 2 + 0.5 / world.prompts));
      for (let i = 0; i < times; i++) {
        const rng = createRng(i);
        const draw = (k: number, plus: number) => differences(rng.fork(k), most, world, plus);
        const at = draw(0, 0);
        const one = sequential(looks, [at], 0).verdict;
        counts.supported += Number(one === "SUPPORTED");
        counts.refuted += Number(one === "NOT SUPPORTED");
        counts.three += Number(
          sequential(looks, [at, draw(1, 0.4), draw(2, 0.4)], 0).verdict === "SUPPORTED",
        );
        const all = sequential(looks, [at, draw(3, 0), draw(4, 0)], 0).verdict;
        counts.all += Number(all === "SUPPORTED");
        counts.allRefuted += Number(all === "NOT SUPPORTED");
        const true_ = sequential(looks, [draw(5, gain)], 0);
        counts.found += Number(true_.verdict === "SUPPORTED");
        counts.seeds += true_.seeds;
      }
      const share = (count: number) => percent(count / times);
      say(
        `${name(world)} ${share(counts.supported)} ${share(counts.refuted)}  ${share(counts.three)}  ${share(counts.all)} ${share(counts.allRefuted)}  gain ${gain.toFixed(3)} ${share(counts.found)} ${(counts.seeds / times).toFixed(1)}`,
      );
    }
  }
}
