/** backend.memory_limit: batches that fit by the compiler's own figures. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Executor, Program } from "../../src/backend/stablehlo/executor.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { fitStage, memoryBudget, parseBytes } from "../../src/planning/device/fit.ts";
import { openRecipeModel } from "../../src/training/assemble.ts";
import { optionalPart } from "../helpers/optional.ts";
import { expectSameRun } from "../helpers/same-run.ts";
import { runTraining, tinyGrpo, tinyPpo, tinySft, workspace } from "../helpers/tiny-run.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../helpers/xla.ts";

const space = workspace();
afterAll(space.remove);

describe("limits", () => {
  it("sizes with their units", () => {
    expect(["8 GB", "8GiB", "1.5 mb", "512 MiB"].map(parseBytes)).toEqual([8e9, 8 * 2 ** 30, 1.5e6, 2 ** 29]);
  });

  it("auto is the card's, else a share of the machine's memory; off is none", () => {
    const executor = (platform: string, limit: number | null) =>
      ({
        platform,
        memory: () => (limit === null ? null : { inUse: 7, peak: 9, limit }),
      }) as unknown as Executor;
    expect(memoryBudget("off", executor("cpu", null), 100)).toBeNull();
    expect(memoryBudget("auto", executor("cpu", 60), 100)!.bytes).toBe(80);
    expect(memoryBudget("auto", executor("cuda", 60), 100)!.bytes).toBe(60);
    expect(memoryBudget("auto", executor("cuda", null), 100)!.bytes).toBe(80);
    expect(memoryBudget("2 GB", executor("cuda", 60), 100)!.bytes).toBe(2e9);
  });
});

/** Compiles nothing: a program takes the bytes of all arrays that its lines name, which grow with the rows. */
const counting: Executor = {
  platform: "cpu",
  devices: ["a processor"],
  name: "a count",
  compile: (text: string) => {
    let temporary = 0;
    for (const [, shape] of text.matchAll(/-> tensor<([\dx]+)xf32>$/gm)) {
      temporary += 4 * shape!.split("x").reduce((size, n) => size * Number(n), 1);
    }
    return {
      memory: { arguments: 0, outputs: 0, aliased: 0, temporary, generated: 0 },
      free: () => {},
    } as unknown as Program;
  },
} as unknown as Executor;

async function sizesUnder(yaml: string, bytes: number, executor = counting) {
  const { stages } = loadRecipe(space.write("fit.yaml", yaml));
  const files = await openRecipeModel(stages[0]!.recipe, () => {});
  const fitted = await fitStage(stages[0]!, files, executor, { words: "a test", bytes });
  files.weights.close();
  return fitted;
}

/** The compiler's figures decide; here they are counted. */
describe("batches under a limit", () => {
  it("all rows where they fit, half of them in two micro-batches below", async () => {
    const all = await sizesUnder(tinyGrpo, Infinity);
    expect(all.found).toEqual({ micro_batch_rows: 12, batch_rows: null, eval_batch_rows: null });
    expect(all.note).toMatch(/micro_batch_rows 12; at most 1\.\d\d GB/);
    expect((await sizesUnder(tinyGrpo, all.peak)).found.micro_batch_rows).toBe(12);
    const less = await sizesUnder(tinyGrpo, all.peak - 1);
    expect(less.found.micro_batch_rows).toBe(6);
    expect(less.stage.recipe.algorithm.micro_batch_rows).toBe(6);
    expect(less.peak).toBeLessThan(all.peak);
  }, 60_000);

  it("ppo's and supervised rows too", async () => {
    const { found } = await sizesUnder(tinySft, Infinity);
    expect(found).toEqual({ micro_batch_rows: 4, batch_rows: null, eval_batch_rows: null });
    // two minibatches of 6
    expect((await sizesUnder(tinyPpo, Infinity)).found.micro_batch_rows).toBe(6);
  }, 60_000);

  it("rows that are decoded at once, where generation takes the most", async () => {
    const yaml = tinyGrpo
      .replace("prompts_per_step: 3", "prompts_per_step: 64")
      .replace("kind: grpo }", "kind: grpo, micro_batch_rows: 1 }");
    const all = await sizesUnder(yaml, Infinity);
    expect(all.found).toEqual({ micro_batch_rows: null, batch_rows: null, eval_batch_rows: null });
    // whole groups of 4
    expect((await sizesUnder(yaml, all.peak - 1)).found.batch_rows).toBe(128);
  }, 60_000);

  it("says what takes how much where one row is too much", async () => {
    await expect(sizesUnder(tinyGrpo, 1e6)).rejects.toThrow(
      /a test: an update of one row \(stage grpo\) does not fit: it would take 1\.\d\d GB\.\nThat is weights .* GB, moments .*the process itself 1\.20 GB.*\nWhat takes less: model\.lora .*; model\.rematerialise: true .*; rollout\.max_new_tokens below 8; or raise/,
    );
    const configured = tinyGrpo.replace("kind: grpo }", "kind: grpo, micro_batch_rows: 4 }");
    await expect(sizesUnder(configured, 1e6)).rejects.toThrow(
      /an update with algorithm\.micro_batch_rows 4 .*What takes less: a smaller algorithm\.micro_batch_rows/s,
    );
    const silent = { ...counting, compile: () => ({ memory: null, free: () => {} }) } as unknown as Executor;
    await expect(sizesUnder(tinyGrpo, 1e12, silent)).rejects.toThrow(/does not say what programs take/);
  }, 60_000);

  it("a named limit needs compiled programs", async () => {
    await expect(
      runTraining(space.write("wasm.yaml", `backend: { memory_limit: 2 GB }\n${tinyGrpo}`), {
        runDir: space.path("wasm"),
        backend: "wasm",
      }),
    ).rejects.toThrow(/memory_limit/);
  });
});

optionalPart(
  "a run under a limit",
  xlaHere,
  xlaMissing,
)(() => {
  it("keeps the sizes that were found, resumed too", { timeout: 240_000 }, async () => {
    const executor = openTestExecutor();
    const yaml = tinySft.replace(", packing: true", "").replace(", row_length: 48", "");
    const { peak } = await sizesUnder(yaml, Infinity, executor);
    executor.close();
    const limit = `backend: { kind: xla, memory_limit: "${(peak - 1) / 1e6} MB" }\n`;
    const config = space.write("limited.yaml", limit + yaml);
    const [whole, parted] = [space.path("whole"), space.path("parted")];
    await runTraining(config, { runDir: whole, backend: "xla", steps: "2" });
    const recipe = parse(readFileSync(join(whole, "recipe.yaml"), "utf8"));
    expect(recipe.algorithm.micro_batch_rows).toBe(2);
    await runTraining(config, { runDir: parted, backend: "xla", steps: "1" });
    // what would be found now is another size
    const set = ["backend.memory_limit=900 GB"];
    await runTraining(undefined, { resume: parted, backend: "xla", steps: "2", set });
    const resumed = parse(readFileSync(join(parted, "recipe.yaml"), "utf8"));
    expect(resumed.algorithm).toEqual(recipe.algorithm);
    expectSameRun(parted, whole, 2);
    const bytes = parse(readFileSync(join(whole, "recipe.yaml"), "utf8")).backend.memory_limit;
    expect(parseBytes(bytes)).toBeCloseTo(peak - 1, -1);
  });
});
