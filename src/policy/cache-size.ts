/** What rows that are decoded hold: the one place that planner and server ask. */
import type { DecoderConfig, LayerConfig } from "./interfaces.ts";

/** Keys and values of all layers, and what convolutions remember, float32 bytes. */
export function cacheBytes(
  { layers, hiddenSize }: DecoderConfig,
  { rows, length }: { rows: number; length: number },
): number {
  const ofRow = ({ mixer }: LayerConfig): number =>
    mixer.kind === "short-conv"
      ? (mixer.kernel - 1) * hiddenSize
      : 2 * mixer.keyValueHeads * mixer.headDim * length;
  return 4 * rows * layers.reduce((sum, layer) => sum + ofRow(layer), 0);
}
