import type { PictureProcessor, RgbPixels } from "../types.ts";
import type { ProcessorFamily } from "./family.ts";
import { PictureFault } from "./fault.ts";
import { colourTable, ignoreCommonKeys, resampling, writePatch } from "./normalise.ts";
import { resize } from "./resize.ts";
import type { Settings } from "./settings.ts";

interface Size {
  width: number;
  height: number;
}

const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];
const MAX_ASPECT = 200;

/**
 * Qwen2-VL and Qwen2.5-VL: a picture keeps its shape, in whole merge cells; patches of a cell follow one another, and each shows the
 * same frame `temporal_patch_size` times. Source: transformers, image_processing_qwen2_vl.
 */
export const qwen2Vl: ProcessorFamily = {
  modelTypes: ["qwen2_vl", "qwen2_5_vl"],
  imageProcessors: ["Qwen2VLImageProcessor"],
  open({ preprocessor, config }, imageToken) {
    ignoreCommonKeys(preprocessor);
    preprocessor.ignore("do_pad", "pad_size");
    const resizes = preprocessor.flag("do_resize", true);
    const filter = resampling(preprocessor, 3);
    const bounds = pixelBounds(preprocessor);
    const patch = preprocessor.integer("patch_size", 14);
    const merge = preprocessor.integer("merge_size", 2);
    const frames = preprocessor.integer("temporal_patch_size", 2);
    const colours = colourTable(preprocessor, CLIP_MEAN, CLIP_STD);
    const vision = config.inner("vision_config");
    for (const [own, key, value, absent] of [
      ["patch_size", "patch_size", patch, 14],
      ["merge_size", "spatial_merge_size", merge, 2],
      ["temporal_patch_size", "temporal_patch_size", frames, 2],
    ] as const) {
      const tower = vision.integer(key, absent);
      if (tower !== value)
        preprocessor.fault(
          own,
          `the tower has ${tower} (config.json: vision_config.${key}) and here it is ${value}`,
          "Take both files of the same model.",
        );
    }

    const placeholder = "<|image_pad|>";
    const imageTokenId = imageToken(placeholder);
    const factor = patch * merge;
    const target = (picture: Size): Size => {
      if (resizes) return smartResize(picture, factor, bounds.min, bounds.max);
      const { width, height } = picture;
      if (width % factor === 0 && height % factor === 0) return { width, height };
      throw new PictureFault(
        `${width} x ${height} pixels are not whole cells of ${factor}, and the model's preprocessor_config.json says do_resize: false`,
        "set do_resize to true, or give pictures of such a size",
      );
    };
    const tokensOf = ({ width, height }: Size) => (width / factor) * (height / factor);

    const patches = (pixels: RgbPixels): Float32Array => {
      const length = 3 * frames * patch * patch;
      const columns = pixels.width / patch;
      const out = new Float32Array((pixels.height / patch) * columns * length);
      for (let i = 0, cells = columns / merge; i < out.length / length; i++) {
        const [inside, cell] = [i % (merge * merge), Math.floor(i / (merge * merge))];
        const x = (cell % cells) * merge + (inside % merge);
        const y = Math.floor(cell / cells) * merge + Math.floor(inside / merge);
        writePatch(pixels, x * patch, y * patch, patch, colours, frames, out, i * length);
      }
      return out;
    };

    return {
      placeholder,
      imageTokenId,
      measure(picture) {
        const tokens = tokensOf(target(picture));
        return { tokens, text: placeholder.repeat(tokens) };
      },
      process(pixels) {
        const { width, height } = target(pixels);
        const tokens = tokensOf({ width, height });
        const tile = {
          patches: patches(resize(pixels, width, height, filter)),
          rows: height / patch,
          columns: width / patch,
          tokens,
        };
        return { text: placeholder.repeat(tokens), tiles: [tile] };
      },
    } satisfies PictureProcessor;
  },
};

/** Least and most pixels of a resized picture: `size` says areas by names of edges, and `min_pixels` and `max_pixels` overrule it. */
function pixelBounds(preprocessor: Settings): { min: number; max: number } {
  const size = preprocessor.inner("size");
  // some files repeat the older names inside of `size`
  const [innerMin, innerMax] = [
    size.integer("min_pixels", 56 * 56),
    size.integer("max_pixels", 28 * 28 * 1280),
  ];
  const [shortest, longest] = [
    size.integer("shortest_edge", innerMin),
    size.integer("longest_edge", innerMax),
  ];
  size.finish();
  const [min, max] = [
    preprocessor.integer("min_pixels", shortest),
    preprocessor.integer("max_pixels", longest),
  ];
  if (min > max)
    preprocessor.fault("min_pixels", `it is ${min}, more than max_pixels: ${max}`, "Mend the file.");
  return { min, max };
}

/** To the nearest whole number; halves go to the even one, as in Python. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The size nearest to a picture's, in whole cells, with `min` to `max` pixels.
 * @param factor pixels of a side of a cell
 * @throws PictureFault for a picture more than 200 times as long as wide
 */
export function smartResize({ width, height }: Size, factor: number, min: number, max: number): Size {
  if (Math.max(width, height) / Math.min(width, height) > MAX_ASPECT)
    throw new PictureFault(
      `it is ${width} x ${height} pixels, more than ${MAX_ASPECT} times as long as wide, which the model does not read`,
      "crop it, or take the row out",
    );
  const cells = (side: number) => roundHalfEven(side / factor) * factor;
  const area = cells(width) * cells(height);
  if (area > max) {
    const beta = Math.sqrt((height * width) / max);
    const down = (side: number) => Math.max(factor, Math.floor(side / beta / factor) * factor);
    return { width: down(width), height: down(height) };
  }
  if (area < min) {
    const beta = Math.sqrt(min / (height * width));
    const up = (side: number) => Math.ceil((side * beta) / factor) * factor;
    return { width: up(width), height: up(height) };
  }
  return { width: cells(width), height: cells(height) };
}
