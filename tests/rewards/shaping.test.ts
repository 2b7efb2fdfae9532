import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { advantageOptions } from "../../src/advantages/options.ts";
import { Slots } from "../../src/algorithms/slots.ts";
import type { Shapeable } from "../../src/rewards/shaping/kind.ts";
import { bandOf, bandTarget, type LaserDOptions } from "../../src/rewards/shaping/laser-d.ts";
import { openShaping } from "../../src/rewards/shaping.ts";
import { shapingListOptions } from "../../src/rewards/shaping-options.ts";

/** AutoThink's base rewards (arXiv:2505.10832): T thinks, N answers directly, + right, - wrong. */
const BASE: Record<string, number> = { "T+": 1, "T-": 0, "N+": 2, "N-": -1 };

function one(code: string): Shapeable {
  const [, kind, length] = /^([TN][+-])(\d*)$/.exec(code)!;
  return {
    reward: BASE[kind!]!,
    correct: kind![1] === "+",
    thinks: kind![0] === "T",
    tokens: length === "" ? 10 : Number(length),
    text: "",
  };
}

const group = (codes: string) => codes.split(" ").map(one);
const shape = (groups: Shapeable[][], ...specs: unknown[]) =>
  openShaping(shapingListOptions.parse(specs), new Slots()).shape(groups);

describe("mode-balance: AutoThink's stage 1, vectors A to H, worked by hand", () => {
  it.each([
    ["A", "T+ T- N+ N-", 0.5, 2, 0.5, [1, 0, 2, -1]],
    ["B", "T+ T+ T- N+", 0.5, 2, 0.75, [0.5, 0.5, -0.5, 2]],
    ["C", "T+ T- T+ T-", 0.5, 2, 1, [0, -1, 0, -1]],
    ["D", "T+ N+ N+ N-", 0.5, 2, 0.25, [1, 1.5, 1.5, -1.5]],
    ["E", "N+ N- N+ N-", 0.5, 2, 0, [1, -2, 1, -2]],
    ["F", "T+ T- N+ N-", 0.2, 2, 0.5, [0.4, -0.6, 1.4, -1.6]],
    ["G", "T+ T-", 0.8, 2, 1, [0.6, -0.4]],
    ["H, lambda 4", "T+ T+ T- N+", 0.5, 4, 0.75, [0, 0, -1, 2]],
    ["H, lambda 1", "T+ T+ T- N+", 0.5, 1, 0.75, [0.75, 0.75, -0.25, 2]],
    ["gamma 1 is off", "T+ T- T+ T-", 1, 2, 1, [1, 0, 1, 0]],
  ] as const)("%s", (_name, batch, gamma, lambda, z, expected) => {
    const { rewards, metrics } = shape([group(batch)], { kind: "mode-balance", gamma, lambda });
    expect(metrics["shaping/thinking_share"]).toBe(z);
    for (const [i, value] of expected.entries()) expect(rewards[0]![i]).toBeCloseTo(value, 12);
  });

  it("counts z over the whole batch, not by group", () => {
    const whole = shape([group("T+ T+ T- N+")], { kind: "mode-balance" });
    const parted = shape([group("T+ T+"), group("T- N+")], { kind: "mode-balance" });
    expect(parted.rewards.flat()).toEqual(whole.rewards.flat());
  });

  it.each([
    ["A", "T+ T- N+ N-", [0.387298, -0.387298, 1.161894, -1.161894]],
    ["B", "T+ T+ T- N+", [-0.121268, -0.121268, -1.091409, 1.333945]],
    ["C", "T+ T- T+ T-", [0.866024, -0.866024, 0.866024, -0.866024]],
    ["D", "T+ N+ N+ N-", [0.261116, 0.609271, 0.609271, -1.479659]],
  ] as const)("advantages of %s: in B right thoughts are pushed down", (_name, batch, expected) => {
    const { rewards } = shape([group(batch)], { kind: "mode-balance" });
    const options = advantageOptions.parse({ epsilon: 1e-6, std: "sample" });
    const [advantages] = groupAdvantages(rewards, options);
    for (const [i, value] of expected.entries()) expect(advantages![i]).toBeCloseTo(value, 6);
  });
});

describe("group-length: AutoThink's stage 3, alpha = beta = 0.05", () => {
  it.each([
    ["T+100 T+200 T+300 T+400", [1.059815, 1.019554, 0.980821, 0.943561]],
    ["N+300 T+1500 T-4000 N-500", [2.035988, 0.965262, 0.034738, -1.035988]],
    ["N+300 T-4000 T-2000 T-1000", [2, 0.053093, -0.010971, -0.04461]],
  ] as const)("%s", (batch, expected) => {
    const { rewards } = shape([group(batch)], { kind: "group-length" });
    for (const [i, value] of expected.entries()) expect(rewards[0]![i]).toBeCloseTo(value, 6);
  });

  it("compares within a group only, and leaves equal lengths alone", () => {
    const { rewards } = shape([group("T+100 T+100 T-7"), group("T+900 T+900")], { kind: "group-length" });
    expect(rewards).toEqual([
      [1, 1, 0],
      [1, 1],
    ]);
  });

  it("does nothing with alpha = beta = 0, the control", () => {
    const batch = [group("N+300 T+1500 T-4000 N-500")];
    const { rewards, metrics } = shape(batch, { kind: "group-length", alpha: 0, beta: 0 });
    expect(rewards).toEqual([[2, 1, 0, -1]]);
    expect(metrics["shaping/length_mean"]).toBe(0);
  });
});

it("shapes in the order listed, and announces what it measures", () => {
  const batch = [group("T+100 T+200 T-300 N+50")];
  const specs = shapingListOptions.parse([{ kind: "group-length" }, { kind: "mode-balance" }]);
  const open = (some: typeof specs) => openShaping(some, new Slots());
  const both = open(specs).shape(batch);
  const lengths = open(specs.slice(0, 1)).shape(batch).rewards;
  // z = .75: half of the way from the reward, length term included, to the target
  expect(both.rewards[0]![0]).toBeCloseTo(0.5 * lengths[0]![0]!, 12);
  expect(both.rewards[0]![3]).toBeCloseTo(lengths[0]![3]!, 12);
  expect(Object.keys(both.metrics).sort()).toEqual([...open(specs).columns].sort());
  const swapped = open([...specs].reverse()).shape(batch);
  expect(swapped.rewards[0]![0]).not.toBeCloseTo(both.rewards[0]![0]!, 3);
});

describe("laser-d: the targets of an example that was worked by hand", () => {
  const spec = (round: "ceil" | "floor") =>
    shapingListOptions.parse([
      { kind: "laser-d", target_tokens: 1024, longest_tokens: 16384, interval: 1024, round },
    ])[0] as LaserDOptions;
  const lengths = {
    easy: [900, 1100, 1500, 2100, 2500, 3000, 3500, 4200],
    medium: [1500, 2500, 3500, 4500, 5500, 6500, 7500, 8500],
    hard: [4000, 6000, 8000, 9000, 10000, 12000, 14000, 15000],
  };

  it.each([
    ["ceil", { easy: 2048, medium: 4096, hard: 15360 }],
    ["floor", { easy: 2048, medium: 5120, hard: 15360 }],
  ] as const)("%s", (round, expected) => {
    for (const band of ["easy", "medium", "hard"] as const) {
      expect(bandTarget(band, lengths[band], spec(round), 99999), band).toBe(expected[band]);
    }
  });

  it("falls back to the longest completion where no candidate is long enough", () => {
    expect(bandTarget("hard", [20000], spec("ceil"), 20000)).toBe(20000);
  });

  it("bands by the prompt's own completions: 2/3 is easy, 1/3 medium", () => {
    const band = (right: number, of: number) =>
      bandOf(Array.from({ length: of }, (_, i) => ({ correct: i < right })));
    expect([band(2, 3), band(1, 3), band(0, 3), band(6, 8), band(5, 8), band(2, 8)]).toEqual([
      "easy",
      "medium",
      "hard",
      "easy",
      "medium",
      "hard",
    ]);
  });

  it("pays right completions within their band's target, before and after a look", async () => {
    const slots = new Slots();
    const specs = shapingListOptions.parse([
      {
        kind: "laser-d",
        target_tokens: 200,
        longest_tokens: 800,
        interval: 100,
        monitor: { every: 2, prompts: 2, samples: 3 },
      },
    ]);
    const shaping = openShaping(specs, slots);
    const batch = [group("T+100 T+300 T-100"), group("T+350 T-100 T-100"), group("T-10 T-10 T-10 T+250")];
    // easy, medium, hard; the fixed target of 200 before the first look
    expect(shaping.shape(batch).rewards).toEqual([
      [1.5, 1, 0],
      [1, 0, 0],
      [0, 0, 0, 1],
    ]);
    const [monitor] = shaping.monitors;
    expect(monitor).toMatchObject({ every: 2, prompts: 2, samples: 3 });
    // easy: of 350, 360, 370 two in three are expected to be enough; medium: all of 100, 200, 300
    monitor!.observe([group("T+350 T+360 T-370"), group("T+100 T-200 T-300")]);
    const { rewards, metrics } = shaping.shape(batch);
    expect(metrics).toMatchObject({
      "shaping/target/easy": 400,
      "shaping/target/medium": 300,
      "shaping/target/hard": 200,
    });
    expect(rewards).toEqual([
      [1.5, 1.5, 0],
      [1, 0, 0],
      [0, 0, 0, 1],
    ]);
    // what it has seen is part of the state
    const { saved } = await slots.save();
    const resumed = openShaping(specs, new Slots(JSON.parse(JSON.stringify(saved))));
    expect(resumed.shape(batch)).toEqual({ rewards, metrics });
  });
});
