/** What is wrong with a run's files is said before a run directory exists, all of it at once. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { openFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import { metricDefinition } from "../../src/metrics/table.ts";
import { openRecipeModel } from "../../src/training/assemble.ts";
import { Preflight } from "../../src/training/preflight.ts";
import { openStageSource } from "../../src/training/stage-data.ts";
import { contents } from "../helpers/data-folder.ts";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(() => space.remove());

const row = (q: string, a = "1", more = {}) => JSON.stringify({ q, a, ...more });
const set = (path: string, more = "") =>
  `{ kind: file, path: ${path}, prompt: "{q}=", answer: "{a}", chat: false${more} }`;

function config(data: string, rest = "", rewards = "  - { kind: exact, extract: whole }"): string {
  return space.write(
    "c.yaml",
    `seed: 1
steps: 3
model: ${tinyModel}
data:
${data}
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 8, max_prompt_tokens: 12 }
rewards:
${rewards}
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 0 }
${rest}`,
  );
}

async function inspect(file: string) {
  const { faults, warnings } = await new Preflight({ fetch: false, weights: true }).inspect(loadRecipe(file));
  const { faultWords } = await import("../../src/config/words.ts");
  const short = (text: string) => text.replaceAll(`${space.path("").replace(/\/$/, "")}/`, "");
  return { faults: faults.map(faultWords).map(short), warnings: warnings.map(short) };
}

const good = [row("1+1", "2"), row("2+2", "4"), row("3+3", "6")].join("\n");
space.write("good.jsonl", good);
space.write("long.jsonl", `${good}\n${row("1+2+3+4+5+6+7+8+9", "5")}\n`);

describe("all faults at once", () => {
  it("data of both parts and reward files, each with file, line, key, reason and fix", async () => {
    space.write("broken.mjs", "export function reward( {");
    space.write(
      "cases.mjs",
      "export const reward = () => 0; export const cases = [{ input: {}, expect: 1 }];",
    );
    space.write("other.jsonl", `${row("1+1")}\nnot json\n`);
    const { faults } = await inspect(
      config(
        `  train: ${set("long.jsonl")}\n  eval: ${set("other.jsonl")}`,
        "",
        "  - { kind: exact, extract: whole }\n  - { kind: file, file: broken.mjs, name: b, correct: false }\n  - { kind: file, file: cases.mjs, name: c, correct: false }",
      ),
    );
    expect(faults).toHaveLength(4);
    const all = faults.join("\n");
    expect(all).toMatch(/c\.yaml:\d+ {2}rewards\.1\.file: broken\.mjs:1: the reward cannot be read/);
    expect(all).toMatch(/c\.yaml:\d+ {2}rewards\.2\.file: its case 1 expects 1 and gets 0/);
    expect(all).toContain(
      "long.jsonl:4  data.train: this row has 19 tokens, the limit is 12; raise rollout.max_prompt_tokens, lower max_new_tokens, or set on_long: skip or truncate.",
    );
    expect(all).toMatch(/other\.jsonl:2 {2}data\.eval: this row is not valid JSON.*on_bad_row: skip\./);
  });

  it("in a later stage too, and no run directory is left behind", async () => {
    space.write("broken.mjs", "export function reward( {");
    const file = config(
      `  train: { kind: chain, levels: [1] }`,
      `run: { root: ${space.path("runs")} }
stages:
  - { name: a, steps: 2 }
  - { name: b, steps: 2, rewards: [{ kind: file, file: broken.mjs }] }`,
    );
    const text = (await import("node:fs"))
      .readFileSync(file, "utf8")
      .replace("steps: 3\n", "")
      .replace("eval: { every: 0 }\n", "");
    writeFileSync(file, text);
    await expect(runTraining(file, {})).rejects.toThrow("rewards.0.file");
    expect(existsSync(space.path("runs"))).toBe(false);
  });

  it("fewer rows than a step draws, and data that is not there", async () => {
    space.write("one.jsonl", row("1+1"));
    const few = await inspect(config(`  train: ${set("one.jsonl")}\n  eval: ${set("good.jsonl")}`));
    expect(few.faults.join()).toMatch(
      /c\.yaml:\d+ {2}data\.train\.path = "one\.jsonl": it has 1 rows, and a step draws 2/,
    );
    const absent = config(
      `  train: ${set("none.jsonl", ', get: "draw it with make.py"')}\n  eval: ${set("good.jsonl")}`,
    );
    expect((await inspect(absent)).faults.join()).toMatch(
      /data\.train\.path = "none\.jsonl": this data is not there yet; draw it with make\.py\./,
    );
  });
});

describe("backend.library", () => {
  const library = async (path: string) => {
    const backend = `backend: { kind: tensorflow, library: ${JSON.stringify(space.path(path))} }\n`;
    return (
      await inspect(
        config(
          "  train: { kind: chain, levels: [1] }\n  eval: { kind: chain, levels: [1], size: 2 }",
          backend,
        ),
      )
    ).faults.join("\n");
  };

  it("may be a folder with TensorFlow's libraries, as a package lays them", async () => {
    const { libraryNames } = await import("../../src/backend/xla/tensorflow/names.ts");
    mkdirSync(space.path("wheel/tensorflow"), { recursive: true });
    expect(await library("wheel")).toContain("the folder holds no TensorFlow libraries");
    for (const name of libraryNames) writeFileSync(space.path(`wheel/tensorflow/${name}`), "");
    expect(await library("wheel")).toBe("");
    expect(await library("wheel/tensorflow")).toBe("");
  });

  it("is refused as a file that is no library", async () => {
    space.write("text.so", "text");
    expect(await library("text.so")).toContain("it is no shared library");
  });
});

describe("on_long", () => {
  const open = async (onLong: string) => {
    const { recipe } = loadRecipe(
      config(`  train: ${set("long.jsonl", `, on_long: ${onLong}`)}\n  eval: ${set("good.jsonl")}`),
    );
    const model = await openRecipeModel(recipe, () => {});
    const told: string[] = [];
    const source = await openStageSource(recipe, "train", model.tokenizer, 128, (text) => told.push(text));
    return {
      prompts: Array.from({ length: source.size! }, (_, i) => source.at(i)),
      told,
      tokenizer: model.tokenizer,
    };
  };

  it("skip leaves the row out, truncate keeps the end of its text and its id", async () => {
    const all = contents(
      await openFileDataset(
        fileOptions.parse({
          kind: "file",
          path: space.path("long.jsonl"),
          prompt: "{q}=",
          answer: "{a}",
          chat: false,
        }),
      ),
    );
    const skipped = await open("skip");
    expect(skipped.prompts).toEqual(all.prompts.slice(0, 3));
    expect(skipped.told).toEqual(["long.jsonl: 1 rows are too long and left out"]);
    const cut = await open("truncate");
    expect(cut.prompts.slice(0, 3)).toEqual(all.prompts.slice(0, 3));
    expect(cut.prompts[3]!.id).toBe(all.prompts[3]!.id);
    expect(cut.prompts[3]!.input).toEqual({ kind: "text", text: "+5+6+7+8+9=" });
    expect(cut.tokenizer.encode("+5+6+7+8+9=", { addSpecialTokens: true })).toHaveLength(12);
  });

  it("trains where such a row would have ended the run", { timeout: 60_000 }, async () => {
    const file = config(`  train: ${set("long.jsonl", ", on_long: skip")}\n  eval: ${set("good.jsonl")}`);
    await expect(
      runTraining(file, { set: ["data.train.on_long=error"], runDir: space.path("no") }),
    ).rejects.toThrow("long.jsonl:4");
    expect(existsSync(space.path("no"))).toBe(false);
    const { runDir } = await runTraining(file, { runDir: space.path("run") });
    expect(rowsWithoutTime(`${runDir}/metrics.csv`)).toHaveLength(3);
  });
});

it("counts gold answers that a part cannot read", async () => {
  space.write("golds.jsonl", [row("1+1", "2"), row("2+2", "north"), row("3+3", "6")].join("\n"));
  const { faults, warnings } = await inspect(
    config(`  train: ${set("golds.jsonl")}\n  eval: ${set("good.jsonl")}`, "", "  - { kind: number }"),
  );
  expect(faults).toEqual([]);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/golds\.jsonl: reward number cannot read 1 of 3 gold answers; line 2: /);
});

it("a slice may be any text of the data", () => {
  expect(metricDefinition("slice/kind=algebra/geometry/accuracy").name).toBe("slice/{slice}/accuracy");
  expect(metricDefinition("slice/kind={x}/tokens").name).toBe("slice/{slice}/tokens");
  expect(() => metricDefinition("slice/{slice}/accuracy")).toThrow();
});

it("dimensions, adapters and libraries are looked at without weights", async () => {
  const file = config(`  train: { kind: chain, levels: [1] }\n  eval: { kind: chain, levels: [1], size: 4 }`);
  const { readFileSync } = await import("node:fs");
  writeFileSync(file, readFileSync(file, "utf8").replace("hidden_size: 16", "hidden_size: -16"));
  expect((await inspect(file)).faults.join()).toContain("hidden_size = -16: a positive integer is needed");
  writeFileSync(file, readFileSync(file, "utf8").replace("hidden_size: -16", "hidden_size: 10000000000"));
  expect((await inspect(file)).faults.join()).toMatch(
    /model\.init: hidden_size = 10000000000: no model has a dimension above/,
  );
});
