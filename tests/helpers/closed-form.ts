/** Weights that follow from tensor name and index alone; tools/goldens/decoder.py computes the same. */

import { expectedWeights } from "../../src/policy/decoder-weights.ts";
import type { DecoderConfig, NamedTensor, TokenBatch, WeightSource } from "../../src/policy/interfaces.ts";

/** FNV-1a of the name, mixed with the index by MurmurHash3's finaliser, to [-1, 1). */
export function closedFormUnit(name: string, index: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  let x = (hash + Math.imul(index, 2654435761)) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 31 - 1;
}

export function closedForm(name: string, shape: readonly number[]): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  const module = name.endsWith(".weight") ? name.slice(0, -".weight".length) : "";
  const norm = module.includes("norm") || module.includes(".ln_");
  const scale = shape.length === 1 ? 0.1 : 0.3;
  return Float32Array.from({ length: size }, (_, i) => {
    const u = closedFormUnit(name, i);
    return norm ? 1 + 0.1 * u : scale * u;
  });
}

/** Weights held in memory, for policies of tests. */
export function memoryWeights(tensors: readonly NamedTensor[]): WeightSource {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    names: [...byName.keys()],
    shape: (name) => byName.get(name)!.shape,
    dtype: () => "F32",
    read: (name) => byName.get(name)!.data,
    close: () => {},
  };
}

export function closedFormTensors(config: DecoderConfig): NamedTensor[] {
  return [...expectedWeights(config)].map(([name, { shape }]) => ({
    name,
    shape,
    data: closedForm(name, shape),
  }));
}

/** Rows of one sample each, padded on the right; every token but the first of a row is scored. */
export function plainBatch(rows: readonly (readonly number[])[], length?: number): TokenBatch {
  const width = length ?? Math.max(...rows.map((row) => row.length));
  const batch = emptyBatch(rows.length, width);
  const scoredAt: number[] = [];
  const targets: number[] = [];
  for (const [r, row] of rows.entries()) {
    for (const [i, id] of row.entries()) {
      const at = r * width + i;
      batch.tokens[at] = id;
      batch.segments[at] = 1;
      batch.positions[at] = i;
      if (i === 0) continue;
      scoredAt.push(at - 1);
      targets.push(id);
    }
  }
  return { ...batch, scoredAt: Int32Array.from(scoredAt), targets: Int32Array.from(targets) };
}

export function emptyBatch(rows: number, length: number): TokenBatch {
  return {
    rows,
    length,
    tokens: new Int32Array(rows * length),
    segments: new Int32Array(rows * length),
    positions: new Int32Array(rows * length),
    scoredAt: new Int32Array(0),
    targets: new Int32Array(0),
  };
}
