import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { rowText } from "../../src/cli/commands/data.ts";
import { createProgram } from "../../src/cli/main.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { createTokenizer } from "../../src/policy/files/tokenizer.ts";
import { inspectModel, type ModelFacts } from "../../src/training/preflight-model.ts";
import { showData } from "../../src/training/show-data.ts";
import { tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(() => space.remove());

const lines = (rows: object[]) => rows.map((row) => JSON.stringify(row)).join("\n");
space.write(
  "train.jsonl",
  lines([
    { id: 1, q: "1+1=", a: "2", t: "2" },
    { id: 2, q: "2+2=", a: "4", t: "4=4" },
    { id: 3, q: "1+1=", a: "2", t: "2" },
    { id: 4, q: "1+2+3+4+5+6+7=", a: "8", t: "8" },
  ]),
);
space.write(
  "eval.jsonl",
  lines([
    { id: 1, q: "2+2=", a: "4" },
    { id: 2, q: "9+9=", a: "8" },
  ]),
);

const file = (name: string, more: string) => `{ path: ${name}, prompt: "{q}", id: id, chat: false, ${more} }`;
const config = (algorithm: string, target = "") =>
  space.write(
    "c.yaml",
    `seed: 1
steps: 3
model: ${tinyModel}
data:
  train: ${file("train.jsonl", `answer: "{a}"${target}`)}
  eval: ${file("eval.jsonl", 'answer: "{a}"')}
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 8, max_prompt_tokens: 12 }
rewards: [{ kind: exact, extract: whole }]
algorithm: { kind: ${algorithm} }
optimizer: { lr: 0.01 }
`,
  );

async function shown(path: string, part: "train" | "eval" = "train") {
  const { recipe } = loadRecipe(path);
  const facts = (await inspectModel(recipe, { fetch: false, weights: false })) as ModelFacts;
  return showData(recipe, part, facts, { rows: 2, first: 1, note: () => {} });
}

describe("counts", () => {
  it("are of what the policy reads, where completions are sampled", async () => {
    const { counts, rows } = await shown(config("grpo"));
    // bos and four, four, four, fourteen tokens
    expect(counts).toEqual({
      size: 4,
      counted: 4,
      prompt: { least: 5, median: 5, p95: 15, most: 15 },
      learnt: null,
      tooLong: 1,
      limit: 12,
      emptyAnswers: 0,
      duplicates: 1,
      overlap: 1,
      pictures: null,
    });
    expect(rows.map(({ id }) => id)).toEqual(["2", "3"]);
    expect(rows[0]!.tokens.some(({ learnt }) => learnt)).toBe(false);
    expect((await shown(config("grpo"), "eval")).counts.overlap).toBe(1);
  });

  it("tell what is learnt of supervised rows", async () => {
    const { counts, rows } = await shown(config("sft", ', target: "{t}"'));
    expect(counts.learnt).toEqual({ least: 2, median: 2, p95: 4, most: 4 });
    expect(rows[0]!.tokens).toEqual([
      ...["<bos>", "2", "+", "2", "="].map((text) => ({ text, learnt: false })),
      ...["4", "=", "4", "<eos>"].map((text) => ({ text, learnt: true })),
    ]);
  });
});

it("a row is plain text without colours, and the same text with them", async () => {
  const { rows } = await shown(config("sft", ', target: "{t}"'));
  expect(rowText(rows[0]!, 2, false)).toBe('row 2, id 2, answer "4", 9 tokens\n<bos>|2|+|2|=[[4|=|4|<eos>]]');
  expect(rowText(rows[0]!, 2, true)).toContain("<bos>2+2=4=4<eos>");
});

it("shows a character whole whose bytes are several tokens", async () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/conversations.json"), "utf8"));
  const tokenizer = createTokenizer(
    new Map([["tokenizer.json", new TextEncoder().encode(JSON.stringify(golden.tokenizer))]]),
    { path: "golden" },
  );
  space.write("emoji.jsonl", lines([{ id: 1, q: "a👍🏽b", a: "1" }]));
  const { recipe } = loadRecipe(config("grpo"), { set: [`data.train.path=${space.path("emoji.jsonl")}`] });
  const { rows } = await showData(
    recipe,
    "train",
    { tokenizer, positions: 100, hiddenSize: 16 },
    { rows: 1, first: 0, note: () => {} },
  );
  expect(rows[0]!.tokens.map(({ text }) => text)).toEqual(["a", "👍", "🏽", "b"]);
});

it("rlpt data show prints rows and counts, and --json the same as data", async () => {
  const path = config("sft", ', target: "{t}"');
  const run = async (...words: string[]) => {
    let printed = "";
    const spy = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      printed += String(chunk);
      return true;
    });
    try {
      await createProgram().parseAsync(["node", "rlpt", "data", "show", path, ...words]);
    } finally {
      spy.mockRestore();
    }
    return printed;
  };
  expect(await run("--rows", "1")).toBe(
    `row 1, id 1, answer "2", 7 tokens
<bos>|1|+|1|=[[2|<eos>]]

data.train: train.jsonl, 4 rows
  read      5 to 15 tokens, half at most 5, 95% at most 15
  learnt    2 to 4 tokens, half at most 2, 95% at most 4
  too long  0 of 4 (limit 128 tokens)
  no answer 0 of 4
  twice     1 of 4 have a prompt that an earlier row has
  shared    1 prompts are in data.eval, too
`,
  );
  expect(JSON.parse(await run("--json", "--part", "eval", "--rows", "1", "--from", "2"))).toMatchObject({
    part: "eval",
    rows: [{ id: "2" }],
    counts: { overlap: 1 },
  });
  await expect(run("--part", "test")).rejects.toThrow("--part test: give train or eval");
});
