/** The pictures of a golden that shows some: pixels by formula, cut into patches as the processor does. */
import { parseModelConfig } from "../../src/policy/model-config.ts";
import type { PictureTile, PromptPictures } from "../../src/types.ts";
import { closedForm } from "./closed-form.ts";

/** @returns null for a model that sees none */
export function goldenPictures(
  config: Readonly<Record<string, unknown>>,
  ids: readonly number[],
): PromptPictures | null {
  const { vision } = parseModelConfig(config, "golden");
  if (vision === null) return null;
  const [, channels, patch] = vision.patch.shape as [number, number, number];
  const side = Math.sqrt(vision.positions.count);
  const size = side * patch;
  const pixels = closedForm("pixels", [1, 2, channels, size, size]);
  const tiles = [0, 1].map((picture): PictureTile => {
    const patches: number[] = [];
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        for (let c = 0; c < channels; c++) {
          for (let y = 0; y < patch; y++) {
            const line = ((picture * channels + c) * size + row * patch + y) * size + column * patch;
            for (let x = 0; x < patch; x++) patches.push(pixels[line + x]!);
          }
        }
      }
    }
    const tokens = side ** 2 / vision.connector.scale ** 2;
    return { patches: Float32Array.from(patches), rows: side, columns: side, tokens };
  });
  const at = ids.flatMap((id, i) => (id === vision.imageTokenId ? [i] : []));
  return { tiles, at: Int32Array.from(at) };
}
