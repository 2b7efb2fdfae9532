import type { PictureProcessor, PictureTile, RgbPixels } from "../types.ts";
import type { ProcessorFamily } from "./family.ts";
import { colourTable, ignoreCommonKeys, resampling, writePatch } from "./normalise.ts";
import { resize } from "./resize.ts";

interface Size {
  width: number;
  height: number;
}

/** No picture becomes larger than this, whatever the file asks for. */
const LARGEST_SIDE = 4096;
const HALVES = [0.5, 0.5, 0.5];

/**
 * Idefics3 and SmolVLM: a picture is cut into square tiles of the tower's size, with the whole picture as the last, or is that one alone.
 * Every tile is full, so no part of one is masked. Source: transformers, image_processing_idefics3 and processing_idefics3.
 */
export const idefics3: ProcessorFamily = {
  modelTypes: ["idefics3", "smolvlm"],
  imageProcessors: ["Idefics3ImageProcessor", "SmolVLMImageProcessor"],
  open({ preprocessor, processor, config }, imageToken) {
    ignoreCommonKeys(preprocessor);
    // tiles of one picture have one size, so there is nothing to pad; videos are not read
    preprocessor.ignore("do_pad", "pad_size", "return_row_col_info", "video_sampling");
    const splits = preprocessor.flag("do_image_splitting", true);
    const resizes = preprocessor.flag("do_resize", true);
    const filter = resampling(preprocessor, 1);
    const size = preprocessor.inner("size");
    const longest = size.integer("longest_edge", 4 * 364);
    size.finish();
    const tile = preprocessor.inner("max_image_size");
    const side = tile.integer("longest_edge", 364);
    tile.finish();
    const colours = colourTable(preprocessor, HALVES, HALVES);

    const vision = config.inner("vision_config");
    const patch = vision.integer("patch_size", 32);
    const grid = side / patch;
    const scale = config.integer("scale_factor", 2);
    if (vision.integer("image_size", 224) !== side)
      tile.fault(
        "longest_edge",
        `the tower's pictures have vision_config.image_size (config.json): ${vision.get("image_size") ?? 224}`,
        "Only pictures of that size are read.",
      );
    if (!Number.isInteger(grid / scale))
      config.fault(
        "scale_factor",
        `${side} pixels are not a whole number of blocks of ${scale} patches of ${patch}`,
        "Mend the file.",
      );
    const tokens = (grid / scale) ** 2;
    if (processor.integer("image_seq_len", tokens) !== tokens)
      processor.fault(
        "image_seq_len",
        `the tower makes ${tokens} tokens of a tile`,
        "Take both files of the same model.",
      );

    const placeholder = "<image>";
    const imageTokenId = imageToken(placeholder);
    const place = (name: string) => `<fake_token_around_image>${name}${placeholder.repeat(tokens)}`;
    const text = ({ rows, columns }: Tiling) => {
      const whole = `${place("<global-img>")}<fake_token_around_image>`;
      if (rows === 0) return whole;
      const lines = Array.from({ length: rows }, (_, r) =>
        Array.from({ length: columns }, (_, c) => place(`<row_${r + 1}_col_${c + 1}>`)).join(""),
      );
      return `${lines.join("\n")}\n\n${whole}`;
    };
    const first = (picture: Size): Size => (resizes ? resized(picture, longest) : picture);

    const patches = (pixels: RgbPixels, left: number, top: number): PictureTile => {
      const length = 3 * patch * patch;
      const out = new Float32Array(grid * grid * length);
      for (let i = 0; i < grid * grid; i++) {
        const [x, y] = [left + (i % grid) * patch, top + Math.floor(i / grid) * patch];
        writePatch(pixels, x, y, patch, colours, 1, out, i * length);
      }
      return { patches: out, rows: grid, columns: grid, tokens };
    };

    return {
      placeholder,
      imageTokenId,
      measure(picture) {
        const tiling = splits ? tilingOf(first(picture), side) : SINGLE;
        return { tokens: tokens * (tiling.rows * tiling.columns + 1), text: text(tiling) };
      },
      process(pixels) {
        const size = first(pixels);
        const once = resize(pixels, size.width, size.height, filter);
        const tiling = splits ? tilingOf(size, side) : SINGLE;
        const tiles: PictureTile[] = [];
        let whole = once;
        if (tiling.rows > 0) {
          whole = resize(once, tiling.columns * side, tiling.rows * side, filter);
          for (let r = 0; r < tiling.rows; r++)
            for (let c = 0; c < tiling.columns; c++) tiles.push(patches(whole, c * side, r * side));
        }
        tiles.push(patches(resize(whole, side, side, filter), 0, 0));
        return { text: text(tiling), tiles };
      },
    } satisfies PictureProcessor;
  },
};

/** The size at which the longer side has `longest` pixels. The other one is even. */
function resized({ width, height }: Size, longest: number): Size {
  const ratio = width / height;
  const even = (side: number) => Math.max(1, side % 2 === 0 ? side : side + 1);
  const scaled =
    width >= height
      ? { width: longest, height: even(Math.trunc(longest / ratio)) }
      : { width: even(Math.trunc(longest * ratio)), height: longest };
  return below(scaled);
}

function below({ width, height }: Size): Size {
  const ratio = width / height;
  if (width >= height && width > LARGEST_SIDE)
    return { width: LARGEST_SIDE, height: Math.max(1, Math.trunc(LARGEST_SIDE / ratio)) };
  if (height > width && height > LARGEST_SIDE)
    return { width: Math.max(1, Math.trunc(LARGEST_SIDE * ratio)), height: LARGEST_SIDE };
  return { width, height };
}

/** Tiles beside the whole picture; 0 by 0: there are none. */
interface Tiling {
  rows: number;
  columns: number;
}

const SINGLE: Tiling = { rows: 0, columns: 0 };

/** Both sides are rounded up to whole tiles, the shorter one after its aspect was restored. */
function tilingOf({ width, height }: Size, side: number): Tiling {
  const ratio = width / height;
  const up = (length: number) => Math.max(1, Math.ceil(length / side));
  const [columns, rows] =
    width >= height
      ? [up(width), up(Math.trunc((up(width) * side) / ratio))]
      : [up(Math.trunc(up(height) * side * ratio)), up(height)];
  return rows > 1 || columns > 1 ? { rows, columns } : SINGLE;
}
