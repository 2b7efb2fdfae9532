import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import { evaluationColumns, evaluationPromptColumns } from "../../src/run/logs.ts";
import { evaluateTarget } from "../../src/training/evaluate-target.ts";
import { exportModel } from "../../src/training/export-model.ts";
import { sampleFrom } from "../../src/training/sample-prompt.ts";
import { resolveTarget } from "../../src/training/target.ts";
import { command } from "../helpers/command.ts";
import { runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const config = space.write("tiny.yaml", tinyGrpo);
const runDir = space.path("a run");
const quiet = () => {};
const set = ["backend.kind=wasm", "backend.cblas=off"];

beforeAll(async () => {
  await runTraining(config, { runDir });
});

describe("rlpt eval", () => {
  it("gives the last evaluation of the run again, since draws depend on prompt and sample only", async () => {
    const { evaluation } = await evaluateTarget(
      runDir,
      { which: "latest", set },
      { csv: null, prompts: null, completions: null },
      quiet,
    );
    const rows = parse(readFileSync(join(runDir, "eval.csv")), { columns: true }) as Record<string, string>[];
    const last = rows.filter((row) => row["step"] === "4" && row["slice"] === "all")[0]!;
    expect(evaluation.metrics["reward_mean"]).toBeCloseTo(Number(last["reward_mean"]), 10);
    expect(evaluation.metrics["tokens_mean"]).toBeCloseTo(Number(last["tokens_mean"]), 10);
  });

  it("writes the columns of eval.csv and every completion", async () => {
    const csv = space.path("table.csv");
    const prompts = space.path("prompts.csv");
    const completions = space.path("completions.jsonl");
    const { evaluation } = await evaluateTarget(
      join(runDir, "checkpoints", "000002"),
      { set: [...set, "eval.samples=3"] },
      { csv, prompts, completions },
      quiet,
    );
    const rows = parse(readFileSync(csv), { columns: true }) as Record<string, string>[];
    expect(Object.keys(rows[0]!)).toEqual([...evaluationColumns]);
    expect(rows[0]).toMatchObject({
      step: "2",
      slice: "all",
      prompts: "6",
      completions: "18",
      k: "3",
      interval: "gaffke",
    });
    expect(rows.map((row) => row["slice"])).toContain("level=1");
    const each = parse(readFileSync(prompts), { columns: true }) as Record<string, string>[];
    expect(Object.keys(each[0]!)).toEqual([...evaluationPromptColumns]);
    expect(each.map((row) => row["completions"])).toEqual(["3", "3", "3", "3", "3", "3"]);
    expect(each.reduce((sum, row) => sum + Number(row["correct"]), 0)).toBe(Number(rows[0]!["correct"]));
    const lines = readFileSync(completions, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.length).toBe(18);
    expect(lines.reduce((sum, line) => sum + line.reward, 0) / 18).toBeCloseTo(
      evaluation.metrics["reward_mean"]!,
      6,
    );
  });

  it("prints a table; says what a target may be", async () => {
    const table = await command("eval", runDir, "--backend", "wasm", "--limit", "4");
    expect(table.status).toBe(0);
    expect(table.out).toMatch(/slice +prompts +accuracy/);
    expect(table.out).toMatch(/all +4 /);
    const nothing = await command("eval", space.path("nothing here"));
    expect(nothing.status).toBe(2);
    expect(nothing.err).toMatch(/there is nothing at that path.*Give a run directory/);
    expect(nothing.err).not.toMatch(/^\s+at /m);
  });
});

describe("rlpt export and sample", () => {
  it("writes the checkpoint's weights, and samples the same from the copy", async () => {
    const copy = space.path("exported");
    await exportModel(runDir, copy, { checkpoint: "latest", type: "f32" }, quiet);
    const [a, b] = [join(runDir, "checkpoints/000004/model"), copy].map((path) =>
      openSafetensors(join(path, "model.safetensors")),
    );
    expect(b!.names).toEqual(a!.names);
    for (const name of a!.names) expect([...b!.read(name)]).toEqual([...a!.read(name)]);
    const request = {
      count: "3",
      temperature: "1",
      topP: "1",
      seed: "7",
      backend: "wasm",
      stop: [],
      maxNewTokens: "9",
    };
    const samples = async (path: string) =>
      (await sampleFrom(path, "3+4=<think>\\n", request, quiet)).completions.map((c) => c.text);
    const texts = await samples(copy);
    expect(texts.length).toBe(3);
    expect(await samples(runDir)).toEqual(texts);
    expect(existsSync(join(copy, "tokenizer.json"))).toBe(true);
    await expect(exportModel(runDir, copy, { checkpoint: "latest", type: "F32" }, quiet)).rejects.toThrow(
      /is not empty/,
    );
  });

  it("names what is wrong with flags", async () => {
    const request = { count: "0", temperature: "1", topP: "1", seed: "1", backend: "wasm", stop: [] };
    await expect(sampleFrom(runDir, "x", request, quiet)).rejects.toThrow(
      "--count 0: give a whole number from 1 to 4096",
    );
    await expect(resolveTarget(runDir, { which: "newest" })).rejects.toThrow(
      /--checkpoint newest: use latest, best, or a step/,
    );
  });
});

describe("rlpt train", () => {
  it("wants a config or a run directory, and a resumed run keeps its recipe", async () => {
    expect(await command("train")).toMatchObject({ status: 2, err: expect.stringMatching(/needs a config/) });
    const changed = await command("train", "--resume", runDir, "--set", "optimizer.lr=0.5");
    expect(changed.status).toBe(2);
    expect(changed.err).toMatch(/optimizer\.lr: 0\.01 -> 0\.5/);
    const over = await command("train", "--resume", runDir, "--quiet", "--backend", "wasm");
    expect(over.status).toBe(0);
    expect(over.out).toContain(join(runDir, "checkpoints", "000004"));
    expect(over.out).toMatch(/It has done its steps; --steps with a larger number goes on/);
  });

  it("goes on when given more steps", async () => {
    const more = await command("train", "--resume", runDir, "--steps", "6", "--quiet", "--backend", "wasm");
    expect(more.err).toBe("");
    expect(more.status).toBe(0);
    expect(existsSync(join(runDir, "checkpoints", "000006"))).toBe(true);
  });

  it("--json: lines on stdout and nothing else; the last has run, checkpoint and result, done already or failed too", async () => {
    const other = space.path("json");
    const flags = ["--json", "--backend", "wasm"];
    const events = ({ out }: { out: string }) =>
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const made = await command("train", config, "--run-dir", other, ...flags);
    expect(made.err).toBe("");
    expect(events(made).map(({ event }) => event)).toEqual(
      expect.arrayContaining(["phase", "note", "run", "start", "step", "evaluation", "stop"]),
    );
    const result = {
      event: "result",
      status: "finished",
      run: other,
      checkpoint: join(other, "checkpoints", "000004"),
      last: expect.objectContaining({ accuracy: expect.any(Number) }),
    };
    expect(events(made).at(-1)).toMatchObject(result);
    expect(events(await command("train", "--resume", other, ...flags))).toEqual([
      expect.objectContaining(result),
    ]);
    const failed = await command("train", config, "--run-dir", other, ...flags);
    expect(failed.status).toBe(2);
    expect(events(failed).at(-1)).toMatchObject({
      event: "result",
      status: "failed",
      run: null,
      error: expect.stringContaining("holds a run already"),
    });
  });

  it("prints a plan that is a config", async () => {
    const plan = await command("train", config, "--dry-run");
    expect(plan.status).toBe(0);
    expect(plan.out).toMatch(/# plan: 4 steps of grpo\n# +each: 3 prompts x 4 completions = 12 rows/);
    const again = await command("validate", space.write("plan.yaml", plan.out));
    expect(again.status).toBe(0);
  });
});
