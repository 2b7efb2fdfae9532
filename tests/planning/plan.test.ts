import { describe, expect, it } from "vitest";
import { loadRecipe, type RecipeStage } from "../../src/config/load.ts";
import { wavesSeconds } from "../../src/planning/batch.ts";
import { estimate } from "../../src/planning/estimate.ts";
import { renderPlan } from "../../src/planning/render.ts";
import { mostLiveGroups, passWeight, probeSizes, secondsAt } from "../../src/planning/scale.ts";
import { type Observation, stageCost } from "../../src/planning/stage-cost.ts";
import type { EngineCosts, StageCost } from "../../src/planning/types.ts";
import { cacheBytes } from "../../src/policy/cache-size.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { compareWithPlan, offBy } from "../../src/report/plan-accuracy.ts";

const model = parseModelConfig(
  {
    model_type: "llama",
    vocab_size: 8,
    hidden_size: 4,
    intermediate_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    hidden_act: "silu",
    max_position_embeddings: 64,
  },
  "config",
);

describe("sizes of a probe", () => {
  it("are the config's own where a step is short", () => {
    expect(probeSizes(145_000, 16, 8 * 48, 48)).toEqual({ rows: [16], maxNewTokens: 48 });
  });

  it("are two smaller ones where it is long, and shorter completions where one prompt is too much", () => {
    // 8 * 135e6 * 8 * 64 = 5.5e11 operations a prompt
    expect(probeSizes(135e6, 16, 8 * 64, 64)).toEqual({ rows: [1, 2], maxNewTokens: 34 });
    expect(probeSizes(145_000, 16_000, 8 * 48, 48).rows).toEqual([673, 1346]);
    expect(probeSizes(1e9, 1, 4096, 512)).toEqual({ rows: [1], maxNewTokens: 16 });
    // supervised rows are as long as their data
    expect(probeSizes(135e6, 64, 512, null)).toEqual({ rows: [1, 2], maxNewTokens: 0 });
  });

  it("give the time of the whole size: what every step has, and what grows", () => {
    const seen = [
      { rows: 2, seconds: 5 },
      { rows: 4, seconds: 8 },
    ];
    expect(secondsAt(seen, 10, 1)).toBeCloseTo(2 + 1.5 * 10);
    expect(secondsAt(seen, 10, 2)).toBeCloseTo(2 + 1.5 * 10 * 2);
    expect(secondsAt([{ rows: 4, seconds: 8 }], 8, 1)).toBeCloseTo(16);
    // noise that makes the larger one faster is no reason for less than nothing
    expect(
      secondsAt(
        [
          { rows: 2, seconds: 8 },
          { rows: 4, seconds: 7 },
        ],
        100,
        1,
      ),
    ).toBeCloseTo(7);
  });

  it("know how many groups are live in the fullest of many steps", () => {
    expect(mostLiveGroups(16, 0, 100)).toBe(0);
    expect(mostLiveGroups(16, 1, 100)).toBe(16);
    // Binomial(16, 0.4): P(live <= 10) = 0.981, P(live <= 11) = 0.995
    expect(mostLiveGroups(16, 0.4, 50)).toBe(10);
    expect(mostLiveGroups(16, 0.4, 100)).toBe(11);
  });

  it("grow memory with tokens, and faster with the length of a row", () => {
    expect(cacheBytes(model, { rows: 3, length: 5 })).toBe(2 * 4 * 2 * 1 * 2 * 15);
    // two convolutions of three remember two inputs of 16 numbers; the layer with attention, keys and values
    const lfm2 = parseModelConfig(
      {
        model_type: "lfm2",
        vocab_size: 8,
        hidden_size: 16,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        layer_types: ["conv", "full_attention", "conv"],
      },
      "x",
    );
    expect(cacheBytes(lfm2, { rows: 3, length: 5 })).toBe(3 * 4 * (2 * 2 * 16 + 2 * 2 * 4 * 5));
    // two delta nets of three layers: three inputs of 2 * 2 * 3 + 4 * 5 numbers, and four memories [3, 5]
    const qwen35 = parseModelConfig(
      {
        model_type: "qwen3_5_text",
        vocab_size: 8,
        hidden_size: 16,
        intermediate_size: 8,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        layer_types: ["linear_attention", "full_attention", "linear_attention"],
        linear_num_key_heads: 2,
        linear_num_value_heads: 4,
        linear_key_head_dim: 3,
        linear_value_head_dim: 5,
      },
      "x",
    );
    const remembered = 2 * (3 * 32 + 4 * 3 * 5);
    expect(cacheBytes(qwen35, { rows: 3, length: 5 })).toBe(3 * 4 * (remembered + 2 * 2 * 8 * 5));
    // what a delta net keeps grows with tokens alone, once a row is longer than a chunk
    const ofDeltaNets = (length: number) => {
      const layers = qwen35.layers.filter(({ mixer }) => mixer.kind === "delta-net");
      return passWeight({ ...qwen35, layers }, { rows: 1, length });
    };
    expect(ofDeltaNets(256)).toBe(2 * ofDeltaNets(128));
    expect(ofDeltaNets(32)).toBeGreaterThan(2 * ofDeltaNets(16));
    const pass = (rows: number, length: number) => passWeight(model, { rows, length });
    expect(pass(6, 5)).toBe(2 * pass(3, 5));
    expect(pass(3, 10)).toBeGreaterThan(2 * pass(3, 5));
  });
});

const MB = 1e6;

function cost(stage: string, over: Partial<StageCost> = {}): StageCost {
  return {
    stage,
    basis: "measured",
    counts: {
      parameters: 1e6,
      trainable: 1e6,
      frozen: 0,
      weights: 4 * MB,
      gradients: 4 * MB,
      moments: 8 * MB,
      reference: 0,
      critic: 0,
    },
    activations: { seen: 50 * MB, bytes: 60 * MB, limit: 100 * MB, note: "" },
    generation: { seen: 30 * MB, bytes: 30 * MB, limit: 40 * MB, note: "" },
    first_step_s: 3,
    step_s: 2,
    update: { all_s: 2, live: 0.5, basis: "probe" },
    compile_s: 0,
    evaluation_s: 5,
    checkpoint_s: 1,
    checkpoint_bytes: 10 * MB,
    last_checkpoint_bytes: 14 * MB,
    ...over,
  };
}

function costs(stages: StageCost[], over: Partial<EngineCosts> = {}): EngineCosts {
  return {
    engine: "wasm",
    description: "",
    basis: "measured",
    startup_s: 1,
    processors: 0.5,
    peak_bytes: 200 * MB,
    available_bytes: 1000 * MB,
    stages,
    step_log_bytes: 100,
    evaluation_log_bytes: 1000,
    fixed_log_bytes: 5000,
    how: "",
    seconds: 4,
    ...over,
  };
}

describe("the cost of a stage", () => {
  const { stages } = loadRecipe("configs/quickstart.yaml");
  const usage = {
    stage: "grpo",
    steps: 3,
    first_steps: 1,
    first_step_s: 5,
    steps_s: 5 + 2 * 2,
    first_update_s: 4,
    update_s: 4 + 2 * 0.8,
    compile_s: 0,
    first_live: 0.5,
    live: 0.5 + 0.4 + 0.4,
    evaluations: 0,
    evaluation_s: 0,
    checkpoints: 0,
    checkpoint_s: 0,
  };
  const pass = { rows: 64, length: 40, bytes: 80 * MB };
  const seen = (over: Partial<Observation> = {}): Observation => ({
    rows: 16,
    maxNewTokens: 48,
    everyRow: false,
    evaluation: { prompts: 0, probed: 0 },
    usage,
    checkpoint: { last: 0, inner: 0 },
    counts: cost("grpo").counts,
    peaks: {
      update: pass,
      generation: pass,
      longestPrompt: 10,
      longestCompletion: 30,
      updateRows: 150,
      compiled: null,
    },
    ...over,
  });

  it("tells updates from the rest, at the share that the probe's updates held", () => {
    const { update, step_s } = stageCost(stages[0]!, model, [seen()]);
    // the steps behind the first: 0.8 s for 40% of the completions
    expect(update.all_s).toBeCloseTo(2);
    expect(update.live).toBeCloseTo(1.3 / 3);
    expect(update.basis).toBe("probe");
    expect(step_s).toBeCloseTo(1.2 + 2 * (1.3 / 3));
  });

  it("takes all where the probe was smaller than the run, or the algorithm leaves none out", () => {
    const half = { ...usage, steps_s: 5 + 2, update_s: 4 + 2 * 0.4 };
    const scaled = stageCost(stages[0]!, model, [
      seen({ rows: 4, usage: half, everyRow: true }),
      seen({ rows: 8, everyRow: true }),
    ]);
    // 0.4 s at 4 prompts, 0.8 s at 8: 1.6 s at 16
    expect(scaled.update).toEqual({ all_s: expect.closeTo(1.6) as number, live: 1, basis: "assumed" });
    const { recipe } = stages[0]!;
    const bonus = { ...recipe.algorithm, entropy_coef: 0.01 } as typeof recipe.algorithm;
    const all = stageCost({ ...stages[0]!, recipe: { ...recipe, algorithm: bonus } }, model, [
      seen({ usage: { ...usage, live: 3, first_live: 1 } }),
    ]);
    expect(all.update).toEqual({ all_s: expect.closeTo(0.8) as number, live: 1, basis: "algorithm" });
    expect(all.step_s).toBeCloseTo(2);
  });
});

describe("an estimate", () => {
  const { stages } = loadRecipe("configs/quickstart.yaml");

  it("counts steps, evaluations and checkpoints as the loop makes them", () => {
    // 100 steps; evaluated at the start and every 20; checkpoints every 20, of which two and the best stay
    const plan = estimate("c", stages, costs([cost("grpo")]), 1e9);
    expect(plan.stages[0]).toMatchObject({
      steps_s: 3 + 99 * 2,
      evaluations: 6,
      evaluation_s: 30,
      checkpoints: 5,
      checkpoint_s: 5,
      total_s: 236,
    });
    expect(plan).toMatchObject({ total_s: 237, cpu_s: 118.5 });
    expect(plan.disk).toMatchObject({
      checkpoints: 3,
      checkpoints_bytes: 34 * MB,
      rest_bytes: 100 * 100 + 6 * 1000 + 5000,
    });
  });

  it("says what the time would be with no completion in updates, and with all", () => {
    // half of the completions, 1 of 2 s: 100 steps are 100 s less, or 100 s more
    const probed = estimate("c", stages, costs([cost("grpo")]), 1e9);
    expect(probed.range_s).toEqual({ low: 137, high: 337 });
    expect(probed.stages[0]).toMatchObject({ live: 50, update_s: 100 });
    const shown = renderPlan(probed);
    expect(shown).toContain("with updates of 50% of the completions, as in the probe");
    expect(shown).toContain("2 min 17 s if none could, 5 min 37 s if all could");
    const always = cost("grpo", { update: { all_s: 2, live: 1, basis: "algorithm" } });
    const fixed = estimate("c", stages, costs([always]), 1e9);
    expect(fixed.range_s).toEqual({ low: 237, high: 237 });
    expect(renderPlan(fixed)).not.toContain("if all could");
    const unseen = cost("grpo", { update: { all_s: 0, live: 0, basis: "probe" } });
    expect(renderPlan(estimate("c", stages, costs([unseen]), 1e9))).toContain("is not known");
  });

  it("counts the checkpoints that keep_every leaves", () => {
    const kept = (keep_every: number) => {
      const { recipe } = stages[0]!;
      const stage = { ...stages[0]!, recipe: { ...recipe, run: { ...recipe.run, keep_every } } };
      return estimate("c", [stage], costs([cost("grpo")]), 1e9).disk.checkpoints;
    };
    // of 20, 40, ... 100: two, the best, and at most these
    expect([7, 100, 40, 20].map(kept)).toEqual([3, 4, 5, 5]);
  });

  it("adds to the probe's peak what the run's largest step holds besides", () => {
    const { memory } = estimate("c", stages, costs([cost("grpo")]), 1e9);
    // a run of 100 steps grows by 5%
    expect(memory.peak_bytes).toBeCloseTo(1.05 * 210 * MB);
    expect(memory.limit_bytes).toBeCloseTo(1.05 * 250 * MB);
    expect(memory.fits).toBe("yes");
    // gradients and activations take turns with generation
    const { weights, moments, activations, program, gradients } = Object.fromEntries(
      memory.parts.map(({ name, bytes }) => [name.replace("optimizer ", ""), bytes]),
    );
    expect(weights! + moments! + gradients! + activations! + program!).toBeCloseTo(memory.peak_bytes);
  });

  it("expects less growth of a short run", () => {
    const { recipe } = stages[0]!;
    const short = { ...stages[0]!, recipe: { ...recipe, steps: 20 } };
    const { memory } = estimate("c", [short], costs([cost("grpo")]), 1e9);
    expect(memory.peak_bytes).toBeCloseTo(1.01 * 210 * MB);
  });

  it("takes the stage that needs most, and says when memory is short", () => {
    const large = cost("second", {
      activations: { seen: 80 * MB, bytes: 80 * MB, limit: 80 * MB, note: "" },
    });
    const two: RecipeStage[] = [stages[0]!, { ...stages[0]!, name: "second" }];
    const plan = (available_bytes: number) =>
      estimate("c", two, costs([cost("grpo"), large], { available_bytes }), 1e9);
    expect(plan(1000 * MB).memory.peak_bytes).toBeCloseTo(1.05 * 200 * MB);
    expect(plan(1000 * MB).stages.map(({ evaluations }) => evaluations)).toEqual([6, 5]);
    expect(plan(205 * MB).memory.fits).toBe("no");
    expect(plan(220 * MB).memory.fits).toBe("below its limits");
  });

  it("does not trust tfjs's WebAssembly heap with more than its 4 GiB", () => {
    const large = { activations: { seen: 5e9, bytes: 5e9, limit: 5e9, note: "" } };
    const memory = (engine: string) =>
      estimate(
        "c",
        stages,
        costs([cost("grpo", large)], { engine, peak_bytes: 6e9, available_bytes: 64e9 }),
        1e9,
      ).memory.fits;
    expect(memory("wasm")).toBe("no");
    expect(memory("webgpu")).toBe("yes");
  });
});

it("lays runs over workers, wave by wave", () => {
  const runs = [3, 3, 2, 2].map((total_s) => ({ wave: 0, total_s }));
  expect(wavesSeconds(runs, 2)).toBe(5);
  expect(wavesSeconds([...runs, { wave: 1, total_s: 4 }], 2)).toBe(9);
  expect(wavesSeconds(runs, 1)).toBe(10);
});

it("compares a plan with what the run took, but not times of another number of steps", () => {
  const stage = (steps: number, steps_s: number) => ({ steps, steps_s });
  const plan = {
    total_s: 20,
    cpu_s: 10,
    stages: [stage(10, 20)],
    memory: { peak_bytes: 90 },
    disk: { checkpoints_bytes: 10, rest_bytes: 2 },
  };
  const used = {
    total_s: 25,
    cpu_s: 10,
    stages: [stage(10, 16)],
    peak_rss_bytes: 100,
    disk: { checkpoints_bytes: 10, rest_bytes: 2 },
  };
  const rows = compareWithPlan(plan, used);
  expect(rows.map((row) => [row.quantity, offBy(row)])).toEqual([
    ["peak memory", 0.9 - 1],
    ["time per step", 0.25],
    ["time in all", 0.8 - 1],
    ["processor time", 0],
    ["disk", 0],
  ]);
  const early = compareWithPlan(plan, { ...used, stages: [stage(5, 8)] });
  expect(early.map(({ planned }) => planned === null)).toEqual([false, false, true, true, true]);
  expect(compareWithPlan(null, used).every(({ planned }) => planned === null)).toBe(true);
});

it("tells the error of a plan from what the policy became", () => {
  const stage = (live: number, basis: "probe" | "algorithm") => ({
    steps: 10,
    steps_s: 20,
    live,
    update: { all_s: 2, basis },
  });
  const rest = { cpu_s: 1, disk: { checkpoints_bytes: 1, rest_bytes: 0 } };
  const plan = {
    ...rest,
    total_s: 50,
    stages: [stage(8, "probe"), stage(10, "algorithm")],
    memory: { peak_bytes: 1 },
  };
  const used = {
    ...rest,
    total_s: 40,
    peak_rss_bytes: 1,
    stages: [stage(3, "probe"), stage(4, "algorithm")],
  };
  const of = (p: typeof plan) =>
    compareWithPlan(p, used).find(({ quantity }) => quantity === "time at its live share");
  // five steps' worth of updates fewer than was planned, 2 s each
  expect(of(plan)).toMatchObject({ planned: 40, took: 40 });
  // processor time in proportion
  const processor = compareWithPlan(plan, used).find(({ quantity }) => quantity === "processor time at it");
  expect(processor!.planned).toBeCloseTo(40 / 50);
  expect(of({ ...plan, stages: [plan.stages[1]!, plan.stages[1]!] })).toBeUndefined();
});
