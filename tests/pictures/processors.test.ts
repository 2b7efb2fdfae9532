import { describe, expect, it } from "vitest";
import { ModelFileError } from "../../src/lib/errors.ts";
import { pictureProcessor } from "../../src/pictures/processor.ts";
import { smartResize } from "../../src/pictures/qwen2-vl.ts";
import type { PictureProcessor } from "../../src/types.ts";
import { digest, formula, golden } from "./golden.ts";

type Json = Record<string, unknown>;

const open = (
  preprocessor: Json | null,
  processor: Json | null,
  config: Json,
  tokens = TOKENS,
): PictureProcessor =>
  pictureProcessor({
    preprocessor,
    processor,
    config,
    tokenIdOf: (text) => tokens[text],
    path: "models/vlm",
  });

const TOKENS: Record<string, number> = { "<image>": 260, "<|image_pad|>": 260 };

const idefics3Config = (side: number, patch: number): Json => ({
  model_type: "idefics3",
  image_token_id: 260,
  scale_factor: 2,
  vision_config: { image_size: side, patch_size: patch },
});
const qwenConfig = (patch: number): Json => ({
  model_type: "qwen2_vl",
  image_token_id: 260,
  vision_config: { patch_size: patch, spatial_merge_size: 2, temporal_patch_size: 2 },
});

const idefics3Files = Object.entries(golden.processed.idefics3).map(([name, { saved, patch, tokens }]) => {
  const side = (saved["max_image_size"] as { longest_edge: number }).longest_edge;
  return { name, side, patch, preprocessor: saved, processor: { image_seq_len: tokens } };
});

/** Samples to the bit; sums to what the order of adding changes. */
function expectSame(patches: Float32Array, wanted: ReturnType<typeof digest>) {
  const got = digest(patches);
  expect(got.numbers).toBe(wanted.numbers);
  expect(got.samples.map((value) => Number(value.toPrecision(9)))).toEqual(wanted.samples);
  expect(Math.abs(got.sum - wanted.sum)).toBeLessThan(1e-4);
  expect(Math.abs(got.weighted - wanted.weighted)).toBeLessThan(1e-2);
}

describe("Idefics3 and SmolVLM, as the Hugging Face processor", () => {
  describe.each(idefics3Files)("$name", ({ name, side, patch, preprocessor, processor }) => {
    const { cases, tokens } = golden.processed.idefics3[name]!;
    const own = open(preprocessor, processor, idefics3Config(side, patch));
    it("50 pictures of odd sizes: text, tiles and pixels", () => {
      expect(cases).toHaveLength(50);
      golden.sizes.forEach(([width, height], k) => {
        const wanted = cases[k]!;
        const { text, tiles } = own.process(formula(width, height, k));
        expect(text.replaceAll("<image>".repeat(tokens), "*")).toBe(wanted.text);
        expect(tiles.map(({ rows, columns, tokens }) => [rows, columns, tokens])).toEqual(
          wanted.tiles.map(() => [side / patch, side / patch, tokens]),
        );
        tiles.forEach(({ patches }, i) => {
          expectSame(patches, wanted.tiles[i]!);
        });
        expect(own.measure({ width, height })).toEqual({ tokens: tiles.length * tokens, text });
      });
    });
  });

  it("the published numbers of SmolVLM-256M: 17 tiles of 64 tokens for a large square, text as its processor writes it", () => {
    const own = open(
      {
        image_processor_type: "Idefics3ImageProcessor",
        size: { longest_edge: 2048 },
        max_image_size: { longest_edge: 512 },
      },
      { processor_class: "Idefics3Processor", image_seq_len: 64 },
      { ...idefics3Config(512, 16), scale_factor: 4 },
    );
    const { tokens, text } = own.measure({ width: 1000, height: 1000 });
    expect(tokens).toBe(17 * 64);
    const tile = (name: string) => `<fake_token_around_image>${name}${"<image>".repeat(64)}`;
    const row = (r: number) => `${[1, 2, 3, 4].map((c) => tile(`<row_${r}_col_${c}>`)).join("")}\n`;
    expect(text).toBe(`${[1, 2, 3, 4].map(row).join("")}\n${tile("<global-img>")}<fake_token_around_image>`);
    // 1536 rows of the wide one are three tiles
    expect(own.measure({ width: 1000, height: 700 }).tokens).toBe(13 * 64);
  });

  it("patches lie row by row, each channel, row, column", () => {
    const own = open(
      {
        do_image_splitting: false,
        max_image_size: { longest_edge: 4 },
        size: { longest_edge: 4 },
        do_rescale: false,
        do_normalize: false,
      },
      null,
      { ...idefics3Config(4, 2), scale_factor: 1 },
    );
    const pixels = { width: 4, height: 4, data: Uint8Array.from({ length: 48 }, (_, i) => i) };
    const [tile] = own.process(pixels).tiles;
    // the second patch begins at column 2: red 6, 9 and in the next row 18, 21, then green and blue
    expect([...tile!.patches.subarray(12, 24)]).toEqual([6, 9, 18, 21, 7, 10, 19, 22, 8, 11, 20, 23]);
  });
});

describe("Qwen2-VL, as the Hugging Face processor", () => {
  it.each(Object.keys(golden.processed.qwen2_vl))("%s: 50 pictures of odd sizes", (name) => {
    const { cases, options, saved } = golden.processed.qwen2_vl[name]!;
    const patch = saved["patch_size"] as number;
    // the file as it is saved, and the options in their older spelling
    for (const file of [saved, options]) {
      const own = open(file, null, qwenConfig(patch));
      golden.sizes.forEach(([width, height], k) => {
        const { grid, tiles: wanted } = cases[k]!;
        const { text, tiles } = own.process(formula(width, height, k));
        expect(tiles).toHaveLength(1);
        const [tile] = tiles;
        const tokens = (grid[1]! * grid[2]!) / 4;
        expect([1, tile!.rows, tile!.columns, tile!.tokens]).toEqual([...grid, tokens]);
        expect(text).toBe("<|image_pad|>".repeat(tokens));
        expectSame(tile!.patches, wanted[0]!);
        expect(own.measure({ width, height })).toEqual({ tokens, text });
      });
    }
  });

  it("smart_resize: the table of the specification and 300 sizes by transformers", () => {
    const table = [
      [28, 28, 3136, 1003520, 56, 56],
      [28, 28, 784, 1003520, 28, 28],
      [70, 70, 3136, 1003520, 56, 56],
      [1080, 1920, 3136, 12845056, 1092, 1932],
      [480, 640, 3136, 1003520, 476, 644],
      [384, 384, 3136, 401408, 392, 392],
      [1080, 1920, 3136, 1003520, 728, 1316],
      [13, 300, 3136, 1003520, 28, 280],
    ] as const;
    for (const [height, width, min, max, outHeight, outWidth] of table)
      expect(smartResize({ width, height }, 28, min, max)).toEqual({ width: outWidth, height: outHeight });
    for (const [height, width, factor, min, max, outHeight, outWidth] of golden.smart_resize as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ][])
      expect(smartResize({ width, height }, factor, min, max)).toEqual({
        width: outWidth,
        height: outHeight,
      });
    expect(golden.smart_resize.length).toBeGreaterThan(200);
    expect(() => smartResize({ width: 201, height: 1 }, 28, 3136, 1003520)).toThrow(
      "it is 201 x 1 pixels, more than 200 times as long as wide",
    );
  });

  it("patches of a merge cell follow one another, each frame twice in each channel", () => {
    const own = open(
      { do_resize: false, patch_size: 1, do_rescale: false, do_normalize: false },
      null,
      qwenConfig(1),
    );
    const pixels = { width: 4, height: 2, data: Uint8Array.from({ length: 24 }, (_, i) => i) };
    const [tile] = own.process(pixels).tiles;
    const order = [0, 1, 4, 5, 2, 3, 6, 7];
    expect([...tile!.patches]).toEqual(order.flatMap((p) => [0, 0, 1, 1, 2, 2].map((c) => 3 * p + c)));
    expect(() => own.measure({ width: 3, height: 2 })).toThrow("3 x 2 pixels are not whole cells of 2");
  });

  it("both spellings of the bounds; the outer ones overrule", () => {
    const tokens = (file: Json) =>
      open(file, null, qwenConfig(14)).measure({ width: 100, height: 100 }).tokens;
    expect(tokens({})).toBe(16);
    expect(tokens({ max_pixels: 3136 })).toBe(4);
    expect(tokens({ size: { min_pixels: 784, max_pixels: 3136 } })).toBe(4);
    expect(tokens({ size: { shortest_edge: 784, longest_edge: 3136 } })).toBe(4);
    expect(tokens({ size: { shortest_edge: 784, longest_edge: 3136 }, max_pixels: 12543 })).toBe(9);
    expect(tokens({ min_pixels: 50176 })).toBe(64);
  });
});

describe("files of a model", () => {
  const fault = (act: () => unknown): string => {
    try {
      act();
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(ModelFileError);
      return (thrown as Error).message;
    }
    throw new Error("nothing was thrown");
  };
  const small: Json = { size: { longest_edge: 28 }, max_image_size: { longest_edge: 28 } };
  const config = idefics3Config(28, 7);

  it("every key is used or refused by name", () => {
    expect(fault(() => open({ ...small, do_shear: true }, null, config))).toBe(
      "models/vlm/preprocessor_config.json: do_shear: true: what this key does to a picture is not known here. Take it out if it does nothing.",
    );
    expect(fault(() => open({ ...small, size: { height: 3, width: 4 } }, null, config))).toContain(
      "preprocessor_config.json: size: height: 3",
    );
    expect(fault(() => open(small, { image_seq_length: 4 }, config))).toContain(
      "processor_config.json: image_seq_length: 4",
    );
    expect(fault(() => open({ ...small, do_center_crop: true }, null, config))).toContain(
      "pictures are not cropped here",
    );
    expect(fault(() => open({ ...small, resample: 0 }, null, config))).toContain(
      "There are 1 (Lanczos), 2 (bilinear)",
    );
    expect(fault(() => open({ ...small, image_mean: [1, 2] }, null, config))).toContain("image_mean: [1,2]");
    expect(fault(() => open({ ...small, image_std: 0 }, null, config))).toContain(
      "nothing can be divided by 0",
    );
    expect(fault(() => open({ ...small, do_resize: "yes" }, null, config))).toContain(
      'do_resize: "yes": it is not true or false',
    );
    // null is what transformers writes for what was never said
    expect(
      open({ ...small, do_shear: null, do_center_crop: null, crop_size: null }, null, config).placeholder,
    ).toBe("<image>");
  });

  it("processor, tower and tokenizer must be of one model", () => {
    expect(fault(() => open(small, { image_seq_len: 64 }, config))).toContain(
      "the tower makes 4 tokens of a tile",
    );
    expect(fault(() => open({}, null, config))).toContain(
      "the tower's pictures have vision_config.image_size (config.json): 28",
    );
    expect(fault(() => open(small, null, { ...config, scale_factor: 3 }))).toContain("scale_factor: 3");
    expect(fault(() => open(small, null, config, {}))).toContain(
      "config.json: image_token_id: 260: the tokenizer has no <image>",
    );
    expect(fault(() => open(small, null, config, { "<image>": 7 }))).toContain(
      "the tokenizer has <image> at 7",
    );
    expect(fault(() => open({ patch_size: 7 }, null, qwenConfig(14)))).toContain(
      "the tower has 14 (config.json: vision_config.patch_size)",
    );
    expect(fault(() => open({ image_processor_type: "CLIPImageProcessor" }, null, config))).toContain(
      "a idefics3 has another",
    );
    expect(fault(() => open(small, null, { model_type: "llama" }))).toContain(
      "They are of idefics3, smolvlm, qwen2_vl, qwen2_5_vl",
    );
    expect(fault(() => open(null, null, config))).toContain(
      "models/vlm/preprocessor_config.json: it is missing",
    );
  });

  it("newer files hold the image processor inside of processor_config.json; Fast is the same", () => {
    const inner = { ...small, do_image_splitting: false, image_processor_type: "Idefics3ImageProcessorFast" };
    const nested = open(null, { image_processor: inner, image_seq_len: 4 }, config);
    const plain = open(
      { ...inner, image_processor_type: "Idefics3ImageProcessor" },
      { image_seq_len: 4 },
      config,
    );
    expect(nested.process(formula(40, 30, 1))).toEqual(plain.process(formula(40, 30, 1)));
    expect(open({}, null, { ...qwenConfig(14), model_type: "qwen2_5_vl" }).imageTokenId).toBe(260);
  });
});
