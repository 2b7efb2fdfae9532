import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { algorithmOf } from "../../src/algorithms/kinds.ts";
import { Slots } from "../../src/algorithms/slots.ts";
import type { Stage } from "../../src/algorithms/stage.ts";
import { stepMetrics } from "../../src/algorithms/step-metrics.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { dataPaths } from "../../src/data/file-options.ts";
import { openSource } from "../../src/data/source.ts";
import { RlptError } from "../../src/lib/errors.ts";
import { columnsOf, type Metric, type Setting, valuesOf } from "../../src/metrics/define.ts";
import type { StepFacts } from "../../src/metrics/facts.ts";
import { alarmMetrics, loopMetrics } from "../../src/metrics/loop.ts";
import {
  leadingColumns,
  metricDefinition,
  metricDefinitions,
  sampledAfter,
  sampledBefore,
} from "../../src/metrics/table.ts";
import { optimizerMetrics } from "../../src/metrics/update.ts";
import { partName } from "../../src/rewards/options.ts";
import { openShaping } from "../../src/rewards/shaping.ts";
import { alarmsFor } from "../../src/run/alarms.ts";
import { samplerColumns } from "../../src/samplers/options.ts";
import type { Group, ScoredCompletion } from "../../src/types.ts";

const setting: Setting = {
  size: 100,
  parts: ["exact"],
  slices: ["level=1"],
  alarms: [],
  measures: new Set(),
};

function completion(over: Partial<ScoredCompletion> = {}): ScoredCompletion {
  return {
    promptId: "p",
    sampleIndex: 0,
    tokens: new Int32Array(4),
    logprobs: new Float32Array(4),
    entropies: new Float32Array(4),
    text: "",
    finishReason: "eos",
    reward: 0,
    status: "ok",
    parts: {},
    correct: false,
    thinks: null,
    ...over,
  };
}

const update = { loss: 0.5, gradientNorm: 2, tokens: 8, statistics: { ratio: 8, clipped_low: 1 }, live: 0.5 };

function factsOf(scored: ScoredCompletion[][], shaped: number[][]): StepFacts {
  return {
    drawn: 10,
    size: 100,
    groups: scored.map((completions) => ({
      prompt: { slices: { level: "1" } },
      promptTokens: new Int32Array(3),
      completions,
    })) as unknown as Group[],
    scored,
    shaped,
    advantages: shaped,
    lossAdvantages: shaped.flat(),
    precisionGap: { mean: 0.01, largest: 0.1 },
    kl: { perToken: 0.1, perCompletion: 0.4, coef: 0.01 },
    critic: { updates: [update], lr: 0.1, samples: [] },
    updates: [update],
    lr: 0.1,
    clipNorm: 1,
    optimizerSteps: 3,
    tensors: 5,
    times: { sampling: 1, rewarding: 1, updating: 2 },
    declared: {},
  };
}

/** Two groups of three: rewards, what they are after shaping, and a completion's other sides. */
const batch = fc
  .array(
    fc.record({
      reward: fc.integer({ min: -2, max: 2 }),
      shaped: fc.integer({ min: -2, max: 2 }),
      correct: fc.boolean(),
      thinks: fc.constantFrom(null, true, false),
      length: fc.integer({ min: 1, max: 9 }),
      finishReason: fc.constantFrom("eos" as const, "length" as const),
      status: fc.constantFrom("ok" as const, "unparsed" as const, "error" as const, "timeout" as const),
      text: fc.constantFrom("a", "b", "so".concat(" so".repeat(9))),
    }),
    { minLength: 6, maxLength: 6 },
  )
  .map((all) => {
    const two = <T>(of: (one: (typeof all)[0]) => T): T[][] => [
      all.slice(0, 3).map(of),
      all.slice(3).map(of),
    ];
    const scored = two(({ shaped: _, length, ...over }) =>
      completion({
        ...over,
        tokens: new Int32Array(length),
        logprobs: new Float32Array(length).fill(-0.5),
        entropies: new Float32Array(length).fill(0.25),
        parts: { exact: { value: over.reward, status: over.status } },
      }),
    );
    return { scored, shaped: two(({ shaped }) => shaped) };
  });

const rows = [...sampledBefore, ...sampledAfter].filter(({ name }) => !name.startsWith("critic/"));
const measured = (facts: StepFacts) => valuesOf(rows, setting, facts);

describe("formulas against values", () => {
  it("what changes with shaping says so, and what says before shaping does not", () => {
    const moved = new Set<string>();
    const property = fc.property(batch, batch, ({ scored, shaped }, other) => {
      const plain = { ...factsOf(scored, shaped), advantages: [], lossAdvantages: [] };
      const rows = sampledBefore.filter(({ name }) => !name.startsWith("mode/"));
      const before = valuesOf(rows, setting, plain);
      const after = valuesOf(rows, setting, { ...plain, shaped: other.shaped });
      for (const [name, value] of Object.entries(after)) if (value !== before[name]) moved.add(name);
    });
    fc.assert(property);
    const said = sampledBefore.filter(({ formula }) => formula.includes("after shaping"));
    expect([...moved].sort()).toEqual(said.map(({ name }) => name).sort());
    expect([...moved].sort()).toEqual(["group/equal_shaped", "reward/shaped_mean"]);
  });

  it("rewards that are not said to be before shaping, or of one part, are after it", () => {
    const changing = new Set<string>();
    fc.assert(
      fc.property(batch, batch, ({ scored, shaped }, other) => {
        const facts = factsOf(scored, shaped);
        const again = scored.map((group, p) =>
          group.map((one, g) => ({ ...one, reward: other.scored[p]![g]!.reward })),
        );
        const [before, after] = [measured(facts), measured({ ...facts, scored: again })];
        for (const [name, value] of Object.entries(after)) {
          if (value !== before[name]) changing.add(metricDefinition(name).name);
        }
      }),
    );
    for (const name of changing)
      expect(metricDefinition(name.replace("{mode}", "direct")).formula).not.toContain("after");
    expect([...changing]).toContain("reward/mean");
    expect([...changing]).not.toContain("reward/shaped_mean");
  });

  it("shares lie in 0..1; means, shares and population deviations do not change with the batch twice over; totals double", () => {
    fc.assert(
      fc.property(batch, ({ scored, shaped }) => {
        const once = measured(factsOf(scored, shaped));
        const twice = measured(factsOf([...scored, ...scored], [...shaped, ...shaped]));
        for (const [column, value] of Object.entries(once)) {
          const { unit, formula } = metricDefinition(column);
          if (value === null) expect(twice[column], column).toBeNull();
          else {
            if (unit === "0..1") expect(value >= 0 && value <= 1, column).toBe(true);
            const doubles = /^completion tokens (of|\/ time)/.test(formula);
            expect(twice[column]! / (doubles ? 2 : 1), column).toBeCloseTo(value, 10);
          }
        }
      }),
    );
  });

  it("counts text in circles, whatever its mode and its verdict", () => {
    const circles = [
      "so".concat(" so".repeat(9)),
      "then we go on ".repeat(10),
      "x".repeat(120),
      `a right answer${" 5".repeat(10)}`,
    ];
    const fine = ["so".concat(" so".repeat(8)), "x".repeat(119), "", "1 2 1 2 1 2 1 2 1 2"];
    const group = [...circles, ...fine].map((text) => completion({ text, correct: true, thinks: true }));
    expect(measured(factsOf([group], [group.map(() => 0)]))["completion/degenerate"]).toBe(0.5);
  });
});

/** Every configuration below configs/, the stages of each; those whose data is not there are left out. */
function shippedConfigs(folder = "configs"): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return shippedConfigs(path);
    return entry.name.endsWith(".yaml") ? [path] : [];
  });
}

/** @param precision of matrix products, which a backend has like its programs: both are asked for on the command line */
async function columnsOfConfig(
  path: string,
  precision: string,
  set: readonly string[] = [],
): Promise<string[]> {
  const { stages } = loadRecipe(path, { set });
  const found: string[] = [];
  for (const { recipe } of stages) {
    const { algorithm } = recipe;
    const { metrics } = algorithmOf(algorithm);
    const { train } = recipe.data;
    const there = train.kind !== "file" || dataPaths(train).every((name) => existsSync(name));
    const source = there
      ? await openSource(train, recipe.seed, "train", () => undefined)
      : { size: 1, at: () => ({ slices: {} }) };
    const common = { ...setting, size: source.size };
    const own =
      metrics !== null
        ? columnsOf(metrics, common)
        : stepMetrics(
            {
              train: source,
              settings: {
                partNames: recipe.rewards.map(partName),
                optimizer: recipe.optimizer,
                credit: recipe.environment ?? null,
              },
              policy: { precision },
            } as unknown as Stage,
            {
              columns: samplerColumns(recipe.sampler),
              shaping: openShaping(recipe.shaping, new Slots()),
            },
            algorithmOf(algorithm).measures(algorithm),
          ).columns;
    const alarms = recipe.run.alarms ? alarmsFor(own).map(({ name }) => name) : [];
    const loop: Setting = {
      ...common,
      alarms,
      measures: new Set([...(alarms.length > 0 ? ["alarms" as const] : []), "compile" as const]),
    };
    found.push(
      ...own,
      ...columnsOf(alarmMetrics as readonly Metric<never>[], loop),
      ...columnsOf(optimizerMetrics as readonly Metric<never>[], loop),
      ...columnsOf(loopMetrics as readonly Metric<never>[], loop),
    );
  }
  return found;
}

describe("the table", () => {
  it("holds no metric that neither a shipped config nor a setting of people writes", async () => {
    const written = new Set<string>(leadingColumns);
    let loaded = 0;
    for (const path of shippedConfigs()) {
      try {
        for (const column of await columnsOfConfig(path, "bf16")) written.add(metricDefinition(column).name);
        loaded++;
      } catch (error) {
        // experiments and claims are no recipes, and data of some papers is not there
        if (!(error instanceof RlptError)) throw error;
      }
    }
    // what people add to these
    for (const set of [
      ["algorithm.dynamic_sampling={}"],
      ["algorithm.loss={kind: kl-cov}"],
      ["sampler={kind: curriculum, column: level}"],
      ["sampler={kind: success-rate}", "data.train.size=64"],
      ["shaping=[{kind: laser-d, target_tokens: 8, longest_tokens: 48, interval: 8}]"],
    ]) {
      const columns = await columnsOfConfig("configs/quickstart.yaml", "f32", set);
      for (const column of columns) written.add(metricDefinition(column).name);
    }
    expect(loaded).toBeGreaterThan(10);
    expect(metricDefinitions.map(({ name }) => name).filter((name) => !written.has(name))).toEqual([]);
  }, 60_000);

  it("has labels where people look, and no column twice in a stage", () => {
    for (const { name, label, format, line, panel } of metricDefinitions) {
      if (line || panel) expect([typeof label, typeof format], name).toEqual(["string", "function"]);
    }
    const columns = columnsOf([...sampledBefore, ...sampledAfter], setting);
    expect(new Set(columns).size).toBe(columns.length);
  });
});
