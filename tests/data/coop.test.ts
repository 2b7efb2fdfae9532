/** CoOp's eleven datasets: where their pictures and lists lie, base and new classes, and lists that are damaged. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { coop } from "../../src/data/coop.ts";
import { COOP_DATASETS, type CoopDataset } from "../../src/data/coop-layout.ts";
import { coopOptions } from "../../src/data/coop-options.ts";
import { mixture } from "../../src/data/mixture.ts";
import { mixtureOptions } from "../../src/data/mixture-options.ts";
import { picturesOf } from "../../src/rollouts/pictures.ts";
import type { PromptSource } from "../../src/types.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-coop-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, content = path): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), content);
}

const PARTS = ["train", "val", "test"] as const;

/** A tiny dataset in CoOp's place and form: five classes, labels not in the order of names, as dassl's write_json writes it. */
function putSplit(dataset: CoopDataset, prefix = ""): void {
  const { folder, pictures, split } = COOP_DATASETS[dataset];
  const names = ["zebra_fish", "ant", "bee", "cat", "dog"];
  const lists = Object.fromEntries(
    PARTS.map((part) => [
      part,
      names.flatMap((name, label) =>
        Array.from({ length: 3 }, (_, i) => {
          const path = `${prefix}${name}/${part} ${i}.jpg`;
          put(join(folder, pictures, path));
          return [path, label, name];
        }),
      ),
    ]),
  );
  put(join(folder, split!), JSON.stringify(lists, null, 4));
}
for (const dataset of [
  "caltech101",
  "oxford_pets",
  "oxford_flowers",
  "food101",
  "sun397",
  "dtd",
  "eurosat",
  "ucf101",
] as const)
  putSplit(dataset);
putSplit("stanford_cars", "cars_train/");
put("imagenet/classnames.txt", "n01 tench\nn02 great white shark\nn03 sunglasses\nn04 sunglasses\n");
for (const id of ["n01", "n02", "n03", "n04"]) {
  for (let i = 0; i < 3; i++) put(`elsewhere/train/${id}/${id}_${i}.JPEG`);
  put(`imagenet/images/val/${id}/val_${id}.JPEG`);
}
// as DATASETS.md suggests to those who have the pictures already
symlinkSync(join(root, "elsewhere/train"), join(root, "imagenet/images/train"));
put("fgvc_aircraft/variants.txt", "707-320\nA300B4\nBoeing 717\n");
for (const part of PARTS) {
  put(`fgvc_aircraft/images_variant_${part}.txt`, `1${part} Boeing 717\n2${part} 707-320\n3${part} A300B4\n`);
  for (const i of [1, 2, 3]) put(`fgvc_aircraft/images/${i}${part}.jpg`);
}

async function open(
  dataset: CoopDataset,
  options: object = {},
  split: "train" | "eval" = "train",
  path = root,
) {
  const source = await coop.open(coopOptions.parse({ kind: "coop", path, dataset, ...options }), {
    split,
    seed: 1,
    note: () => {},
  });
  return all(source);
}
const all = ({ size, at }: PromptSource) => Array.from({ length: size! }, (_, index) => at(index));
const answers = (prompts: Awaited<ReturnType<typeof open>>) => [
  ...new Set(prompts.map(({ answer }) => answer)),
];
const refused = async (dataset: CoopDataset, options: object = {}) => {
  const error: unknown = await open(dataset, options).catch((each: unknown) => each);
  return (error as Error).message.replaceAll(root, "ROOT");
};

describe("the eleven", () => {
  it("are where DATASETS.md and the code of CoOp have them", () => {
    const places = Object.entries(COOP_DATASETS).map(([name, { folder, pictures, split }]) => [
      name,
      join(folder, pictures),
      split,
    ]);
    expect(places).toEqual([
      ["imagenet", "imagenet/images", null],
      ["caltech101", "caltech-101/101_ObjectCategories", "split_zhou_Caltech101.json"],
      ["oxford_pets", "oxford_pets/images", "split_zhou_OxfordPets.json"],
      ["stanford_cars", "stanford_cars", "split_zhou_StanfordCars.json"],
      ["oxford_flowers", "oxford_flowers/jpg", "split_zhou_OxfordFlowers.json"],
      ["food101", "food-101/images", "split_zhou_Food101.json"],
      ["fgvc_aircraft", "fgvc_aircraft/images", null],
      ["sun397", "sun397/SUN397", "split_zhou_SUN397.json"],
      ["dtd", "dtd/images", "split_zhou_DescribableTextures.json"],
      ["eurosat", "eurosat/2750", "split_zhou_EuroSAT.json"],
      ["ucf101", "ucf101/UCF-101-midframes", "split_zhou_UCF101.json"],
    ]);
  });

  it.each(Object.keys(COOP_DATASETS) as CoopDataset[])(
    "%s is read, its train part to train on and its test part to test",
    async (dataset) => {
      const [train, evaluation] = [await open(dataset), await open(dataset, {}, "eval")];
      for (const prompts of [train, evaluation]) {
        expect(prompts.length).toBeGreaterThanOrEqual(3);
        for (const prompt of prompts) {
          expect(prompt.slices).toEqual({ dataset });
          expect(prompt.fields["choices"]).toContain(prompt.answer);
          expect(prompt.id.startsWith(`${dataset}/`)).toBe(true);
          const [picture] = picturesOf(prompt);
          // the tiny files hold their own path
          expect(new TextDecoder().decode(picture!.load() as Uint8Array)).toContain(picture!.name);
          expect(picture!.name).toMatch(prompts === train ? /train|n0/ : /test|val/);
        }
      }
      const ids = new Set([...train, ...evaluation].map(({ id }) => id));
      expect(ids.size).toBe(train.length + evaluation.length);
    },
  );

  it("asks the paper's question of each", async () => {
    const asked = async (dataset: CoopDataset) => {
      const [{ input }] = (await open(dataset)) as unknown as [
        { input: { kind: "chat"; messages: { content: unknown }[] } },
      ];
      return (input.messages[0]!.content as { text?: string }[])[1]!.text!.split("\n")[0];
    };
    expect(await asked("eurosat")).toBe("What type of object is in the centered satellite photo?");
    expect(await asked("ucf101")).toBe("What actions is the person performing in the photo?");
    expect(await asked("dtd")).toBe("What type of texture is in the photo?");
    expect(await asked("fgvc_aircraft")).toBe("What type of aircraft is in the photo?");
    for (const other of [
      "imagenet",
      "caltech101",
      "food101",
      "oxford_flowers",
      "oxford_pets",
      "stanford_cars",
      "sun397",
    ] as const)
      expect(await asked(other)).toBe("What type of object is in the photo?");
  });
});

describe("classes", () => {
  it("base is the first half of the labels, not of the names, rounded up", async () => {
    expect(answers(await open("dtd", { half: "base" }))).toEqual(["zebra fish", "ant", "bee"]);
    expect(answers(await open("dtd", { half: "new", spaces_for: [] }))).toEqual(["cat", "dog"]);
    const both = await open("dtd", { half: "both" }, "eval");
    expect(both.map(({ slices }) => slices["split"])).toEqual([
      ...Array(9).fill("base"),
      ...Array(6).fill("new"),
    ]);
    expect(answers(await open("fgvc_aircraft", { half: "base" }))).toEqual(["707-320", "A300B4"]);
    expect(answers(await open("imagenet", { half: "base" }))).toEqual(["tench", "great white shark"]);
  });

  it("two of one name stand in a list once", async () => {
    const prompts = await open("imagenet");
    expect(prompts).toHaveLength(12);
    for (const { fields } of prompts)
      expect([...(fields["choices"] as string[])].sort()).toEqual([
        "great white shark",
        "sunglasses",
        "tench",
      ]);
  });

  it("shots are of each class, drawn by the seed", async () => {
    const one = await open("food101", { shots: 1 });
    expect(one).toHaveLength(5);
    const ids = (prompts: typeof one) => prompts.map(({ id }) => id).join();
    expect(ids(await open("food101", { shots: 1 }))).toBe(ids(one));
    const seeds = await Promise.all(
      [1, 2, 3].map(async (seed) => ids(await open("food101", { shots: 1, seed }))),
    );
    expect(new Set([...seeds, ids(one)]).size).toBeGreaterThan(2);
  });

  it("several datasets are one evaluation, told apart by their slice", async () => {
    const sources = ["dtd", "eurosat", "imagenet"].map((dataset) => ({ kind: "coop", path: root, dataset }));
    const source = await mixture.open(mixtureOptions.parse({ kind: "mixture", sources }), {
      seed: 1,
      split: "eval",
      note: () => {},
    });
    const prompts = all(source);
    expect(prompts).toHaveLength(15 + 15 + 4);
    expect(prompts[15]).toMatchObject({
      id: "eurosat/eurosat/zebra_fish/test 0.jpg",
      slices: { source: "eurosat", dataset: "eurosat" },
    });
    expect(mixture.slices(mixtureOptions.parse({ kind: "mixture", sources }))).toEqual(["source", "dataset"]);
  });
});

describe("faults", () => {
  const split = (value: unknown) =>
    put(
      "oxford_pets/split_zhou_OxfordPets.json",
      typeof value === "string" ? value : JSON.stringify(value, null, 4),
    );
  const entry = ["ant/train 0.jpg", 1, "ant"];
  const good = { train: [entry], val: [["ant/val 0.jpg", 1, "ant"]], test: [["ant/test 0.jpg", 1, "ant"]] };

  it.each<[string, unknown, string]>([
    [
      "a picture that is not there, by its line",
      { ...good, train: [entry, ["ant/no.jpg", 1, "ant"]] },
      'ROOT/oxford_pets/split_zhou_OxfordPets.json:9: the picture "ant/no.jpg" cannot be read: no such file or directory.',
    ],
    [
      "a way out",
      { ...good, train: [["../../../etc/passwd", 1, "ant"]] },
      'OxfordPets.json:4: the picture "../../../etc/passwd" leads out of ROOT/oxford_pets/images: give a path below it.',
    ],
    ["no JSON", "{", "split_zhou_OxfordPets.json: is no JSON"],
    ["no lists", [1], "has no list train; a split file has train, val and test."],
    ["no training list", { ...good, train: [] }, "has no list train"],
    [
      "an entry of another form",
      { ...good, train: [entry, ["x.jpg", "1", "ant"]] },
      'entry 2 of train is ["x.jpg","1","ant"], not [path, label, class name].',
    ],
    [
      "two names of a label",
      { ...good, train: [entry, ["ant/train 1.jpg", 1, "bee"]] },
      "label 1 is called both ant and bee.",
    ],
    ["a picture twice", { ...good, train: [entry, entry] }, "train lists ant/train 0.jpg twice"],
  ])("%s", async (_, value, message) => {
    split(value);
    expect(await refused("oxford_pets")).toContain(message);
  });

  it("a label that training has not", async () => {
    split({ ...good, test: [["ant/test 0.jpg", 7, "bee"]] });
    expect(await refused("oxford_pets", { part: "test" })).toContain(
      "test has the label 7 (bee), which train has not.",
    );
    split("{}");
    rmSync(join(root, "oxford_pets/split_zhou_OxfordPets.json"));
    expect(await refused("oxford_pets")).toBe(
      "ROOT/oxford_pets/split_zhou_OxfordPets.json: cannot read this list of pictures: no such file or directory.",
    );
  });

  it("folders and lists that are missing or say nothing", async () => {
    const empty = (await open("dtd", {}, "train", join(root, "elsewhere")).catch(
      (error: Error) => error.message,
    )) as string;
    expect(empty.replaceAll(root, "ROOT")).toBe(
      "ROOT/elsewhere/dtd: there is no such folder. dtd lies in dtd/images below path, as CoOp's DATASETS.md says.",
    );
    put("fgvc_aircraft/images_variant_val.txt", "1val Concorde\n");
    expect(await refused("fgvc_aircraft", { part: "val" })).toContain(
      'images_variant_val.txt:1: "1val Concorde" is no picture with a class of',
    );
    put("imagenet/classnames.txt", "n01 tench\n");
    expect(await refused("imagenet")).toContain(
      "classnames.txt: has no name for the folder n02 of ROOT/imagenet/images/train",
    );
    put("imagenet/classnames.txt", "n01\n");
    expect(await refused("imagenet")).toContain('classnames.txt:1: "n01" is no folder with a class name');
  });

  test("one dataset of many missing is refused by its name", () => {
    const parsed = coopOptions.safeParse({ kind: "coop", path: "x", dataset: "cifar10" });
    expect(parsed.error?.issues[0]?.path).toEqual(["dataset"]);
  });
});
