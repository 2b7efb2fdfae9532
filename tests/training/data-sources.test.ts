/** The same rows give the same run, whatever files they lie in and whether they are held in memory. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { ConfigError } from "../../src/lib/errors.ts";
import { Preflight } from "../../src/training/preflight.ts";
import { startHubServer } from "../helpers/hub-server.ts";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(() => space.remove());
afterEach(() => {
  delete process.env["RLPT_HELD_DATA_MB"];
});
process.env["RLPT_CACHE"] = space.path("cache");

// tools/goldens/tables.py
const golden = join(import.meta.dirname, "../golden/data");

const rows = [0, 1].flatMap((part) =>
  Array.from({ length: 30 }, (_, i) => {
    const [a, b] = [Math.floor(i / 3), 3 * part + (i % 3)];
    return { q: `${a}+${b}`, a: String((a + b) % 10), level: String(1 + (a % 2)) };
  }),
);
space.write("sums.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

function config(name: string, train: string): string {
  return space.write(
    name,
    `seed: 3
steps: 4
model: ${tinyModel}
data:
  train: { path: ${train}, prompt: "{q}=", answer: "{a}", chat: false, slices: [level] }
  eval: { kind: chain, levels: [1], size: 6 }
rollout: { prompts_per_step: 3, group_size: 4, max_new_tokens: 8 }
rewards:
  - { kind: exact, extract: whole }
  - { kind: length, name: short, limit: 2, max: 8 }
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 0 }
run: { checkpoint_every: 2, keep_last: 9 }
`,
  );
}

const metricsOf = (run: string) => rowsWithoutTime(join(space.path(run), "metrics.csv"));

describe("a run from Parquet files that a pattern names", () => {
  const file = config("parquet.yaml", `${golden}/sums-*.parquet`);

  it("is the run from the same rows as JSONL, held in memory or not, and resumes", {
    timeout: 120_000,
  }, async () => {
    await runTraining(config("jsonl.yaml", "sums.jsonl"), { runDir: space.path("jsonl") });
    await runTraining(file, { runDir: space.path("parquet") });
    expect(metricsOf("parquet")).toEqual(metricsOf("jsonl"));
    expect(metricsOf("parquet")).toHaveLength(4);

    process.env["RLPT_HELD_DATA_MB"] = "0";
    await runTraining(file, { runDir: space.path("rows"), set: ["steps=2"] });
    await runTraining(undefined, { resume: space.path("rows"), steps: "4" });
    expect(metricsOf("rows")).toEqual(metricsOf("parquet"));
  });

  it("writes down each file that it read", async () => {
    const { data } = JSON.parse(readFileSync(join(space.path("parquet"), "provenance.json"), "utf8"));
    expect(Object.keys(data)).toEqual([0, 1].map((part) => join(golden, `sums-${part}.parquet`)));
    const [first] = Object.values(data) as { bytes: number }[];
    expect(first!.bytes).toBe(readFileSync(join(golden, "sums-0.parquet")).length);
  });
});

describe("a dataset on the Hub", () => {
  it("trains, and goes on offline", { timeout: 120_000 }, async () => {
    const hub = await startHubServer();
    const files = [0, 1].map(
      (part) => [`data/train-${part}.parquet`, readFileSync(join(golden, `sums-${part}.parquet`))] as const,
    );
    hub.datasets.set("org/sums", new Map(files));
    vi.stubEnv("HF_ENDPOINT", hub.url);
    vi.stubEnv("HF_HUB_CACHE", space.path("hub"));
    try {
      const file = config("hub.yaml", "hf://org/sums");
      const checked = await new Preflight({ fetch: false, weights: true }).inspect(loadRecipe(file));
      expect(checked.faults).toEqual([]);
      expect(checked.warnings).toEqual([
        "hf://org/sums: not in the Hub's cache; its rows are looked at when it is fetched",
      ]);
      await runTraining(file, { runDir: space.path("hub-run"), set: ["steps=2"] });
      hub.close();
      vi.stubEnv("HF_HUB_OFFLINE", "1");
      await runTraining(undefined, { resume: space.path("hub-run"), steps: "4" });
      expect(metricsOf("hub-run")).toEqual(metricsOf("parquet"));
      expect(readFileSync(join(space.path("hub-run"), "recipe.yaml"), "utf8")).toContain("hf://org/sums");
    } finally {
      vi.unstubAllEnvs();
      hub.close();
    }
  });
});

describe("a mixture with weights", () => {
  const file = space.write(
    "mixture.yaml",
    readFileSync(config("base.yaml", "sums.jsonl"), "utf8")
      .replace(
        / {2}train: .*\n/,
        `  train:
    sources:
      - { path: sums.jsonl, prompt: "{q}=", answer: "{a}", filter: [{ column: level, in: ["1"] }], weight: 2 }
      - { kind: chain, levels: [1], weight: 1 }
`,
      )
      .replace("model:", "prompt: { chat: false }\nmodel:"),
  );

  it("runs, and goes on after a stop as if there had been none", { timeout: 120_000 }, async () => {
    await runTraining(file, { runDir: space.path("mixed") });
    await runTraining(file, { runDir: space.path("stopped"), set: ["steps=2"] });
    await runTraining(undefined, { resume: space.path("stopped"), steps: "4" });
    expect(metricsOf("stopped")).toEqual(metricsOf("mixed"));
    const prompts = readFileSync(join(space.path("mixed"), "prompts.csv"), "utf8");
    expect(prompts.match(/sums\//g)).toHaveLength(8);
    expect(prompts.match(/chain\//g)).toHaveLength(4);
    expect(readFileSync(join(space.path("mixed"), "metrics.csv"), "utf8")).toContain("source=sums");
  });

  it("is refused where a source has fewer rows than a step draws of it", async () => {
    space.write("few.jsonl", JSON.stringify(rows[0]));
    const few = readFileSync(file, "utf8").replace("path: sums.jsonl", "path: few.jsonl");
    await expect(runTraining(space.write("few.yaml", few), {})).rejects.toThrow(
      /data\.train\.sources\.0\.path = ".*few\.jsonl": it has 1 rows, and a step draws 2 different prompts of it/,
    );
    const follow = few.replace(/, weight: [12]/g, "").replace("levels: [1] }", "levels: [1], size: 1 }");
    await expect(runTraining(space.write("follow.yaml", follow), {})).rejects.toThrow(
      "data.train.sources: they have 2 rows together, and a step draws 3 different prompts",
    );
  });
});

describe("paths of a config", () => {
  it("begin at the config's folder, patterns and lists too", () => {
    const { recipe } = loadRecipe(config("list.yaml", "[sums.jsonl, 'su?s.jsonl']"));
    expect(recipe.data.train).toMatchObject({ path: [space.path("sums.jsonl"), space.path("su?s.jsonl")] });
  });

  it("are refused one by one", () => {
    const refused = (train: string) => {
      try {
        loadRecipe(config("refused.yaml", train));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        return (error as Error).message.replace(/^.*refused\.yaml/, "refused.yaml");
      }
      return "";
    };
    expect(refused("[sums.jsonl, sum.jsonl]")).toMatch(
      /^refused\.yaml:\d+ {2}data\.train\.path\.1 = "sum\.jsonl": there is no such data file; did you mean sums\.jsonl\?$/,
    );
    expect(refused("none-*.jsonl")).toMatch(
      /data\.train\.path = "none-\*\.jsonl": no file matches this pattern; /,
    );
  });
});
