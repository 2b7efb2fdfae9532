/** `rlpt new`: what it makes of a table runs as it is, and what it cannot know it asks for by flag. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { openFileDataset } from "../../src/data/file-dataset.ts";
import { createRng } from "../../src/lib/rng.ts";
import { randomWeights } from "../../src/policy/decoder-weights.ts";
import { saveModel } from "../../src/policy/files/model-directory.ts";
import { wordLevelTokenizerFiles } from "../../src/policy/files/word-level.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { guessColumns } from "../../src/project/columns.ts";
import { newProject } from "../../src/project/new-project.ts";
import { runFileCases } from "../../src/rewards/run-cases.ts";
import { Preflight } from "../../src/training/preflight.ts";
import { command } from "../helpers/command.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const jsonl = (name: string, rows: readonly object[]) =>
  space.write(name, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
/** Rows that differ, n of them. */
const count = <T>(n: number, row: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => row(i));

/** A chat model that reads digits, small letters and the words of the instruction, with random weights. */
function saveTinyChat(directory: string): void {
  const own = ["<pad>", "<bos>", "<eos>"];
  const characters = [..."abcdefghijklmnopqrstuvwxyz0123456789AT ,.:\n<>"];
  const chatTemplate = "<user>{{ messages[0].content }}{% if add_generation_prompt %}<reply>{% endif %}";
  const files = wordLevelTokenizerFiles(
    [...own, ...characters],
    { pad: "<pad>", bos: "<bos>", eos: "<eos>" },
    { separator: "none", chatTemplate },
  );
  const config = {
    ...{
      model_type: "llama",
      vocab_size: own.length + characters.length,
      hidden_size: 16,
      intermediate_size: 32,
    },
    ...{ num_hidden_layers: 1, num_attention_heads: 2, hidden_act: "silu", max_position_embeddings: 512 },
    ...{ bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 },
  };
  const weights = randomWeights(parseModelConfig(config, "test"), createRng(1));
  saveModel(directory, {
    config,
    generationConfig: {},
    tokenizerFiles: files,
    weights: weights.names.map((name) => ({ name, shape: weights.shape(name), data: weights.read(name) })),
  });
}

describe("columns", () => {
  const rows = (row: object): Record<string, unknown>[] => count(4, (i) => ({ ...row, i }));
  it.each([
    [
      "by their names, in the order in which they are believed",
      { text: "t", Question: "q", Answer: 3 },
      "{Question}",
      "{Answer}",
    ],
    [
      "with what a question is asked about before it",
      { Body: "b", Question: "q", Answer: 1.5 },
      "{Body}\n{Question}",
      "{Answer}",
    ],
    [
      "by names in any spelling",
      { problemText: "a", problem: "p", expected_answer: "e" },
      "{problem}",
      "{expected_answer}",
    ],
    [
      "the only one left beside a name",
      { question: "long text here", capital: "x" },
      "{question}",
      "{capital}",
    ],
  ])("%s", (_, row, prompt, answer) => {
    const { i: _i, ...plain } = { ...row, i: 0 };
    expect(guessColumns("f", [plain, plain], {})).toMatchObject({ prompt, answer });
  });

  it("the longer texts are the prompt where no name tells", () => {
    const found = guessColumns("f", [{ a: "no", b: "a longer text" }], {});
    expect(found).toMatchObject({
      prompt: "{b}",
      answer: "{a}",
      why: { prompt: "the column with the longer texts" },
    });
  });

  it("takes what stands behind #### of worked solutions, and few-valued columns as slices", () => {
    const found = guessColumns(
      "f",
      [
        { question: "1+1?", answer: "It is\n#### 2", level: 1, source: "a" },
        { question: "1+2?", answer: "So\n#### 3", level: 2, source: "b" },
      ],
      {},
    );
    expect(found).toMatchObject({ answerPattern: "####\\s*(.+)$", slices: ["level"] });
  });

  it("names the columns where they do not tell", () => {
    const asked = () => guessColumns("f.csv", rows({ a: "x", b: "y", c: "z" }), {});
    expect(asked).toThrow(/f\.csv: its columns do not tell.*Say --prompt COLUMN and --answer COLUMN/);
    expect(asked).toThrow('  a  "x"');
    expect(
      guessColumns("f.csv", rows({ a: "x", b: "y", c: "z" }), { prompt: "{b} {c}", answer: "a" }),
    ).toMatchObject({
      prompt: "{b} {c}",
      answer: "{a}",
    });
    expect(() => guessColumns("f.csv", rows({ a: "x" }), { prompt: "q" })).toThrow(
      "--prompt q: f.csv has no such column; it has a, i",
    );
  });
});

describe("a new project", () => {
  it("is right as it is, holds out what it does not train on, and shows what the policy reads", async () => {
    const data = jsonl(
      "words.jsonl",
      count(60, (i) => ({ question: `Größe ${i}, "C:\\${i}"?`, answer: `it's ${i % 7}` })),
    );
    const folder = space.path("words");
    const made = await newProject({ folder, data });
    expect(readdirSync(folder).sort()).toEqual(["config.yaml", "reward.mjs"]);

    const loaded = loadRecipe(made.config);
    const { faults, warnings } = await new Preflight({ fetch: false, weights: true }).inspect(loaded);
    expect([faults, warnings, made.notes]).toEqual([[], [], []]);
    expect(loaded.stages.map(({ recipe }) => recipe.algorithm.kind)).toEqual(["sft", "grpo"]);
    const held = new Set<string>();
    for (const { recipe } of loaded.stages) {
      if (recipe.data.train.kind !== "file" || recipe.data.eval?.kind !== "file") throw new Error("no file");
      const [train, evaluation] = [
        await openFileDataset(recipe.data.train),
        await openFileDataset(recipe.data.eval),
      ];
      const texts = (of: typeof train) => count(of.size, (i) => JSON.stringify(of.at(i).input));
      for (const text of texts(evaluation)) held.add(text);
      expect(texts(train).filter((text) => held.has(text))).toEqual([]);
      expect(made.rows).toEqual({ train: train.size, eval: evaluation.size });
      expect(train.at(0).input).toEqual({ kind: "text", text: made.shown[0]!.text });
    }
    expect(made.shown[0]!.text).toMatch(/^Größe \d+, "C:\\\d+"\?\n$/);

    const cases = await runFileCases(made.reward, 10_000);
    expect(cases.length).toBeGreaterThanOrEqual(6);
    expect(cases.filter(({ pass }) => !pass)).toEqual([]);
    expect(new Set(cases.map(({ expect: value }) => value))).toEqual(new Set([0, 1]));
  });

  it("takes the model that comes with rlpt where it reads the rows", async () => {
    const folder = space.path("sums");
    const { config, model } = await newProject({ folder, data: "examples/terse/problems.csv" });
    expect(model).toMatch(/^models\/lab-small/);
    const { recipe } = loadRecipe(config);
    expect([recipe.model.path, recipe.steps]).toEqual([expect.stringMatching(/lab-small$/), 60]);
  });

  it("asks a model of the user's for an answer in a form that the reward reads", async () => {
    const data = jsonl(
      "ask.jsonl",
      count(12, (i) => ({ question: `${i}+1=`, answer: i + 1 })),
    );
    const made = await newProject({ folder: space.path("lab"), data, model: "models/lab-small" });
    const { recipe } = loadRecipe(made.config);
    // this one reads nothing but sums
    expect([recipe.model.path, recipe.model.lora, recipe.data.train]).toMatchObject([
      expect.stringMatching(/lab-small$/),
      undefined,
      { chat: false, prompt: "{question}<think>\n" },
    ]);
    const texts = jsonl(
      "texts.jsonl",
      count(12, (i) => ({ question: `what is ${i}`, answer: i })),
    );
    await expect(
      newProject({ folder: space.path("no"), data: texts, model: "models/lab-small" }),
    ).rejects.toThrow("--model models/lab-small: its tokenizer does not read these rows");
    const chat = space.path("chat");
    saveTinyChat(chat);
    const own = await newProject({ folder: space.path("chatty"), data: texts, model: chat });
    expect(own.shown[0]!.text).toBe(
      "<user>what is 1\n\nThink, then end with a line of this form:\nAnswer: ...<reply>",
    );
    const { data: read, model } = loadRecipe(own.config).recipe;
    expect([read.train, model.path]).toMatchObject([{ chat: true }, chat]);
  });

  it("leaves out rows that do not fit, and says so", async () => {
    const rows: object[] = count(20, (i) => ({ prompt: `p${i}`, answer: `a${i}` }));
    const data = jsonl("some.jsonl", [...rows, { prompt: "p", answer: "" }, rows[0]!]);
    const made = await newProject({ folder: space.path("some"), data });
    expect(made.notes).toEqual([
      expect.stringContaining(
        "2 of 22 rows do not fit and are left out (on_bad_row: skip); the first, line 21, its answer is empty",
      ),
    ]);
  });

  it.each([
    [
      "hostile texts",
      count(12, (i) => ({
        prompt: `{prompt} }} \${x} \\n "${i}" # \u2028'`,
        answer: `</answer> \`\${1}\` ${i % 2} \\`,
      })),
    ],
    ["answers of several lines", count(12, (i) => ({ prompt: `say ${i}`, answer: `a\nb ${i}` }))],
    ["one answer only", count(12, (i) => ({ prompt: `p${i}`, answer: "Yes." }))],
    ["answers that name an answer", count(12, (i) => ({ prompt: `p${i}`, answer: `Answer: ${i}` }))],
    ["long texts", count(12, (i) => ({ prompt: "x".repeat(700) + i, answer: "y".repeat(490) + i }))],
  ])("runs with %s", async (name, rows) => {
    const folder = space.path(`of ${name}`);
    const made = await newProject({ folder, data: jsonl(`${name}.jsonl`, rows) });
    expect((await runFileCases(made.reward, 10_000)).filter(({ pass }) => !pass)).toEqual([]);
    const { faults } = await new Preflight({ fetch: false, weights: true }).inspect(loadRecipe(made.config));
    expect(faults).toEqual([]);
  });

  it("overwrites nothing, and leaves nothing behind where it fails", async () => {
    const taken = space.path("taken");
    mkdirSync(taken);
    const data = jsonl(
      "few.jsonl",
      count(12, (i) => ({ prompt: `p${i}`, answer: `${i}` })),
    );
    await newProject({ folder: taken, data }); // an empty folder is nobody's
    const before = readFileSync(join(taken, "config.yaml"), "utf8");
    await expect(newProject({ folder: taken, data })).rejects.toThrow("nothing is overwritten");
    expect(readFileSync(join(taken, "config.yaml"), "utf8")).toBe(before);
    const too = jsonl(
      "three.jsonl",
      count(3, (i) => ({ prompt: `p${i}`, answer: `${i}` })),
    );
    await expect(newProject({ folder: space.path("three"), data: too })).rejects.toThrow(
      "a run needs 8 or more",
    );
    await expect(
      newProject({ folder: space.path("shown"), data, prompt: "{prompt} {answer}", answer: "answer" }),
    ).rejects.toThrow("it shows {answer}");
    await expect(newProject({ folder: space.path("none"), data, model: "./nowhere" })).rejects.toThrow(
      "--model ./nowhere: there is no such model",
    );
    for (const name of ["three", "shown", "none"]) expect(readdirSync(space.path(""))).not.toContain(name);
  });

  it("says on the terminal what was guessed, and exits 2 where a flag is missing", async () => {
    const data = jsonl(
      "said.jsonl",
      count(12, (i) => ({ q: `\u001b[2J${i}`, a: `${i}`, other: `${i}${i}` })),
    );
    const asked = await command("new", space.path("said"), "--data", data);
    expect([asked.status, asked.err]).toEqual([
      2,
      expect.stringContaining("Say --prompt COLUMN and --answer COLUMN"),
    ]);
    const made = await command("new", space.path("said"), "--data", data, "--prompt", "q", "--answer", "a");
    expect(made.status, made.err).toBe(0);
    expect(made.out).toMatch(/prompt +\{q\} \(as you say; --prompt says another\)/);
    expect(made.out).toContain("\\x1b[2J0\n");
    expect(made.out).not.toContain("\u001b[2J");
  });
});
