import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as rlpt from "../../src/index.ts";
import { runTraining, tinyGrpo, tinyPpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
let recipe: rlpt.ResolvedRecipe;
beforeAll(() => {
  recipe = rlpt.loadRecipe(space.write("tiny.yaml", tinyGrpo), { backend: "wasm" });
});

const weights = (checkpoint: string | null) => readFileSync(join(checkpoint!, "model", "model.safetensors"));

describe("train", () => {
  it("is the run that rlpt train makes, and tells its progress", async () => {
    const steps: number[] = [];
    const watcher = {
      seen: 0,
      step({ step }: { step: number }) {
        this.seen = step; // called as a method
        steps.push(step);
      },
    };
    const run = await rlpt.train(recipe, { runDir: space.path("library"), progress: watcher });
    const same = await runTraining(space.path("tiny.yaml"), { runDir: space.path("command") });
    expect(steps).toEqual([1, 2, 3, 4]);
    expect(watcher.seen).toBe(4);
    expect(run.runDir).toBe(space.path("library"));
    expect(weights(run.checkpoint).equals(weights(same.checkpoint))).toBe(true);
    expect(run.last).toEqual(same.last);
  });

  it("stops after a step when it is aborted, and resume goes on to the same end", async () => {
    const stop = new AbortController();
    const before = process.listenerCount("SIGINT");
    let listeners = 0;
    const runDir = space.path("stopped");
    const stopped = rlpt.train(recipe, {
      runDir,
      signal: stop.signal,
      progress: {
        step: ({ step }) => {
          listeners = process.listenerCount("SIGINT");
          if (step === 1) stop.abort();
        },
      },
    });
    await expect(stopped).rejects.toThrow(rlpt.InterruptedError);
    // the program's signals stay its own
    expect(listeners).toBe(before);
    expect(existsSync(join(runDir, "checkpoints", "000001"))).toBe(true);
    const run = await rlpt.resume(runDir);
    const whole = weights(join(space.path("library"), "checkpoints", "000004"));
    expect(weights(run.checkpoint).equals(whole)).toBe(true);
    await expect(rlpt.resume(runDir)).rejects.toThrow("has done its 4 steps");
    const more = await rlpt.resume(runDir, { steps: 5 });
    expect(more.checkpoint).toContain("000005");
    await expect(rlpt.resume(space.path("nothing"))).rejects.toThrow(rlpt.RlptError);
  });

  it("throws all that is wrong before a run directory exists", async () => {
    const rows = space.write("rows.csv", "question,answer\n1+1=,\n");
    const empty = tinyGrpo.replace("{ kind: chain, levels: [1, 2] }", `{ path: ${JSON.stringify(rows)} }`);
    const absent = rlpt.loadRecipe(space.write("absent.yaml", empty));
    const runDir = space.path("never");
    await expect(rlpt.train(absent, { runDir })).rejects.toThrow(rlpt.ConfigFaultsError);
    expect(existsSync(runDir)).toBe(false);
    await expect(rlpt.train("no-such-config")).rejects.toThrow("no such file");
  });
});

describe("a model", () => {
  it("is evaluated, opened from a checkpoint, sampled and saved", async () => {
    const { metrics, prompts } = await rlpt.evaluate(space.path("library"), { checkpoint: 4 });
    expect(metrics["prompts"]).toBe(6);
    expect(prompts).toHaveLength(6);
    const from = join(space.path("library"), "checkpoints", "000004", "model");
    const model = await rlpt.loadPolicy(from, { backend: "wasm" });
    const draws = { seed: 7, stage: "here", step: 2 };
    const options = { group_size: 3, max_new_tokens: 5 };
    const groups = await rlpt.sample(model, ["1+2=", "2+2="], options, draws);
    expect(groups.map(({ completions }) => completions.length)).toEqual([3, 3]);
    // alone, or with others: the same draws
    const [alone] = await rlpt.sample(model, ["1+2="], options, draws);
    expect(alone!.completions.map(({ text }) => text)).toEqual(
      groups[0]!.completions.map(({ text }) => text),
    );
    await expect(rlpt.sample(model, ["1"], { group_size: 0 })).rejects.toThrow("sample: group_size: ");
    const saved = space.path("saved");
    await model.save(saved);
    expect(readFileSync(join(saved, "model.safetensors")).equals(weights(join(from, "..")))).toBe(true);
    await expect(model.save(saved)).rejects.toThrow("is not empty");
    model.dispose();
    await expect(rlpt.loadPolicy(from, { backend: "abacus" })).rejects.toThrow("backend abacus: use one of");
  });

  it("gets the prompts that a run of its recipe draws", async () => {
    const model = await rlpt.loadPolicy(recipe.recipe);
    const data = await rlpt.openData(recipe.recipe, "train", model);
    const prompts = rlpt.drawPrompts(recipe.recipe, data);
    const ids = [0, 1].flatMap((step) => prompts.draw(step, 3).map(({ prompt }) => prompt.id));
    const drawn = readFileSync(join(space.path("library"), "prompts.csv"), "utf8")
      .trim()
      .split("\n");
    const column = drawn[0]!.split(",").indexOf("prompt_id");
    expect(drawn.slice(1, 7).map((line) => line.split(",")[column])).toEqual(ids);
    model.dispose();
    const { eval: _, ...train } = recipe.recipe.data;
    await expect(rlpt.openData({ ...recipe.recipe, data: train }, "eval", model)).rejects.toThrow(
      "no data.eval",
    );
  });
});

describe("rewards", () => {
  it("grade answers as mathematics", async () => {
    expect(await rlpt.grade("\\frac{1}{2}", "0.5")).toEqual({ equal: true, status: "ok" });
    expect(await rlpt.grade("x^2-1", "(x-1)(x+1)")).toEqual({ equal: true, status: "ok" });
    expect((await rlpt.grade("2", "3")).equal).toBe(false);
    expect((await rlpt.grade("2", "\\int x")).status).toBe("error");
  });

  it("score texts by a recipe's parts", async () => {
    const scorer = await rlpt.createScorer(rlpt.loadRecipe("quickstart").recipe);
    const scores = await scorer.texts([{ completion: "<think></think><answer>7</answer>", answer: "7" }]);
    expect(scores[0]).toMatchObject({ reward: 1, status: "ok", correct: true });
    await scorer.close();
  });
});

it("the loop of examples/grpo-loop.ts refuses what it leaves out", async () => {
  const { grpo } = await import("../../examples/grpo-loop.ts");
  const say = () => {};
  const shaped = space.write("kl.yaml", tinyGrpo.replace("kind: grpo", "kind: grpo, epochs: 2"));
  await expect(grpo(shaped, {}, say)).rejects.toThrow("leaves out several updates of a step");
  await expect(grpo(space.write("ppo.yaml", tinyPpo), {}, say)).rejects.toThrow("algorithm.kind is ppo");
  // rewards that are all equal give a gradient of 0, and weights decay
  const equal = space.write(
    "equal.yaml",
    tinyGrpo.replace(/ {2}- \{ kind: length.*\n/, "").replace("lr: 0.01", "lr: 0.01, weight_decay: 0.1"),
  );
  const reports = await grpo(equal, { steps: 2, backend: "wasm", save: space.path("decayed") }, say);
  const run = await runTraining(equal, { steps: "2", runDir: space.path("equal") });
  expect(reports.map(({ gradientNorm }) => gradientNorm)).toEqual([0, 0]);
  const decayed = readFileSync(join(space.path("decayed"), "model.safetensors"));
  expect(decayed.equals(weights(run.checkpoint))).toBe(true);
});
