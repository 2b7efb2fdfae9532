import { describe, expect, it } from "vitest";
import { Slots } from "../../src/algorithms/slots.ts";
import { createRng } from "../../src/lib/rng.ts";
import { openSampler, type SamplerOptions, samplerOptions } from "../../src/samplers/options.ts";
import { armShares, learnability, noCompletions, observed, upperBounds } from "../../src/samplers/ucb.ts";
import type { PromptSource } from "../../src/types.ts";

/** Levels 1 to 4 in turn. */
const source = (size: number | null): PromptSource => ({
  name: "rows",
  size,
  at: (i) => ({
    id: `p${i}`,
    input: { kind: "text", text: "" },
    answer: "",
    slices: { level: String((i % 4) + 1) },
    fields: { words: i % 4 },
  }),
});

function open(spec: Record<string, unknown>, slots = new Slots(), size: number | null = 40, seed = 1) {
  const options: SamplerOptions = samplerOptions.parse(spec);
  return openSampler(options, source(size), { rng: createRng(seed).fork("stage"), cells: slots, steps: 20 });
}

const ids = (drawn: { prompt: { id: string } }[]) => drawn.map(({ prompt }) => prompt.id);

const KINDS = [
  { kind: "shuffled" },
  { kind: "curriculum", column: "level", start: 0.25, steps: 8 },
  { kind: "success-rate" },
  { kind: "ucb", column: "level" },
];

describe.each(KINDS)("$kind", (spec) => {
  it("draws no prompt twice in a step, however often the step asks", () => {
    const sampler = open(spec);
    for (let step = 0; step < 4; step++) {
      const drawn = [
        ...ids(sampler.draw(step, 3)),
        ...ids(sampler.draw(step, 2)),
        ...ids(sampler.draw(step, 5)),
      ];
      expect(new Set(drawn).size).toBe(10);
    }
    expect(sampler.drawn).toBe(40);
  });

  it("goes on from a checkpoint as if it had never stopped, and depends on the seed", async () => {
    const run = (sampler: ReturnType<typeof open>, from: number, to: number) => {
      const all: string[] = [];
      for (let step = from; step < to; step++) {
        const drawn = sampler.draw(step, 6);
        all.push(...ids(drawn));
        const outcomes = drawn.map(({ prompt }, i) => ({
          promptId: prompt.id,
          reward: 0,
          accuracy: i % 2,
          used: true,
          advantages: [i % 3, -1],
        }));
        for (const { every, call } of sampler.callbacks) if ((step + 1) % every === 0) call(step, outcomes);
      }
      return all;
    };
    const whole = run(open(spec), 0, 8);
    const slots = new Slots();
    const begun = run(open(spec, slots), 0, 3);
    const { saved } = await slots.save();
    const resumed = new Slots(JSON.parse(JSON.stringify(saved)));
    expect([...begun, ...run(open(spec, resumed), 3, 8)]).toEqual(whole);
    expect(run(open(spec, new Slots(), 40, 2), 0, 8)).not.toEqual(whole);
  });
});

describe("curriculum", () => {
  it("begins with the easiest share and ends with all", () => {
    const sampler = open({ kind: "curriculum", column: "level", start: 0.25, steps: 8 });
    const levels = (step: number) =>
      new Set(sampler.draw(step, 8).map(({ prompt }) => prompt.slices["level"]));
    expect([...levels(0)]).toEqual(["1"]);
    expect(sampler.metrics()["sampler/difficulty"]).toBe(1);
    const seen = new Set<string>();
    for (let step = 8; step < 20; step++) for (const level of levels(step)) seen.add(level!);
    expect([...seen].sort()).toEqual(["1", "2", "3", "4"]);
  });

  it("takes the next easiest where the share is smaller than the step", () => {
    const sampler = open({ kind: "curriculum", column: "words", start: 0.1 });
    expect(sampler.draw(0, 12).map(({ prompt }) => prompt.fields["words"])).toEqual([
      ...new Array(10).fill(0),
      1,
      1,
    ]);
  });

  it("says which row has no difficulty, and that an endless source cannot be ordered", () => {
    expect(() => open({ kind: "curriculum", column: "missing" })).toThrow(
      "prompt p0 of rows: sampler.column missing holds nothing, and a difficulty is a number",
    );
    expect(() => open({ kind: "curriculum", column: "level" }, new Slots(), null)).toThrow(
      "has no end: give it a size",
    );
  });
});

describe("success-rate", () => {
  it("draws most what is solved half the time", () => {
    const counts: Record<string, number> = { always: 0, half: 0, never: 0 };
    const groupOf = (id: string) => (["always", "half", "never"] as const)[Number(id.slice(1)) % 3]!;
    const accuracy = { always: 1, half: 0.5, never: 0 };
    const sampler = open({ kind: "success-rate", floor: 0.1 }, new Slots(), 60);
    for (let step = 0; step < 200; step++) {
      const drawn = sampler.draw(step, 6);
      if (step >= 30) for (const id of ids(drawn)) counts[groupOf(id)]!++;
      for (const { call } of sampler.callbacks) {
        call(
          step,
          drawn.map(({ prompt }) => ({
            promptId: prompt.id,
            reward: 0,
            accuracy: accuracy[groupOf(prompt.id)],
            used: true,
            advantages: [],
          })),
        );
      }
    }
    // weights 1 and 0.1 of 20 prompts each; without replacement the ratio is a little lower than 10
    expect(counts["half"]! / counts["always"]!).toBeGreaterThan(5);
    expect(counts["half"]! / counts["never"]!).toBeGreaterThan(5);
    expect(sampler.metrics()["sampler/seen"]).toBe(1);
  });

  it("keeps what an id names, whatever the id is", async () => {
    const slots = new Slots();
    const sampler = open({ kind: "success-rate" }, slots);
    for (const { call } of sampler.callbacks)
      call(0, [{ promptId: "__proto__", reward: 0, accuracy: 0.5, used: true, advantages: [] }]);
    const { saved } = await slots.save();
    expect(JSON.stringify(saved)).toContain('"__proto__":0.5');
  });

  it("says so where a step asks for more prompts than there are", () => {
    expect(() => open({ kind: "success-rate" }, new Slots(), 4).draw(0, 5)).toThrow(
      "step 1 asks for 5 different prompts, and its sampler has 4",
    );
  });
});

describe("ucb: DUMP's examples, worked by hand", () => {
  const windows = [
    [0.5, -0.5],
    [1, -1],
    [0, 0],
  ];
  const arms = (...counts: number[]) =>
    windows.map((advantages, i) => ({ ...observed(noCompletions, advantages, 300), count: counts[i]! }));
  const near = (found: readonly number[], expected: readonly number[]) => {
    expect(found.length).toBe(expected.length);
    for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 6);
  };

  it("learnability is the mean size of the window", () => {
    expect(arms(0, 0, 0).map(learnability)).toEqual([0.5, 1, 0]);
    expect(learnability(noCompletions)).toBe(0);
  });

  it("equal counts: the bonus is the same, and the largest gain gets nearly all at tau 0.1", () => {
    near(upperBounds(arms(100, 100, 100), 1), [0.836173, 1.336173, 0.336173]);
    near(armShares(arms(100, 100, 100), { tau: 0.1, exploration: 1 }), [0.006693, 0.993262, 0.000045]);
    near(armShares(arms(100, 100, 100), { tau: 1, exploration: 1 }), [0.307196, 0.50648, 0.186324]);
  });

  it("what was drawn little gets a larger bonus", () => {
    near(upperBounds(arms(1000, 1000, 100), 1), [0.623633, 1.123633, 0.389215]);
    near(armShares(arms(1000, 1000, 100), { tau: 0.1, exploration: 1 }), [0.006689, 0.99267, 0.000642]);
    expect(upperBounds(arms(1000, 1000, 100), 0)).toEqual([0.5, 1, 0]);
  });

  it("begins uniform", () => {
    const nothing = [noCompletions, noCompletions, noCompletions];
    expect(upperBounds(nothing, 1)).toEqual([0, 0, 0]);
    near(armShares(nothing, { tau: 0.1, exploration: 1 }), [1 / 3, 1 / 3, 1 / 3]);
  });

  it("keeps the newest 300", () => {
    const { window, count } = observed(
      noCompletions,
      Array.from({ length: 305 }, (_, i) => i),
      300,
    );
    expect([window.length, window[0], window.at(-1), count]).toEqual([300, 5, 304, 305]);
  });
});

describe("ucb", () => {
  const play = (sampler: ReturnType<typeof open>, steps: number, gain: (level: number) => number) => {
    const counts = [0, 0, 0, 0];
    for (let step = 0; step < steps; step++) {
      const prompts = sampler.draw(step, 8);
      const outcomes = prompts.map(({ prompt }) => {
        const level = Number(prompt.slices["level"]);
        counts[level - 1]!++;
        const advantages = [gain(level), -gain(level)];
        return { promptId: prompt.id, reward: 0, accuracy: 0, used: true, advantages };
      });
      for (const { call } of sampler.callbacks) call(step, outcomes);
    }
    return counts;
  };

  it("goes where advantages are large, and comes back where they were small", () => {
    const counts = play(open({ kind: "ucb", column: "level" }, new Slots(), 400), 60, (level) =>
      level === 3 ? 1 : 0,
    );
    expect(counts[2]!).toBeGreaterThan(0.75 * 480);
    for (const count of counts) expect(count).toBeGreaterThan(4);
  });

  it("leaves a full distribution for the others, and groups without an update count for nothing", () => {
    const sampler = open({ kind: "ucb", column: "level", tau: 0.001 }, new Slots(), 16);
    play(sampler, 3, (level) => (level === 2 ? 9 : 0));
    expect(sampler.metrics()["sampler/largest_share"]).toBeCloseTo(1, 6);
    const levels = sampler.draw(3, 16).map(({ prompt }) => prompt.slices["level"]);
    expect(levels.slice(0, 4)).toEqual(["2", "2", "2", "2"]);
    const slots = new Slots();
    const idle = open({ kind: "ucb", column: "level" }, slots, 16);
    const [first] = idle.draw(0, 1);
    for (const { call } of idle.callbacks)
      call(0, [{ promptId: first!.prompt.id, reward: 1, accuracy: 1, used: false, advantages: [] }]);
    expect(slots.cell<[string, { count: number }][]>("sampler/arms", []).value[0]![1].count).toBe(0);
  });

  it("says which row names no distribution, and that an endless source has none", () => {
    expect(() => open({ kind: "ucb", column: "missing" })).toThrow(
      "prompt p0 of rows: sampler.column missing holds nothing, and a distribution has a name",
    );
    expect(() => open({ kind: "ucb", column: "level" }, new Slots(), null)).toThrow(
      "has no end: give it a size",
    );
  });
});
