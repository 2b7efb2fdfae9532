/** What rows that are decoded hold: the one place that planner and server ask. */
import type { DecoderConfig, LayerConfig, RecurrentConfig } from "./interfaces.ts";

/** Keys and values of all layers, and the states of recurrences, float32 bytes. */
export function cacheBytes(
  { layers }: DecoderConfig,
  { rows, length }: { rows: number; length: number },
): number {
  const ofRow = ({ mixer }: LayerConfig): number =>
    mixer.kind === "attention" ? 2 * mixer.keyValueHeads * mixer.headDim * length : stateSize(mixer);
  return 4 * rows * layers.reduce((sum, layer) => sum + ofRow(layer), 0);
}

/** Numbers that a row of a recurrence remembers, whatever its length: the convolution's last inputs, and memories. */
function stateSize(mixer: RecurrentConfig): number {
  const inputs = (mixer.conv.kernel - 1) * mixer.conv.channels;
  return mixer.kind === "short-conv" ? inputs : inputs + mixer.valueHeads * mixer.keyDim * mixer.valueDim;
}
