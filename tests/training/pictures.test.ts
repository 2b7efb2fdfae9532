/** Pictures before a run: what preflight says of them, what `rlpt data show` shows, and CLS-RL's prompt as the paper's code writes it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { rowText } from "../../src/cli/commands/data.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { openSource } from "../../src/data/source.ts";
import { Preflight } from "../../src/training/preflight.ts";
import { inspectModel, type ModelFacts } from "../../src/training/preflight-model.ts";
import { showData } from "../../src/training/show-data.ts";
import { truncated } from "../../src/training/stage-data.ts";
import type { Tokenizer } from "../../src/types.ts";
import { tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(() => space.remove());

const golden = join(import.meta.dirname, "../golden/pictures");
/** Small pictures, each another. */
const PICTURES = readdirSync(golden)
  .filter((name) => /^(420|422|444)-.*\.jpg$/.test(name))
  .map((name) => readFileSync(join(golden, name)));

function put(name: string, content: string | Uint8Array = name): void {
  mkdirSync(dirname(space.path(name)), { recursive: true });
  writeFileSync(space.path(name), content);
}
for (const [index, name] of ["a", "b", "c"].entries()) put(`images/${name}.jpg`, PICTURES[index]);
put("images/copy-of-a.jpg", PICTURES[0]);
const lines = (name: string, rows: object[]) => put(name, rows.map((row) => JSON.stringify(row)).join("\n"));
const row = (image: string, q = "red disc") => ({ q, a: "ring", image: `images/${image}.jpg` });
lines("train.jsonl", [row("a"), row("b"), row("a", "blue disc"), row("copy-of-a")]);
lines("eval.jsonl", [row("a", "green disc"), row("c")]);
lines("bad.jsonl", [row("a"), row("nowhere"), row("b")]);
for (const [i, half] of ["train", "test"].entries())
  for (const [j, name] of ["disc", "ring"].entries())
    for (const k of [0, 1]) put(`pets/${half}/${name}/${k}.jpg`, PICTURES[4 * i + 2 * j + k]);
put("pets/test/ring/1.jpg", PICTURES[3]);

const vision = resolve("models/lab-vision-init");
const {
  architectures: _,
  torch_dtype: __,
  ...init
} = JSON.parse(readFileSync(join(vision, "config.json"), "utf8")) as Record<string, unknown>;

const rows = (path: string, more = "") =>
  `{ path: ${path}, prompt: "<image> {q}", answer: "{a}", pictures: image, chat: false${more} }`;
const folder = (path: string, more = "") =>
  `{ kind: image-folder, path: ${path}, prompt: "<image> its", chat: false${more} }`;
const config = (train: string, evaluation: string, rest = "") =>
  space.write(
    "c.yaml",
    `seed: 1
steps: 3
model: { init: ${JSON.stringify(init)}, tokenizer: ${vision} }
data:
  train: ${train}
  eval: ${evaluation}
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 8, max_prompt_tokens: 30 }
rewards: [{ kind: exact, extract: whole }]
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 0 }
${rest}`,
  );

async function inspect(file: string) {
  const { faults, warnings } = await new Preflight({ fetch: false, weights: true }).inspect(loadRecipe(file));
  const { faultWords } = await import("../../src/config/words.ts");
  const short = (text: string) => text.replaceAll(`${space.path("").replace(/\/$/, "")}/`, "");
  return { faults: faults.map(faultWords).map(short), warnings: warnings.map(short) };
}

async function facts(file: string): Promise<ModelFacts> {
  return (await inspectModel(loadRecipe(file).recipe, { fetch: false, weights: false })) as ModelFacts;
}

describe("preflight", () => {
  it("names the row of a picture that is not there", async () => {
    const { faults } = await inspect(config(rows("bad.jsonl"), rows("eval.jsonl")));
    expect(faults).toEqual([
      'bad.jsonl:2  data.train: in this row, the picture "images/nowhere.jpg" (column image) cannot be read: no such file or directory; mend the rows, or set on_bad_row: skip.',
    ]);
  });

  it("names the row of a file that is no picture, and rows whose pictures make them too long", async () => {
    put("images/text.jpg", "no picture");
    lines("text.jsonl", [row("a"), row("b"), row("text")]);
    const { faults } = await inspect(config(rows("text.jsonl"), rows("eval.jsonl")));
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(
      /^text\.jsonl:3 {2}data\.train: this row cannot be encoded: images\/text\.jpg: this picture cannot be used: it is no PNG, JPEG/,
    );
    const short = config(rows("train.jsonl"), rows("eval.jsonl")).replace(/$/, "");
    writeFileSync(
      short,
      readFileSync(short, "utf8").replace("max_prompt_tokens: 30", "max_prompt_tokens: 9"),
    );
    expect((await inspect(short)).faults.join("\n")).toContain(
      "train.jsonl:1  data.train: this row has 10 tokens, the limit is 9",
    );
  });

  it("refuses pictures where the model sees none", async () => {
    const file = config(rows("train.jsonl"), rows("eval.jsonl"));
    const text = readFileSync(file, "utf8").replace(/^model: .*$/m, `model: ${tinyModel}`);
    const { faults } = await inspect(space.write("blind.yaml", text));
    expect(faults.join("\n")).toMatch(
      /train\.jsonl:1 {2}data\.train: .*shows a picture, and the model sees none/,
    );
  });

  it("says which pictures are trained on and tested", async () => {
    const { faults, warnings } = await inspect(config(rows("train.jsonl"), rows("eval.jsonl")));
    expect(faults).toEqual([]);
    expect(warnings).toEqual([
      "data.eval: 1 of its 2 pictures are in data.train too, the first is images/a.jpg; what was trained on says little of what is new",
    ]);
    const other = await inspect(
      config(rows("train.jsonl"), rows("eval.jsonl", ", filter: [{ column: q, in: [red disc] }]")),
    );
    expect(other.warnings.join()).not.toContain("too, the first");
  });

  it("looks at folders of classes: what is missing, and that there is enough for a step", async () => {
    expect((await inspect(config(folder("pets/train"), folder("pets/test")))).faults).toEqual([]);
    expect(
      (
        await inspect(config(folder("pets/train", ", half: base, shots: 1"), folder("pets/test")))
      ).faults.join(),
    ).toContain("a step draws 2 different prompts");
    put("empty/cat/1.jpg", "");
    const { faults } = await inspect(config(folder("empty"), folder("pets/test")));
    expect(faults).toEqual([
      'empty/cat/1.jpg:1  data.train: in this row, the picture "cat/1.jpg" is an empty file; no row fits: check path, half and classes against the folder.',
    ]);
    const same = await inspect(config(folder("pets/train"), folder("pets/train", ", half: both"))).catch(
      (error: Error) => error,
    );
    expect(String(same)).toContain("it has pictures of data.train, and evaluation would be a memory test");
    const halves = await inspect(
      config(folder("pets/train", ", half: base"), folder("pets/train", ", half: new")),
    );
    expect(halves.faults).toEqual([]);
    const gone = await inspect(config(folder("later", ", get: fetch it"), folder("pets/test")));
    expect(gone.faults.join()).toContain("this data is not there yet; fetch it");
  });
});

describe("rlpt data show", () => {
  const shown = async (file: string, known?: ModelFacts) =>
    showData(loadRecipe(file).recipe, "train", known ?? (await facts(file)), {
      rows: 1,
      first: 0,
      note: () => {},
    });

  it("has each picture in the place of its token, with its size, and counts the tokens that it takes", async () => {
    const { rows: all, counts } = await shown(config(rows("train.jsonl"), rows("eval.jsonl")));
    expect(rowText(all[0]!, 1, false)).toMatch(
      /, 10 tokens\n<bos>\|<fake_token_around_image>\|<global-img>\|\[image images\/a\.jpg 17x33\]\|<fake_token_around_image>\|red\|disc$/,
    );
    // <bos>, two words, four image tokens and the three around them
    expect(counts.prompt).toMatchObject({ least: 10, most: 10 });
  });

  it("has it in the place of all its tokens where what is learnt is shown", async () => {
    const file = config(rows("train.jsonl", ', target: "{a}"'), rows("eval.jsonl")).replace(/$/, "");
    const text = readFileSync(file, "utf8").replace("{ kind: grpo }", "{ kind: sft, rows_per_step: 2 }");
    const { rows: all } = await shown(space.write("sft.yaml", text));
    expect(rowText(all[0]!, 1, false)).toMatch(
      /\|\[image images\/a\.jpg 17x33\]\|.*\|red\|disc\[\[ring\|<eos>\]\]$/,
    );
  });

  it("lists pictures of several tiles before the tokens", async () => {
    const file = config(rows("train.jsonl"), rows("eval.jsonl"));
    const known = await facts(file);
    // as a processor that cuts pictures into tiles
    const measure = () => ({ tokens: 3, text: "<image><image><global-img><image>" });
    const pictures = { ...known.tokenizer.pictures!, measure };
    const tokenizer = Object.assign(Object.create(known.tokenizer), { pictures }) as Tokenizer;
    const { rows: listed } = await shown(file, { ...known, tokenizer });
    expect(listed[0]!.pictures).toEqual(["[image images/a.jpg 17x33]"]);
    expect(rowText(listed[0]!, 1, false)).toMatch(
      /tokens\n\[image images\/a\.jpg 17x33\]\n<bos>\|\[2 image tokens\]\|<global-img>\|\[1 image tokens\]\|red/,
    );
  });

  it("counts what is the same by what pictures hold, whatever they are called", async () => {
    const { counts } = await shown(config(rows("train.jsonl"), rows("eval.jsonl")));
    // rows 1 and 4 ask the same of the same bytes; a is shown three times; eval has a, too
    expect(counts).toMatchObject({
      duplicates: 1,
      overlap: 0,
      pictures: { pictures: 4, duplicates: 2, shared: 1, unread: 0 },
    });
    const pets = await shown(config(folder("pets/train"), folder("pets/test")));
    expect(pets.counts.pictures).toEqual({ pictures: 4, duplicates: 0, shared: 1, unread: 0 });
  });
});

it("a prompt with pictures is not cut", async () => {
  const file = config(rows("train.jsonl"), rows("eval.jsonl"));
  const { recipe } = loadRecipe(file);
  const { tokenizer } = await facts(file);
  const prompt = (await openSource(recipe.data.train, 1, "train", () => {})).at(0);
  expect(truncated(tokenizer, prompt, { prompt: 3, example: null })).toBeNull();
});

describe("the paper's configs on pictures", () => {
  const names = Array.from({ length: 47 }, (_, i) => `texture ${i}`);
  const list = (part: string, count: number) =>
    names.flatMap((name, label) =>
      Array.from({ length: count }, (_, i) => [`${name}/${part}_${i}.jpg`, label, name]),
    );
  const lists = { train: list("train", 6), val: list("val", 1), test: list("test", 2) };
  put("coop/dtd/split_zhou_DescribableTextures.json", JSON.stringify(lists));
  for (const [path] of Object.values(lists).flat()) put(`coop/dtd/images/${path}`);
  const load = (name: string) =>
    loadRecipe(`configs/paper/${name}.yaml`, {
      set: [`data.train.path=${space.path("coop")}`, `data.eval.path=${space.path("coop")}`],
    }).recipe;

  it("CLS-RL: 188 pictures, the list of all 47 textures, and the code's words", async () => {
    const recipe = load("cls-rl-pictures");
    expect(recipe).toMatchObject({ seed: 100, steps: 588, model: { path: "Qwen/Qwen2-VL-2B-Instruct" } });
    expect(recipe.rollout).toMatchObject({
      prompts_per_step: 16,
      group_size: 4,
      temperature: 1,
      max_prompt_tokens: 1024,
      max_new_tokens: 1024,
    });
    expect(recipe.optimizer).toMatchObject({ lr: 1e-6, schedule: "linear" });
    const train = await openSource(recipe.data.train, recipe.seed, "train", () => {});
    expect(train.size).toBe(188);
    const { input, answer, fields } = train.at(0);
    const choices = fields["choices"] as string[];
    expect(choices).toHaveLength(47);
    expect(choices).toContain(answer);
    expect(input).toMatchObject({
      messages: [
        {
          role: "user",
          content: [
            { type: "image" },
            {
              type: "text",
              text: `What type of texture is in the photo?\n Please choose one from list [ ${choices.join(", ")}].\n Please output the thinking process in <think> </think> and final answer in <answer> </answer> tags.`,
            },
          ],
        },
      ],
    });
    expect((await openSource(recipe.data.eval!, recipe.seed, "eval", () => {})).size).toBe(94);
  });

  it("No-Thinking: the same pictures, asked for the label alone", async () => {
    const recipe = load("no-thinking-pictures");
    expect(recipe.steps).toBe(588);
    const { input } = (await openSource(recipe.data.train, recipe.seed, "train", () => {})).at(0);
    expect(JSON.stringify(input)).toContain("]].\\n Please directly output the answer.".slice(1));
    expect(recipe.rewards[0]).toMatchObject({ kind: "exact" });
  });

  it("the cross-dataset evaluation has the eleven", () => {
    const { recipe } = loadRecipe("configs/paper/cls-rl-pictures-transfer.yaml");
    const sources = (recipe.data.eval as unknown as { sources: { dataset: string }[] }).sources;
    expect(new Set(sources.map(({ dataset }) => dataset)).size).toBe(11);
    expect(sources).toHaveLength(11);
  });
});
