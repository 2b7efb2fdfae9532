/** What a tower that nothing trains makes of pictures: computed once for each, however many steps and completions they are in. */
import * as tf from "@tensorflow/tfjs";
import type { PictureTile } from "../types.ts";

/** Bytes kept on the device. */
const MOST_BYTES = 2 ** 28;

export class PictureFeatures {
  private readonly compute: (tile: PictureTile) => tf.Tensor2D;
  private readonly settle: () => void;
  private readonly mostBytes: number;
  /** In the order of their last use. [tokens, H] */
  private readonly kept = new Map<PictureTile, tf.Tensor2D>();
  private bytes = 0;

  /**
   * @param compute rows of one tile
   * @param settle ends a program: what a tile becomes may not depend on what is computed beside it
   */
  constructor(
    compute: (tile: PictureTile) => tf.Tensor2D,
    settle: () => void,
    mostBytes: number = MOST_BYTES,
  ) {
    this.compute = compute;
    this.settle = settle;
    this.mostBytes = mostBytes;
  }

  /** Tiles whose rows are kept. */
  get count(): number {
    return this.kept.size;
  }

  /** Makes the rows of these tiles, before a pass that reads them begins; others may be let go. */
  look(tiles: Iterable<PictureTile>): void {
    const wanted = new Set(tiles);
    for (const tile of wanted) {
      const known = this.kept.get(tile);
      this.kept.delete(tile);
      this.kept.set(tile, known ?? this.made(tile));
    }
    for (const [tile, rows] of this.kept) {
      if (this.bytes <= this.mostBytes || wanted.has(tile)) return;
      this.kept.delete(tile);
      this.bytes -= 4 * rows.size;
      rows.dispose();
    }
  }

  /** @returns [tokens, H]; stays this object's */
  of(tile: PictureTile): tf.Tensor2D {
    const known = this.kept.get(tile);
    if (known !== undefined) return known;
    const made = this.made(tile);
    this.kept.set(tile, made);
    return made;
  }

  private made(tile: PictureTile): tf.Tensor2D {
    this.settle();
    const rows = tf.tidy(() => tf.keep(this.compute(tile)));
    this.settle();
    this.bytes += 4 * rows.size;
    return rows;
  }

  dispose(): void {
    tf.dispose([...this.kept.values()]);
    this.kept.clear();
    this.bytes = 0;
  }
}
