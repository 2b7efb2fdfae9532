/**
 * Multimodal rotary positions (Qwen2-VL, arXiv:2409.12191 section 2.1): a token has a time, a row and a column. They are equal in
 * text; in a picture the time stands still, and what follows begins after its longer side.
 */
import type { PictureTile, PromptPictures } from "../types.ts";
import type { RotaryConfig, TokenBatch } from "./interfaces.ts";
import { ropeTables } from "./rope.ts";

/** Time, row and column of each token. [N] each */
export type AxisPositions = readonly [Int32Array, Int32Array, Int32Array];

/** Rows of image tokens and tokens of a row. */
function tokenGrid({ rows, columns, tokens }: PictureTile): { height: number; width: number } {
  const merged = Math.sqrt((rows * columns) / tokens);
  return { height: rows / merged, width: columns / merged };
}

/** How far the position after a prompt is from the number of its tokens: pictures take fewer positions than tokens. */
export function positionShift(pictures: PromptPictures | null | undefined): number {
  return (pictures?.tiles ?? []).reduce((shift, tile) => {
    const { height, width } = tokenGrid(tile);
    return shift + Math.max(height, width) - tile.tokens;
  }, 0);
}

/** Positions of a batch's tokens, made when they are first asked for; those of padding mean nothing. */
export function axisPositionsOf(batch: TokenBatch): () => AxisPositions {
  let made: AxisPositions | null = null;
  return () => {
    made ??= axisPositions(batch);
    return made;
  };
}

function axisPositions({ rows, length, segments, shared, pictures }: TokenBatch): AxisPositions {
  const size = rows * length;
  const axes: AxisPositions = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
  const put = (at: number, ...values: readonly [number, number, number]) => {
    for (const [axis, value] of values.entries()) axes[axis]![at] = value;
  };
  for (let row = 0; row < rows; row++) {
    let next = 0;
    /** Position of the first token of the picture that is being passed. */
    let begin = 0;
    let segment = 0;
    let behindPrompt = 0;
    for (let slot = 0; slot < length; slot++) {
      const at = row * length + slot;
      if (segments[at] !== segment && !shared) next = 0;
      segment = segments[at]!;
      if (shared) {
        const own = slot - shared.promptLength;
        if (own === 0) behindPrompt = next;
        if (own >= 0 && own % shared.completionLength === 0) next = behindPrompt;
      }
      if (segment === 0) continue;
      const shown = pictures?.rows[at] ?? -1;
      if (shown < 0) {
        put(at, next, next, next);
        next++;
        continue;
      }
      const { tiles, tileTokens } = pictures!;
      const tile = tiles[Math.floor(shown / tileTokens)]!;
      const { height, width } = tokenGrid(tile);
      const k = shown % tileTokens;
      if (k === 0) begin = next;
      put(at, begin, begin + Math.floor(k / width), begin + (k % width));
      next = begin + Math.max(height, width);
    }
  }
  return axes;
}

/** The slots from..to of each row. */
export function sliced(
  axes: AxisPositions,
  rows: number,
  length: number,
  from: number,
  to: number,
): AxisPositions {
  const cut = (values: Int32Array): Int32Array => {
    const out = new Int32Array(rows * (to - from));
    for (let row = 0; row < rows; row++) {
      out.set(values.subarray(row * length + from, row * length + to), row * (to - from));
    }
    return out;
  };
  return [cut(axes[0]), cut(axes[1]), cut(axes[2])];
}

/** cos and sin where frequency k turns with the axis of its section. @returns [N, D/2] each */
export function axisTables(
  axes: AxisPositions,
  rotary: RotaryConfig,
): { cos: Float32Array; sin: Float32Array } {
  const [first, ...rest] = axes.map((positions) => ropeTables(positions, rotary));
  const { cos, sin } = first!;
  const half = rotary.inverse.length;
  let begin = rotary.sections![0];
  for (const [axis, table] of rest.entries()) {
    const end = begin + rotary.sections![axis + 1]!;
    for (let at = 0; at < cos.length; at += half) {
      cos.set(table.cos.subarray(at + begin, at + end), at + begin);
      sin.set(table.sin.subarray(at + begin, at + end), at + begin);
    }
    begin = end;
  }
  return { cos, sin };
}
