import { createRng } from "../../src/lib/rng.ts";
import { zeroWeights } from "../../src/policy/decoder-weights.ts";
import type { NamedTensor } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";

/** Weights of a model of which only shapes, and that numbers are of ordinary size, matter: the same draws again and again. */
export function ordinaryWeights(config: Readonly<Record<string, unknown>>, name: string): NamedTensor[] {
  const shapes = zeroWeights(parseModelConfig(config, "shape"));
  const stream = createRng(1).fork(name);
  const drawn = Float32Array.from({ length: 65_521 }, (_, i) => 0.02 * stream.normal(i));
  return shapes.names.map((weight) => {
    const shape = shapes.shape(weight);
    return {
      name: weight,
      shape,
      // made when it is written, so that a model never stands in memory whole
      get data() {
        const size = shape.reduce((a, b) => a * b, 1);
        const one = /norm\d?\.weight$/.test(weight);
        return Float32Array.from({ length: size }, one ? () => 1 : (_, i) => drawn[i % drawn.length]!);
      },
    };
  });
}
