/** Traced without a compiler: which programs a step has, and how often each runs in a step of the config. */
import { expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { largestMicroBatch } from "../../src/planning/device/plan.ts";
import { type TraceOptions, traceStage } from "../../src/planning/device/trace.ts";
import { openRecipeModel } from "../../src/training/assemble.ts";

async function trace(config: string, set: string[], options: Partial<TraceOptions> = {}) {
  const { stages } = loadRecipe(config, { set });
  const files = await openRecipeModel(stages[0]!.recipe, () => {}, { weights: false });
  const traced = await traceStage(stages[0]!, files, { device: "a card", ...options });
  files.weights.close();
  return {
    ...traced,
    runs: traced.programs.map(({ phase, runs, times }) => [phase, Math.round(runs.length * times)]),
  };
}

it("GRPO: generation, evaluation, reference, micro-batches in their number, and one optimizer step", async () => {
  const { runs, held, parameters, programs } = await trace("configs/quickstart.yaml", [
    "algorithm.micro_batch_rows=16",
    "algorithm.kl.coef=0.1",
    "rollout.max_new_tokens=100",
  ]);
  // 100 tokens take two programs, up to 65 and up to 100; 128 completions are 8 micro-batches
  expect(runs).toEqual(
    [
      ["generation", 1],
      ["generation", 1],
      ["evaluation", 1],
      ["evaluation", 1],
      ["reference logprobs", 8],
      ["micro-batch", 8],
      ["optimizer step", 1],
    ].map(([phase, count]) => [phase, phase === "evaluation" ? 0 : count]),
  );
  expect(programs[0]!.runs[0]!.turns + programs[1]!.runs[0]!.turns).toBe(99);
  expect(held).toEqual({
    weights: 4 * parameters,
    moments: 8 * parameters,
    reference: 4 * parameters,
    critic: 0,
  });
  // what stays is on the card when the optimizer's step begins, and the summed gradients with it
  const { inUse } = programs.at(-1)!.runs[0]!;
  const stays = held.weights + held.moments + held.reference + 4 * parameters;
  expect(inUse).toBeGreaterThanOrEqual(stays);
  expect(inUse).toBeLessThan(1.05 * stays);
}, 60_000);

it("PPO: values and two learners; without micro-batches gradients and step are one program", async () => {
  const { runs } = await trace("configs/ppo.yaml", ["algorithm.epochs=3", "algorithm.minibatches=2"], {
    updatesOnly: true,
  });
  expect(runs.filter(([phase]) => phase !== "reference logprobs")).toEqual([
    ["values", 1],
    ["training step", 6],
    ["critic step", 6],
  ]);
}, 60_000);

it("SFT and LoRA: only adapters have moments", async () => {
  const { runs, held, trainable, parameters } = await trace("configs/items-sft.yaml", [
    "model.lora.rank=4",
    "algorithm.micro_batch_rows=16",
    "algorithm.rows_per_step=64",
  ]);
  expect(runs.filter(([phase]) => phase !== "evaluation")).toEqual([
    ["micro-batch", 4],
    ["optimizer step", 1],
  ]);
  expect(trainable).toBeLessThan(parameters / 4);
  expect(held.moments).toBe(8 * trainable);
  expect(held.weights).toBe(4 * (parameters + trainable));
}, 60_000);

it("finds the largest micro-batch in few compilations", async () => {
  const search = async (memory: number, peakOf: (rows: number) => number, all = 128, start = 8) => {
    const tried: number[] = [];
    const largest = await largestMicroBatch(all, memory, start, async (rows) => {
      tried.push(rows);
      return peakOf(rows);
    });
    return { largest, tried };
  };
  expect(await search(1000, (rows) => 100 + 7 * rows)).toEqual({ largest: 128, tried: [128] });
  const linear = await search(500, (rows) => 100 + 7 * rows);
  expect(linear.largest).toBe(57);
  expect(linear.tried.length).toBeLessThanOrEqual(5);
  expect((await search(90, (rows) => 100 + 7 * rows)).largest).toBeNull();
  // steps of a bucket, as compilers plan memory
  const stepped = await search(500, (rows) => 100 + 7 * 8 * Math.ceil(rows / 8));
  expect(stepped.largest).toBeGreaterThanOrEqual(49);
  expect(stepped.largest).toBeLessThanOrEqual(56);
  expect((await search(107, (rows) => 100 + 7 * rows)).largest).toBe(1);
});
