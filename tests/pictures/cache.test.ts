import { expect, it } from "vitest";
import { DataError } from "../../src/lib/errors.ts";
import { measurePicture, PictureCache } from "../../src/pictures/cache.ts";
import { pictureProcessor } from "../../src/pictures/processor.ts";
import type { Picture } from "../../src/types.ts";
import { formula, goldenFile } from "./golden.ts";

const processor = (max_pixels: number) =>
  pictureProcessor({
    preprocessor: { min_pixels: 196, max_pixels, patch_size: 7 },
    processor: null,
    config: { model_type: "qwen2_vl", vision_config: { patch_size: 7 } },
    tokenIdOf: () => 260,
    path: "models/vlm",
  });
const small = processor(784);

/** Counts how often it is read. */
function picture(id: string, k = 1): Picture & { reads: number } {
  const one = {
    id,
    name: `photos/${id}.png`,
    reads: 0,
    load: () => {
      one.reads++;
      return formula(28, 28, k);
    },
  };
  return one;
}
/** Bytes of 16 patches of 3 * 2 * 7 * 7 numbers. */
const ONE = 16 * 294 * 4;

it("reads a picture once, keeps what was used last, and stays within its bytes", () => {
  const cache = new PictureCache(2 * ONE);
  const [a, b, c] = [picture("a"), picture("b", 2), picture("c", 3)];
  cache.processed(small, a);
  cache.processed(small, b);
  cache.processed(small, a);
  expect([a.reads, b.reads, cache.bytes, cache.size]).toEqual([1, 1, 2 * ONE, 2]);
  cache.processed(small, c);
  expect(cache.bytes).toBe(2 * ONE);
  // b was the longest unused
  cache.processed(small, a);
  cache.processed(small, b);
  expect([a.reads, b.reads, c.reads]).toEqual([1, 2, 1]);
});

it("does not let others go for a picture that has no room anyway", () => {
  const cache = new PictureCache(2 * ONE);
  const [a, large] = [picture("a"), picture("large")];
  cache.processed(small, a);
  const wide = processor(100_000);
  const grown = { ...large, load: () => formula(112, 112, 4) };
  expect(cache.processed(wide, grown).tiles[0]!.patches.byteLength).toBeGreaterThan(2 * ONE);
  cache.processed(small, a);
  expect([a.reads, cache.bytes]).toEqual([1, ONE]);
});

it("gives the same with and without room, and each processor its own", () => {
  const [roomy, none] = [new PictureCache(), new PictureCache(0)];
  const large = processor(3136);
  for (const k of [1, 2, 1, 3, 1]) {
    const one = picture(`p${k}`, k);
    for (const by of [small, large]) {
      const wanted = by.process(formula(28, 28, k));
      expect(roomy.processed(by, one)).toEqual(wanted);
      expect(none.processed(by, one)).toEqual(wanted);
    }
  }
  expect([none.bytes, none.size]).toEqual([0, 0]);
});

it("names the picture that cannot be used, whoever finds it out, and forgets it", () => {
  const cache = new PictureCache();
  const long = { ...picture("long"), load: () => ({ width: 300, height: 1, data: new Uint8Array(900) }) };
  for (const act of [() => cache.processed(small, long), () => measurePicture(small, long)]) {
    expect(act).toThrow(DataError);
    expect(act).toThrow(
      /^photos\/long.png: this picture cannot be used: it is 300 x 1 pixels, more than 200 times/,
    );
  }
  const cut = { ...picture("cut"), load: () => goldenFile("rgb.png").slice(0, 99) };
  expect(() => cache.processed(small, cut)).toThrow(
    /^photos\/cut.png: this picture cannot be used: the file is cut off/,
  );
  expect(cache.size).toBe(0);
});

it("measures a file by its header", () => {
  const turned = { ...picture("turned"), load: () => goldenFile("orientation-6.jpg") };
  // 19 x 11 as stored
  expect(measurePicture(processor(100_000), turned)).toEqual(
    processor(100_000).measure({ width: 11, height: 19 }),
  );
  const tokens = new PictureCache().processed(small, turned).tiles[0]!.tokens;
  expect(measurePicture(small, turned).tokens).toBe(tokens);
});
