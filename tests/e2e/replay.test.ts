import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { advantageRecords, renderReplay } from "../../src/replay/render.ts";
import { type ReplayRequest, replay } from "../../src/replay/replay.ts";
import { optionalPart } from "../helpers/optional.ts";
import { runTraining, tinyGrpo, tinyPpo, tinySft, tinyStages, workspace } from "../helpers/tiny-run.ts";
import { xlaHere, xlaMissing } from "../helpers/xla.ts";

const space = workspace();
afterAll(space.remove);

const again = (runDir: string, step: number, ...set: string[]) => {
  const request: ReplayRequest = { runDir, step, set, note: () => {} };
  return replay(request);
};

const equal = { weights: true, metrics: [] };

/** The run without some of its checkpoints. */
function without(runDir: string, name: string, steps: readonly number[]): string {
  const copy = space.path(name);
  cpSync(runDir, copy, { recursive: true });
  for (const step of steps) {
    rmSync(join(copy, "checkpoints", String(step).padStart(6, "0")), { recursive: true });
  }
  return copy;
}

for (const [kind, yaml] of [
  ["grpo", tinyGrpo],
  ["ppo", tinyPpo],
  ["sft", tinySft],
] as const) {
  describe(`a replayed step of ${kind}`, () => {
    const runDir = space.path(kind);
    beforeAll(async () => {
      await runTraining(space.write(`${kind}.yaml`, yaml), { runDir });
    });

    it("is the stored one, byte for byte, from a checkpoint and from the beginning", async () => {
      const late = await again(runDir, 4);
      expect(late).toMatchObject({ from: 2, stage: kind, algorithm: kind, stored: equal, changed: null });
      const early = await again(without(runDir, `${kind} early`, [2]), 4);
      expect(early).toMatchObject({ from: 0, stored: equal });
      expect(early.original).toEqual({
        ...late.original,
        metrics: expect.objectContaining({ step: "4" }) as unknown,
      });
      const rows = kind === "sft" ? null : { compared: 2 * 4, differing: 0 };
      expect(late.stored.samples).toEqual(rows);
    });

    it("says so when the run is another's", async () => {
      const other = without(runDir, `${kind} other`, []);
      const recipe = join(other, "recipe.yaml");
      writeFileSync(recipe, readFileSync(recipe, "utf8").replace("lr: 0.01", "lr: 0.011"));
      const { stored } = await again(other, 4);
      expect(stored.weights).toBe(false);
      expect(stored.metrics).toContain("optim/grad_norm");
    });

    it("remarks that the run's provenance is another's, and says nothing else of its beginnings", async () => {
      const other = without(runDir, `${kind} version`, []);
      const provenance = join(other, "provenance.json");
      const text = readFileSync(provenance, "utf8");
      writeFileSync(provenance, text.replace(/"rlpt": "[^"]+"/, '"rlpt": "0.0.1"'));
      const notes: string[] = [];
      await replay({ runDir: other, step: 4, set: [], note: (note) => notes.push(note) });
      // what the run says of its model, data and steps is no news
      expect(notes[0]).toBe("steps 3 to 3 are made again");
      expect(notes.length).toBeGreaterThan(1);
      for (const note of notes.slice(1)) expect(note).toContain("results may differ");
    });

    it("with another learning rate goes the same way, further", async () => {
      const { changed } = await again(runDir, 3, "optimizer.lr=0.02");
      expect(changed!.settings).toEqual([{ path: "optimizer.lr", was: 0.01, is: 0.02 }]);
      const { gradient, update } = changed!;
      if (kind !== "ppo") {
        // with two minibatches the second gradient is that of other weights
        expect(gradient.cosine).toBeCloseTo(1, 6);
        expect(update.cosine).toBeCloseTo(1, 4);
        expect(update.changedNorm / update.norm).toBeCloseTo(2, 3);
      }
      expect(gradient.norm).toBeGreaterThan(0);
      expect(update.changedNorm).toBeGreaterThan(update.norm);
    });
  });
}

describe("other rewards on the same batch", () => {
  const runDir = space.path("rewards");
  beforeAll(async () => {
    await runTraining(space.write("rewards.yaml", tinyGrpo), { runDir });
  });

  it("turn the gradient around when they are turned around", async () => {
    const result = await again(runDir, 1, "rewards.0.weight=-1", "rewards.1.weight=-1");
    const { original, changed } = result;
    expect(changed!.gradient.cosine).toBeCloseTo(-1, 6);
    expect(changed!.gradient.changedNorm).toBeCloseTo(changed!.gradient.norm, 6);
    // from zero moments Adam's first step is the gradient's sign
    expect(changed!.update.cosine).toBeCloseTo(-1, 2);
    const pairs = original.samples.map((sample, i) => [sample, changed!.step.samples[i]!] as const);
    expect(pairs).toHaveLength(12);
    for (const [before, after] of pairs) {
      expect(after.completion).toBe(before.completion);
      expect(after.advantage!).toBeCloseTo(-before.advantage!, 12);
    }
    const records = advantageRecords(result);
    expect(records[0]).toMatchObject({ sample_index: 0, reward: pairs[0]![0].reward });
    expect(records[0]!["reward_changed"]).toBeCloseTo(-pairs[0]![0].reward, 12);
    const text = renderReplay(result, 3);
    const moving = pairs.filter(([{ advantage }]) => Math.abs(advantage!) > 1e-9).length;
    expect(text).toContain(`${moving} advantages move, ${moving} change their sign`);
    expect(text).toContain("3 of 12 completions");
    expect(text).toMatch(/gradient +\S+ +\S+ +-1\.0000/);
  });

  it("do not touch the run, and leave nothing behind", async () => {
    const scratch = space.path("scratch");
    cpSync(runDir, scratch, { recursive: true });
    const files = () => readdirSync(runDir, { recursive: true }).map(String).sort();
    const before = files();
    vi.stubEnv("TMPDIR", scratch);
    await again(runDir, 2, "optimizer.lr=0.02");
    vi.unstubAllEnvs();
    expect(files()).toEqual(before);
    expect(readdirSync(scratch).filter((name) => name.startsWith("rlpt-replay"))).toEqual([]);
  });

  it("are all that may change: not the batch, nor what a checkpoint does not hold", async () => {
    const fault = (...set: string[]) =>
      again(runDir, 2, ...set).then(
        () => "",
        (error: unknown) => (error as Error).message,
      );
    const said = await fault("rollout.group_size=2", "seed=9", "optimizer.lr=0.1");
    expect(said).toContain("rollout.group_size: a replay keeps the step's batch and weights");
    expect(said).toContain("seed: a replay keeps");
    expect(said).not.toContain("optimizer.lr");
    expect(await fault("optimizer.lr=0.01")).toContain("--set changes nothing in stage grpo");
    await expect(again(runDir, 9)).rejects.toThrow("has made steps 1 to 4");
    await expect(again(space.path("none"), 1)).rejects.toThrow("is not a run directory");
  });
});

describe("a run of stages", () => {
  const runDir = space.path("stages");
  beforeAll(async () => {
    await runTraining(space.write("stages.yaml", tinyStages), { runDir });
  });

  it("is replayed inside each stage and at each beginning, KL to the reference included", async () => {
    const steps = readdirSync(join(runDir, "checkpoints")).length;
    // warm: 3 steps; second: the last 3
    for (const step of [3, 4, steps - 2, steps]) {
      const result = await again(runDir, step);
      expect(result.stored, `step ${step}`).toMatchObject(equal);
    }
    const { changed, stage } = await again(runDir, steps, "stages.2.algorithm.kl.coef=0.5");
    expect(stage).toBe("second");
    expect(changed!.gradient.cosine).toBeLessThan(0.9999);
    await expect(again(runDir, 4, "stages.1.algorithm.kl.coef=0.1")).rejects.toThrow(
      "kept no reference policy",
    );
  });

  it("is replayed across the end of a stage that its metric ended", async () => {
    const steps = readdirSync(join(runDir, "checkpoints")).length;
    const gone = Array.from({ length: steps - 1 - 2 }, (_, i) => i + 2);
    const result = await again(without(runDir, "stages early", gone), steps - 1);
    expect(result).toMatchObject({ from: 1, stage: "second" });
    expect(result.stored).toMatchObject(equal);
  });
});

optionalPart(
  "a replayed step on compiled programs",
  xlaHere,
  xlaMissing,
)(() => {
  it.each([
    ["grpo", tinyGrpo],
    ["ppo", tinyPpo],
    ["sft", tinySft],
  ])(
    "of %s is the stored one, byte for byte, and says what settings would change",
    async (kind, yaml) => {
      const runDir = space.path(`${kind} compiled`);
      await runTraining(space.write(`${kind} compiled.yaml`, yaml), { runDir, backend: "xla" });
      const late = await again(runDir, 4);
      expect(late).toMatchObject({ from: 2, stored: equal });
      const { update } = (await again(runDir, 3, "optimizer.lr=0.02")).changed!;
      expect(update.norm).toBeGreaterThan(0);
      expect(update.changedNorm).toBeGreaterThan(update.norm);
      const early = await again(without(runDir, `${kind} compiled early`, [2]), 4);
      expect(early).toMatchObject({ from: 0, stored: equal });
    },
    240_000,
  );
});
