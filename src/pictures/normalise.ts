import type { RgbPixels } from "../types.ts";
import { FILTERS, type Filter, isFilter } from "./resize.ts";
import type { Settings } from "./settings.ts";

/** What becomes of a colour value of 8 bits. [3, 256] */
export type ColourTable = readonly Float32Array[];

/** `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean` and `image_std`, rounded to float32 where the reference rounds. */
export function colourTable(
  settings: Settings,
  mean: readonly number[],
  std: readonly number[],
): ColourTable {
  const rescale = settings.flag("do_rescale", true);
  const factor = settings.number("rescale_factor", 1 / 255);
  const normalise = settings.flag("do_normalize", true);
  const means = settings.colours("image_mean", mean).map(Math.fround);
  const stds = settings.colours("image_std", std).map(Math.fround);
  if (stds.includes(0)) settings.fault("image_std", "nothing can be divided by 0", "Mend the file.");
  return means.map((shift, c) =>
    Float32Array.from({ length: 256 }, (_, value) => {
      const scaled = rescale ? Math.fround(value * factor) : value;
      return normalise ? Math.fround(scaled - shift) / stds[c]! : scaled;
    }),
  );
}

export function resampling(settings: Settings, absent: Filter): Filter {
  const value = settings.get("resample") ?? absent;
  if (isFilter(value)) return value;
  const known = Object.entries(FILTERS).map(([number, { name }]) => `${number} (${name})`);
  return settings.fault("resample", "there is no such filter here", `There are ${known.join(", ")}.`);
}

/** Keys that processors of transformers save and that change nothing where one picture is read at a time. */
export function ignoreCommonKeys(settings: Settings): void {
  settings.ignore(
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "auto_map",
    "_valid_processor_keys",
  );
  settings.ignore("device", "disable_grouping", "return_tensors", "default_to_square", "crop_size");
  settings.only("data_format", ["channels_first"], "patches are cut channel by channel");
  settings.only("do_convert_rgb", [true], "pictures always become red, green and blue here");
  settings.only("do_center_crop", [false], "pictures are not cropped here");
  settings.only("input_data_format", [], "pictures come from files here");
}

/** A square of a picture as a patch: channel, then row, then column. `repeat` times each channel, as for frames. */
export function writePatch(
  { width, data }: RgbPixels,
  left: number,
  top: number,
  side: number,
  colours: ColourTable,
  repeat: number,
  out: Float32Array,
  to: number,
): void {
  const area = side * side;
  for (let c = 0; c < 3; c++) {
    const table = colours[c]!;
    const channel = to + c * repeat * area;
    for (let y = 0, at = channel; y < side; y++) {
      const from = ((top + y) * width + left) * 3 + c;
      for (let x = 0; x < side; x++) out[at++] = table[data[from + 3 * x]!]!;
    }
    for (let frame = 1; frame < repeat; frame++)
      out.copyWithin(channel + frame * area, channel, channel + area);
  }
}
