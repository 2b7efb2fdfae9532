import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { picturesSource } from "../../src/data/pictures.ts";
import { picturesOptions, scenesOptions } from "../../src/data/pictures-options.ts";
import { scenesSource } from "../../src/data/scenes.ts";
import { createTokenizer } from "../../src/policy/files/tokenizer.ts";
import { labVisionFiles } from "../../tools/lab-vision-files.ts";

const folder = join(import.meta.dirname, "../../models/lab-vision-init");
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const json = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));

/** The vocabulary of the laboratory's specification, in the order of the ids. */
const WORDS =
  `<pad> <bos> <eos> <image> <fake_token_around_image> <global-img> <end_of_utterance> <think> </think> <answer>
</answer> | [think] [direct] its where red green blue yellow pink cyan white orange disc square diamond ring plus ex triangle
frame solid rows columns checks one two three four tshirt trouser pullover dress coat sandal shirt sneaker bag boot digit0
digit1 digit2 digit3 digit4 digit5 digit6 digit7 digit8 digit9 upper lower whole shoe held short long nolength plain open
buttons loop0 loop1 loop2 straight round mixed top bottom even p0 p1 p2 p3 p4 p5 p6 p7 p8`.split(/\s+/);
const tokenizer = createTokenizer(
  new Map(["tokenizer.json", "tokenizer_config.json"].map((name) => [name, read(name)])),
  { path: "lab-vision-init" },
);
const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: true });

it("are what the tool writes", () => {
  const files = labVisionFiles();
  expect(
    readdirSync(folder)
      .filter((name) => files.has(name))
      .sort(),
  ).toEqual([...files.keys()].sort());
  for (const [name, bytes] of files) expect(read(name)).toEqual(bytes);
});

it("give each word the id of its place in the specification", () => {
  expect(WORDS).toHaveLength(89);
  expect(tokenizer.size).toBe(89);
  expect(tokenizer.warnings).toEqual([]);
  expect(encode(WORDS.slice(3).join(" "))).toEqual([1, ...WORDS.slice(3).map((_, i) => i + 3)]);
  expect([tokenizer.padId, tokenizer.bosId, tokenizer.eosIds]).toEqual([0, 1, [2]]);
});

it("read a prompt as transformers' Idefics3Processor expands it, placeholders with and without spaces", () => {
  // transformers 5.24: AutoProcessor.from_pretrained("models/lab-vision-init")(text="<image> | red disc blue ring [direct]", images=[...])
  const want = [1, 4, 5, 3, 3, 3, 3, 4, 11, 16, 24, 18, 27, 13];
  const picture =
    "<fake_token_around_image><global-img><image><image><image><image><fake_token_around_image>";
  expect(encode(`${picture} | red disc blue ring [direct]`)).toEqual(want);
  expect(encode(`${picture.replaceAll("><", "> <")} | red disc blue ring [direct]`)).toEqual(want);
});

it("read every prompt and target in 14 to 22 tokens, image tokens and bos included, and few more to answer", () => {
  const expand = (text: string) =>
    text.replace(
      "<image>",
      `<fake_token_around_image><global-img>${"<image>".repeat(4)}<fake_token_around_image>`,
    );
  const lengths = (use: object) => {
    const prompts = picturesSource(picturesOptions.parse({ kind: "pictures", mode: "mixed", ...use }), 1);
    return Array.from({ length: 500 }, (_, i) => prompts.at(i % (prompts.size ?? 500))).map((prompt) => {
      if (prompt.input.kind !== "text") throw new Error("no text");
      const target =
        prompt.target === undefined ? 0 : tokenizer.encode(prompt.target, { addSpecialTokens: false }).length;
      return [encode(expand(prompt.input.text)).length, target + 1] as const;
    });
  };
  const mixture = lengths({ use: "pretraining" });
  expect(Math.max(...mixture.map(([prompt]) => prompt))).toBe(22);
  expect(Math.min(...mixture.map(([prompt]) => prompt))).toBe(14);
  expect(Math.max(...mixture.map(([, target]) => target))).toBe(11);
  expect(new Set(lengths({ use: "few_shot" }).map(([prompt]) => prompt))).toEqual(new Set([22]));
  const scene = scenesSource(scenesOptions.parse({ kind: "scenes", use: "train" }), 1).at(0);
  expect(scene.input.kind === "text" && encode(expand(scene.input.text))).toHaveLength(13);
});

it("tell of a decoder and a tower that fit each other and the words", () => {
  const { text_config: text, vision_config: vision, ...config } = json("config.json");
  expect([config.vocab_size, text.vocab_size, config.image_token_id]).toEqual([
    89,
    89,
    WORDS.indexOf("<image>"),
  ]);
  const patches = (vision.image_size / vision.patch_size) ** 2;
  expect(patches / config.scale_factor ** 2).toBe(json("processor_config.json").image_seq_len);
  const { size, max_image_size: most, do_image_splitting: splits } = json("preprocessor_config.json");
  expect([size.longest_edge, most.longest_edge, splits]).toEqual([
    vision.image_size,
    vision.image_size,
    false,
  ]);
  // the laboratory's count of parameters: embedding and head, decoder layers, tower and connector
  const [h, i, v] = [text.hidden_size, text.intermediate_size, vision.hidden_size];
  const decoder = 2 * 89 * h + h + text.num_hidden_layers * (4 * h * h + 3 * h * i + 2 * h);
  const layer = 4 * (v * v + v) + 2 * v * vision.intermediate_size + vision.intermediate_size + v + 4 * v;
  const tower = 3 * vision.patch_size ** 2 * v + v + patches * v + vision.num_hidden_layers * layer + 2 * v;
  const connector = v * config.scale_factor ** 2 * h;
  expect([tower + connector, decoder + tower + connector]).toEqual([96_832, 249_984]);
});
