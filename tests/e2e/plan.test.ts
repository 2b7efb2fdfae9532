import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, it, vi } from "vitest";
import { compiledPrograms } from "../../src/backend/read.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { RlptError } from "../../src/lib/errors.ts";
import { packageRoot } from "../../src/lib/version.ts";
import { planExperiment, planSweep } from "../../src/planning/batch.ts";
import { createTensorMeter } from "../../src/planning/meter.ts";
import { planRun } from "../../src/planning/plan.ts";
import { probe } from "../../src/planning/probe.ts";
import type { Plan } from "../../src/planning/types.ts";
import { planAccuracy } from "../../src/report/plan-accuracy.ts";
import { readUsage } from "../../src/run/usage.ts";
import { train } from "../../src/training/train.ts";
import { optionalPart } from "../helpers/optional.ts";
import { tinyGrpo, tinyPpo, tinySft, tinyStages, workspace } from "../helpers/tiny-run.ts";
import { xlaHere, xlaMissing } from "../helpers/xla.ts";

const space = workspace();
afterAll(space.remove);

const set = ["backend.kind=wasm", "backend.cblas=off"];
let folders = 0;
const probed = (yaml: string, more: string[] = []) => {
  const name = `probe ${++folders}`;
  const { stages } = loadRecipe(space.write(`${name}.yaml`, yaml), { set: [...set, ...more] });
  return probe(stages, space.path(name));
};

describe("a probe", () => {
  it("says of every stage what stays in memory, and sees what comes and goes", async () => {
    const costs = await probed(tinyStages);
    expect(costs.stages.map(({ stage }) => stage)).toEqual(["warm", "first", "second"]);
    const { parameters } = costs.stages[0]!.counts;
    expect(costs.stages[0]!.counts).toEqual({
      parameters,
      trainable: parameters,
      frozen: 0,
      weights: 4 * parameters,
      gradients: 4 * parameters,
      moments: 8 * parameters,
      reference: 0,
      critic: 0,
    });
    // only the last stage has a KL term
    expect(costs.stages.map(({ counts }) => counts.reference)).toEqual([0, 0, 4 * parameters]);
    for (const stage of costs.stages) {
      expect(stage.step_s, stage.stage).toBeGreaterThan(0);
      expect(stage.activations.bytes, stage.stage).toBeGreaterThan(10_000);
      expect(stage.activations.limit).toBeGreaterThanOrEqual(stage.activations.bytes);
    }
    expect(costs.stages[1]!.generation.bytes).toBeGreaterThan(1000);
    expect(costs.evaluation_log_bytes).toBeGreaterThan(100);
  });

  it("counts the critic of PPO, which has one output instead of a vocabulary", async () => {
    const { counts } = (await probed(tinyPpo)).stages[0]!;
    const head = 24 * 16;
    expect(counts.critic).toBe(12 * (counts.parameters - head + 16));
  });

  it("takes adapters for what LoRA trains, and for all that its checkpoints hold until the last", async () => {
    const lora = `${tinyGrpo.slice(0, tinyGrpo.indexOf("model:"))}
model: { path: "${join(packageRoot(), "models", "lab-small")}", lora: { rank: 2 } }
${tinyGrpo.slice(tinyGrpo.indexOf("data:"))}`;
    const [stage] = (await probed(lora)).stages;
    expect(stage!.counts.trainable).toBeLessThan(stage!.counts.parameters);
    expect(stage!.counts.weights).toBe(4 * (stage!.counts.parameters + stage!.counts.trainable));
    expect(stage!.checkpoint_bytes).toBeLessThan(stage!.last_checkpoint_bytes);
  });

  it("leaves tfjs as it was", async () => {
    await probed(tinySft);
    const { tensorInfo } = (tf.engine() as unknown as { state: { tensorInfo: object } }).state;
    expect(Object.keys(tensorInfo)).toEqual([]);
  });

  it("of a long step is made at two smaller sizes, and taken to the step's own", async () => {
    const yaml = tinyGrpo.replace("prompts_per_step: 3", "prompts_per_step: 16");
    const { stages } = loadRecipe(space.write("long.yaml", yaml), { set });
    const { parameters } = (await probed(tinyGrpo)).stages[0]!.counts;
    // a prompt and a half of 4 completions of 8 tokens, 8 operations a parameter
    const { how, stages: costs } = await probe(stages, space.path("long"), 1.5 * 8 * parameters * 4 * 8);
    expect(how).toMatch(
      /^grpo: \d steps of 1 prompts x 4 of up to 8 tokens; scaled .*; grpo: \d steps of 2 prompts/,
    );
    const seen = readUsage(space.path("long"))!.stages;
    expect(seen.map(({ stage }) => stage)).toEqual(["grpo of 1", "grpo of 2"]);
    const [small, large] = seen.map(
      ({ steps, steps_s, first_step_s }) => (steps_s - first_step_s) / (steps - 1),
    );
    const [cost] = costs;
    expect(cost!.update).toMatchObject({ live: 1, basis: "assumed" });
    // a fixed part, and one that grows: never less than the larger step
    expect(cost!.step_s).toBeGreaterThanOrEqual(0.99 * large!);
    expect(cost!.step_s).toBeLessThan(16 * Math.max(small!, large!));
  });

  it("grows with the rows of a step", async () => {
    const bytes = async (rows: number) =>
      (await probed(tinySft, [`algorithm.rows_per_step=${rows}`])).stages[0]!.activations.bytes;
    const [small, large] = [await bytes(4), await bytes(16)];
    expect(large / small).toBeGreaterThan(3);
    expect(large / small).toBeLessThan(5);
  });
});

it("updates hold the completions that can move the weights, or all where a probe asks for it", async () => {
  // most completions are of the same length, and then of the same reward
  const { stages } = loadRecipe(space.write("dead.yaml", tinyGrpo), { set });
  const trained = async (everyRow: boolean) => {
    const meter = createTensorMeter();
    const runDir = space.path(`every row ${everyRow}`);
    const quiet = { start() {}, step() {}, note() {}, stop() {} };
    await train({
      stages,
      resume: null,
      runDir,
      progress: quiet,
      command: [],
      now: new Date(0),
      steering: { watch: meter.watch, everyRow: () => everyRow },
    });
    meter.dispose();
    return { rows: meter.take().updateRows, usage: readUsage(runDir)!.stages[0]! };
  };
  const [live, all] = [await trained(false), await trained(true)];
  expect(all.rows).toBe(4 * 3 * 4);
  expect(live.rows).toBe(32);
  expect(live.usage.live).toBeCloseTo(live.rows / (3 * 4));
  // the share is that of what can move the weights either way
  expect(all.usage.live).toBeLessThan(4);
});

optionalPart(
  "a probe of compiled programs",
  xlaHere,
  xlaMissing,
)(() => {
  it("takes memory from what the compiler reports, and keeps compiling apart", async () => {
    const { stages } = loadRecipe(space.write("probe compiled.yaml", tinyStages), {
      set: ["backend.kind=xla", "run.alarms=false"],
    });
    const before = compiledPrograms()?.length ?? 0;
    const costs = await probe(stages, space.path("probe compiled"));
    const programs = compiledPrograms()!.slice(before);
    const most = (what: string) =>
      Math.max(...programs.filter(({ name }) => name.includes(what)).map(({ bytes }) => bytes ?? 0));
    const reported = programs.every(({ bytes }) => bytes !== null);
    expect(costs.engine).toBe("xla");
    for (const { stage, basis, activations, generation, counts, compile_s } of costs.stages) {
      expect(basis).toBe("compiled");
      expect(compile_s, stage).toBeGreaterThan(0);
      if (!reported) continue; // TensorFlow's library does not say
      expect(activations.seen, stage).toBeGreaterThan(0);
      expect(activations.seen + counts.gradients, stage).toBeLessThanOrEqual(most("gradients"));
      // generation of the first stage is its evaluation
      expect(generation.seen, stage).toBeLessThanOrEqual(most("decoding"));
    }
    if (reported) {
      const updates = costs.stages.map(({ activations, counts }) => activations.seen + counts.gradients);
      expect(Math.max(...updates)).toBe(most("gradients"));
      expect(Math.max(...costs.stages.map(({ generation }) => generation.seen))).toBe(most("decoding"));
    }
    const stage = readUsage(space.path("probe compiled"))!.stages[1]!;
    expect(stage.compile_s).toBeGreaterThan(0);
    expect(stage.compile_s + stage.steps_s).toBeGreaterThan(stage.update_s);
  }, 240_000);
});

describe("a plan", () => {
  it("goes before a run with --plan, and is compared with it afterwards, whatever started both", () => {
    // a child's getrusage would begin with this
    const large = Buffer.alloc(500_000_000, 1);
    const config = space.write("planned.yaml", tinyGrpo);
    const runDir = space.path("planned");
    const out = execFileSync(
      process.execPath,
      [
        join(packageRoot(), "bin", "rlpt.js"),
        "train",
        config,
        "--plan",
        "--run-dir",
        runDir,
        ...set.flatMap((one) => ["--set", one]),
      ],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        // as where nothing compiles: pages of 2 MiB blur the size of so small a process
        env: { ...process.env, RLPT_PJRT_PLUGIN: "", RLPT_CACHE: space.path("no cache") },
      },
    );
    expect(out).toMatch(/^plan +peak memory .* took .* \([+-]\d+%\); time in all/m);
    const plan = JSON.parse(readFileSync(join(runDir, "plan.json"), "utf8")) as Plan;
    expect(plan.stages).toMatchObject([{ stage: "grpo", steps: 4, evaluations: 3, checkpoints: 2 }]);
    const memory = planAccuracy(runDir)!.find(({ quantity }) => quantity === "peak memory")!;
    expect(Math.abs(memory.planned! / memory.took - 1)).toBeLessThan(0.15);
    expect(memory.took).toBeLessThan(large.length);
  });

  it("of a sweep probes trials of other shapes only, and lays them over the workers", async () => {
    const config = space.write(
      "sweep.yaml",
      `${tinyGrpo}sweep: { grid: { optimizer.lr: [0.01, 0.02], rollout.group_size: [2, 4] } }\n`,
    );
    const notes: string[] = [];
    const plan = await planSweep(config, { set }, { concurrency: 2, note: (text) => notes.push(text) });
    expect(plan.runs).toHaveLength(4);
    expect(notes).toHaveLength(2);
    expect(Object.keys(plan.plans)).toHaveLength(2);
    const times = plan.runs.map(({ total_s }) => total_s).sort((a, b) => a - b);
    expect(plan.total_s).toBeGreaterThanOrEqual(times[3]!);
    expect(plan.total_s).toBeLessThan(times.reduce((sum, time) => sum + time, 0));
    expect(plan.peak_bytes).toBeGreaterThan(plan.runs[0]!.peak_bytes);
  });

  it("of an experiment waits for the arm that others select from", async () => {
    space.write("arm.yaml", tinyGrpo);
    const file = space.write(
      "experiment.yaml",
      "experiment: e\nconfig: arm.yaml\nseeds: [1]\narms:\n  full: {}\n  part: { select: { from: full, top: 0.5 } }\n",
    );
    const plan = await planExperiment(file, set, { concurrency: 2, note: () => {} });
    const [full, part] = plan.runs;
    expect([full!.name, part!.name, part!.plan]).toEqual(["full-s1", "part-s1", "full-s1"]);
    expect(plan.total_s).toBeCloseTo(full!.total_s + part!.total_s);
  });

  it("can be made of another engine's costs", async () => {
    const config = space.write("compiled.yaml", tinyGrpo);
    const measured = await probed(tinyGrpo);
    const plan = await planRun(config, { set }, async () => ({
      ...measured,
      basis: "compiled",
      engine: "card",
      peak_bytes: 7e9,
      available_bytes: 6e9,
    }));
    expect(plan).toMatchObject({ basis: "compiled", engine: "card", memory: { fits: "no" } });
  });

  it("says why a probe failed, and leaves nothing behind", async () => {
    const model = space.path("no model");
    const scratch = space.path("scratch");
    for (const folder of [model, scratch]) mkdirSync(folder);
    const config = space.write(
      "broken.yaml",
      tinyGrpo.replace(/model: [\s\S]*?\ndata:/, `model: { path: "${model}" }\ndata:`),
    );
    vi.stubEnv("TMPDIR", scratch);
    const failure = await planRun(config, { set }).catch((error: unknown) => error);
    vi.unstubAllEnvs();
    expect(failure).toBeInstanceOf(RlptError);
    expect((failure as Error).message).toContain("the probe of");
    expect((failure as Error).message).toContain(`${model} has no config.json`);
    expect(readdirSync(scratch)).toEqual([]);
  });
});
