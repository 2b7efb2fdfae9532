import { describe, expect, it } from "vitest";
import { Slots } from "../../src/algorithms/slots.ts";
import { createRng } from "../../src/lib/rng.ts";
import { openSampler, type SamplerOptions, samplerOptions } from "../../src/samplers/options.ts";
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
      call(0, [{ promptId: "__proto__", reward: 0, accuracy: 0.5, used: true }]);
    const { saved } = await slots.save();
    expect(JSON.stringify(saved)).toContain('"__proto__":0.5');
  });

  it("says so where a step asks for more prompts than there are", () => {
    expect(() => open({ kind: "success-rate" }, new Slots(), 4).draw(0, 5)).toThrow(
      "step 1 asks for 5 different prompts, and its sampler has 4",
    );
  });
});
