/** The pictures of a golden that shows some: pixels by formula, as tools/goldens/decoder.py has them. */
import { parseModelConfig } from "../../src/policy/model-config.ts";
import type { PictureTile, PromptPictures } from "../../src/types.ts";
import { closedForm } from "./closed-form.ts";

/** Grids of the two pictures where tiles have any size, in patches. */
const GRIDS = [
  [6, 10],
  [4, 4],
] as const;

/** @returns null for a model that sees none */
export function goldenPictures(
  config: Readonly<Record<string, unknown>>,
  ids: readonly number[],
): PromptPictures | null {
  const { vision } = parseModelConfig(config, "golden");
  if (vision === null) return null;
  const at = ids.flatMap((id, i) => (id === vision.imageTokenId ? [i] : []));
  const { scale } = vision.connector;
  const { positions } = vision;
  const tiles =
    positions.kind === "learned"
      ? squareTiles(vision.patch.shape, positions.count)
      : gridTiles(vision.patch.shape);
  return {
    tiles: tiles.map((tile) => ({ ...tile, tokens: (tile.rows * tile.columns) / scale ** 2 })),
    at: Int32Array.from(at),
  };
}

type Tile = Omit<PictureTile, "tokens">;

/** Pixels [1, 2, 3, size, size], cut into patches row by row. */
function squareTiles(shape: readonly number[], count: number): Tile[] {
  const [, channels, patch] = shape as [number, number, number];
  const side = Math.sqrt(count);
  const size = side * patch;
  const pixels = closedForm("pixels", [1, 2, channels, size, size]);
  return [0, 1].map((picture) => {
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
    return { patches: Float32Array.from(patches), rows: side, columns: side };
  });
}

/** Patches of all pictures, one after the other, as the processor gives them. */
function gridTiles(shape: readonly number[]): Tile[] {
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  const counts = GRIDS.map(([rows, columns]) => rows * columns);
  const pixels = closedForm("pixels", [counts[0]! + counts[1]!, inputs]);
  return GRIDS.map(([rows, columns], i) => {
    const begin = i === 0 ? 0 : counts[0]! * inputs;
    return { patches: pixels.slice(begin, begin + counts[i]! * inputs), rows, columns };
  });
}
