/** Pictures before a run: what preflight says of them, what `rlpt data show` shows, and CLS-RL's prompt as the paper's code writes it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
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

function put(name: string, content = name): void {
  mkdirSync(dirname(space.path(name)), { recursive: true });
  writeFileSync(space.path(name), content);
}
for (const [name, content] of [
  ["a", "A"],
  ["b", "B"],
  ["c", "C"],
  ["copy-of-a", "A"],
] as const)
  put(`images/${name}.png`, content);
const lines = (name: string, rows: object[]) => put(name, rows.map((row) => JSON.stringify(row)).join("\n"));
const row = (image: string, q = "1+1=") => ({ q, a: "2", image: `images/${image}.png` });
lines("train.jsonl", [row("a"), row("b"), row("a", "2+2="), row("copy-of-a")]);
lines("eval.jsonl", [row("a", "9+9="), row("c")]);
lines("bad.jsonl", [row("a"), row("nowhere"), row("b")]);
for (const half of ["train", "test"])
  for (const name of ["cat", "dog"])
    for (const i of [1, 2]) put(`pets/${half}/${name}/${i}.png`, `${half} ${name} ${i}`);
put("pets/test/dog/2.png", "train dog 1");

const rows = (path: string, more = "") =>
  `{ path: ${path}, prompt: "<pad>{q}", answer: "{a}", pictures: image, picture_marker: "<pad>", chat: false${more} }`;
const config = (train: string, evaluation: string, rest = "") =>
  space.write(
    "c.yaml",
    `seed: 1
steps: 3
model: ${tinyModel}
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

/** The tiny model's tokenizer, as one that takes <pad> for a picture. */
async function facts(file: string): Promise<ModelFacts> {
  const known = (await inspectModel(loadRecipe(file).recipe, { fetch: false, weights: false })) as ModelFacts;
  const [imageTokenId] = known.tokenizer.encode("<pad>", { addSpecialTokens: false });
  const pictures = { placeholder: "<pad>", imageTokenId: imageTokenId! } as unknown as Tokenizer["pictures"];
  return { ...known, tokenizer: Object.assign(Object.create(known.tokenizer), { pictures }) as Tokenizer };
}

describe("preflight", () => {
  it("names the row of a picture that is not there", async () => {
    const { faults } = await inspect(config(rows("bad.jsonl"), rows("eval.jsonl")));
    expect(faults).toEqual([
      'bad.jsonl:2  data.train: in this row, the picture "images/nowhere.png" (column image) cannot be read: no such file or directory; mend the rows, or set on_bad_row: skip.',
    ]);
  });

  it("says which pictures are trained on and tested", async () => {
    const { faults, warnings } = await inspect(config(rows("train.jsonl"), rows("eval.jsonl")));
    expect(faults).toEqual([]);
    expect(warnings).toEqual([
      "data.eval: 1 of its 2 pictures are in data.train too, the first is images/a.png; what was trained on says little of what is new",
    ]);
    const other = await inspect(
      config(rows("train.jsonl"), rows("eval.jsonl", ", filter: [{ column: q, in: ['1+1='] }]")),
    );
    expect(other.warnings.join()).not.toContain("too, the first");
  });

  it("looks at folders of classes: what is missing, and that there is enough for a step", async () => {
    const folder = (path: string, more = "") =>
      `{ kind: image-folder, path: ${path}, prompt: "<pad>1+1=", picture_marker: "<pad>", chat: false${more} }`;
    expect((await inspect(config(folder("pets/train"), folder("pets/test")))).faults).toEqual([]);
    expect(
      (
        await inspect(config(folder("pets/train", ", half: base, shots: 1"), folder("pets/test")))
      ).faults.join(),
    ).toContain("a step draws 2 different prompts");
    put("empty/cat/1.png", "");
    const { faults } = await inspect(config(folder("empty"), folder("pets/test")));
    expect(faults).toEqual([
      'empty/cat/1.png:1  data.train: in this row, the picture "cat/1.png" is an empty file; no row fits: check path, half and classes against the folder.',
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
  const shown = async (file: string, more: object = {}) =>
    showData(loadRecipe(file).recipe, "train", await facts(file), {
      rows: 1,
      first: 0,
      note: () => {},
      ...more,
    });

  it("has each picture in the place of its token, with its size where that is known", async () => {
    const file = config(rows("train.jsonl"), rows("eval.jsonl"));
    const [first] = (await shown(file)).rows;
    expect(rowText(first!, 1, false)).toMatch(/\n<bos>\|\[image images\/a\.png\]\|1\|\+\|1\|=$/);
    const sized = await shown(file, { sizes: () => ({ width: 640, height: 480 }) });
    expect(rowText(sized.rows[0]!, 1, false)).toContain("|[image images/a.png 640x480]|");
  });

  it("lists pictures that no token shows", async () => {
    const file = config(rows("train.jsonl"), rows("eval.jsonl"));
    const known = await facts(file);
    const tokenizer = Object.assign(Object.create(known.tokenizer), { pictures: undefined }) as Tokenizer;
    const { rows: listed } = await showData(
      loadRecipe(file).recipe,
      "train",
      { ...known, tokenizer },
      { rows: 1, first: 0, note: () => {} },
    );
    expect(listed[0]!.pictures).toEqual(["[image images/a.png]"]);
    expect(rowText(listed[0]!, 1, false)).toMatch(/tokens\n\[image images\/a\.png\]\n<bos>/);
  });

  it("counts what is the same by what pictures hold, whatever they are called", async () => {
    const { counts } = await shown(config(rows("train.jsonl"), rows("eval.jsonl")));
    // rows 1 and 4 ask the same of the same bytes; a is shown three times; eval has a, too
    expect(counts).toMatchObject({
      duplicates: 1,
      overlap: 0,
      pictures: { pictures: 4, duplicates: 2, shared: 1, unread: 0 },
    });
    const folder = (part: string) =>
      `{ kind: image-folder, path: pets/${part}, prompt: "<pad>1+1=", picture_marker: "<pad>", chat: false }`;
    const pets = await shown(config(folder("train"), folder("test")));
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
