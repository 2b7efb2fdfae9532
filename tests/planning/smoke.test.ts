/** `rlpt train --smoke`: any config, cut short, and what that says of the run in full. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { printResolved } from "../../src/config/print.ts";
import { estimateFromSmoke, smokeStages } from "../../src/planning/smoke.ts";
import type { StageUsage, Usage } from "../../src/run/usage.ts";
import { command } from "../helpers/command.ts";
import { tinyGrpo, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const configs = ["configs", "configs/paper", "examples/terse"].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => join(folder, name)),
);

describe("a smoke run's stages", () => {
  it.each(configs.filter((path) => !path.endsWith("compare.yaml")))(
    "%s is a right config when cut short",
    (path) => {
      const loaded = loadRecipe(path);
      const short = smokeStages(loaded.stages);
      // what a resume, a report and an export read again
      const again = loadRecipe(space.write("short.yaml", printResolved({ stages: short })));
      expect(again.stages.map(({ recipe }) => recipe)).toEqual(short.map(({ recipe }) => recipe));
      for (const [index, { recipe }] of again.stages.entries()) {
        const full = loaded.stages[index]!.recipe;
        expect(recipe.steps).toBe(Math.min(2, full.steps));
        expect([recipe.rollout, recipe.algorithm, recipe.data]).toEqual([
          full.rollout,
          full.algorithm,
          full.data,
        ]);
        if (recipe.eval !== undefined) expect(recipe.eval.limit).toBeLessThanOrEqual(32);
        expect(recipe.run.name).toBe(`${full.run.name}-smoke`);
      }
    },
  );
});

describe("the run in full", () => {
  const stage = (name: string, over: Partial<StageUsage> = {}): StageUsage => ({
    ...{ stage: name, steps: 2, first_steps: 1, first_step_s: 3, steps_s: 5, first_update_s: 0, update_s: 0 },
    ...{
      compile_s: 7,
      first_live: 1,
      live: 2,
      evaluations: 2,
      evaluation_s: 4,
      checkpoints: 1,
      checkpoint_s: 0.5,
    },
    ...over,
  });
  const usage = (stages: StageUsage[]): Usage => ({
    ...{ version: 1, processes: 1, peak_rss_bytes: 0, startup_s: 10, total_s: 0, cpu_s: 0, stages },
    disk: { checkpoints: 0, checkpoints_bytes: 0, rest_bytes: 0 },
  });
  const text = tinyGrpo
    .replace("steps: 4", "steps: 100")
    .replace("size: 6", "size: 320")
    .replace("eval: { every: 2 }", "eval: { every: 50, batch_rows: 64 }")
    .replace("checkpoint_every: 2", "checkpoint_every: 25");

  it("is its steps, evaluations and checkpoints at the pace of the smoke run", async () => {
    const { stages } = loadRecipe(space.write("full.yaml", text));
    const found = await estimateFromSmoke(stages, smokeStages(stages), usage([stage("grpo")]));
    // start 10, first step 3, 99 steps of 2, compiling 7, 4 checkpoints of 0.5; 3 evaluations, 2 s for 32 prompts:
    // five batches of 64 rows, or ten times as many prompts
    const rest = 10 + 3 + 99 * 2 + 7 + 4 * 0.5;
    expect(found).toEqual({
      low_s: rest + 3 * 5 * 2,
      high_s: rest + 3 * 10 * 2,
      steps: 100,
      evaluations: 3,
      atMost: false,
    });
  });

  it("is not known where a stage was not reached", async () => {
    const { stages } = loadRecipe(space.path("full.yaml"));
    expect(await estimateFromSmoke(stages, smokeStages(stages), usage([]))).toBeNull();
  });
});

const staged = `seed: 1
model: ${tinyModel}
data:
  train: { kind: chain, levels: [1, 2], prompt: mixed }
  eval: { kind: chain, levels: [1], size: 40 }
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 8 }
rewards: [{ kind: exact, extract: whole }]
optimizer: { lr: 0.01, warmup_steps: 5 }
stages:
  - { name: first, steps: 30, algorithm: { kind: sft, rows_per_step: 4 } }
  - { name: second, steps: 20, algorithm: { kind: grpo } }
eval: { every: 0 }
run: { root: ${JSON.stringify(space.path("runs"))} }
`;

it("trains every stage, says that everything works and how long the run in full takes, and exits 0", async () => {
  const file = space.write("staged.yaml", staged);
  const done = await command("train", file, "--smoke", "--backend", "wasm", "--no-color");
  expect(done.status, done.err).toBe(0);
  expect(done.out).toMatch(
    /smoke +everything works: trained steps \(2 of first, 2 of second\), evaluated on up to 32 prompts/,
  );
  expect(done.out).toMatch(
    /in full +about .* at this pace: 50 steps, 3 evaluations; rlpt plan .*staged\.yaml/,
  );
  const [run, ...others] = readdirSync(space.path("runs"));
  expect([run, others]).toEqual([expect.stringMatching(/^staged-smoke-.*-s1$/), []]);
  expect(existsSync(join(space.path("runs"), run!, "checkpoints", "000004", "model", "config.json"))).toBe(
    true,
  );
});

it("ends its JSON lines with what the run in full takes", async () => {
  const file = space.write("staged.yaml", staged);
  const out = space.path("json");
  const done = await command("train", file, "--smoke", "--backend", "wasm", "--json", "--out", out);
  const last = JSON.parse(done.out.trim().split("\n").at(-1)!) as Record<string, unknown>;
  expect(last).toMatchObject({
    event: "result",
    run: out,
    in_full: { steps: 50, evaluations: 3, atMost: false },
  });
  expect(readFileSync(join(out, "recipe.yaml"), "utf8")).toContain("name: staged-smoke");
});

it.each([["--resume", "runs/a"], ["--plan"]])("does not go together with %s", async (...flags) => {
  const config = flags[0] === "--resume" ? [] : [space.write("staged.yaml", staged)];
  const done = await command("train", ...config, "--smoke", ...flags);
  expect([done.status, done.err]).toEqual([
    2,
    expect.stringContaining("--smoke makes a short run of its own"),
  ]);
});
