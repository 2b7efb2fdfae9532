/** Rotary position embedding: inverse frequencies with every published scaling, and cos/sin tables. */
import { ModelFileError } from "../lib/errors.ts";
import type { RotaryConfig } from "./interfaces.ts";

type Json = Readonly<Record<string, unknown>>;

export interface RopeFrequencies {
  /** [D/2] */
  inverse: Float64Array;
  /** Factor on cos and sin; 1 but for yarn and longrope. */
  attentionFactor: number;
  /** The frequencies hold for so many positions, where those are fewer than the model's; else null. */
  positions: number | null;
}

/** What parameters of any type may hold. */
const KEYS = new Set([
  "type",
  "rope_type",
  "rope_theta",
  "partial_rotary_factor",
  "factor",
  "original_max_position_embeddings",
  "attention_factor",
  "beta_fast",
  "beta_slow",
  "mscale",
  "mscale_all_dim",
  "truncate",
  "low_freq_factor",
  "high_freq_factor",
  "short_factor",
  "long_factor",
  // parts of the three position rows, which are equal in text
  "mrope_section",
  "mrope_interleaved",
  // a remark of YaRN's first files
  "finetuned",
]);

/**
 * Inverse frequencies theta^(-2i/D), scaled as `parameters.rope_type` says. D is what is turned of a head.
 * @param parameters `rope_scaling` of older files or `rope_parameters` of newer ones; {} for none
 * @param where the file and key, for messages
 * @throws ModelFileError for an unknown type or a missing or impossible number
 */
export function ropeFrequencies(
  parameters: Json,
  model: { theta: number; headDim: number; maxPositions: number },
  where: string,
): RopeFrequencies {
  const { theta, headDim, maxPositions } = model;
  const inverse = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  const number = (key: string, fallback?: number): number => {
    const value = parameters[key] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
      const found = parameters[key] === undefined ? "is missing" : `= ${JSON.stringify(parameters[key])}`;
      throw new ModelFileError(`${where}.${key} ${found}: rope_type "${type}" needs a positive number there`);
    }
    return value;
  };
  const type = parameters["rope_type"] ?? parameters["type"] ?? "default";
  const strange = Object.keys(parameters).find((key) => !KEYS.has(key) && parameters[key] != null);
  if (strange !== undefined) {
    throw new ModelFileError(
      `${where}.${strange} = ${JSON.stringify(parameters[strange])}: this key is not known, and RoPE is never computed in part`,
    );
  }
  const plain = { inverse, attentionFactor: 1, positions: null };
  switch (type) {
    case "default":
    case "mrope": // for text all three position rows are equal, which is the default
      return plain;
    case "linear": {
      const factor = number("factor");
      return { ...plain, inverse: inverse.map((value) => value / factor) };
    }
    case "dynamic":
      // beyond max_position_embeddings theta depends on the length, so a cache built earlier would be wrong
      number("factor");
      return plain;
    case "llama3":
      return {
        ...plain,
        inverse: llama3(inverse, {
          factor: number("factor"),
          low: number("low_freq_factor"),
          high: number("high_freq_factor"),
          original: number("original_max_position_embeddings"),
        }),
      };
    case "yarn": {
      const factor = number("factor");
      return {
        ...plain,
        inverse: yarn(inverse, {
          factor,
          theta,
          headDim,
          fast: number("beta_fast", 32),
          slow: number("beta_slow", 1),
          original: number("original_max_position_embeddings", maxPositions),
          truncate: parameters["truncate"] !== false,
        }),
        attentionFactor: yarnAttentionFactor(parameters, factor),
      };
    }
    case "longrope": {
      // beyond the original length every position, also the first, is turned by other factors
      const original = number("original_max_position_embeddings", maxPositions);
      const factor = number("factor", maxPositions / original);
      const scale = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
      const divisors = factorList(parameters, "short_factor", inverse.length, where);
      return {
        inverse: inverse.map((value, i) => value / divisors[i]!),
        attentionFactor: number("attention_factor", scale),
        positions: original,
      };
    }
    default:
      throw new ModelFileError(
        `${where}.rope_type = ${JSON.stringify(type)} is not supported; ` +
          "known are default, linear, dynamic, llama3, yarn and longrope",
      );
  }
}

/** LongRoPE, arXiv:2402.13753: a divisor of each frequency. */
function factorList(parameters: Json, key: string, length: number, where: string): number[] {
  const list = parameters[key];
  const fits =
    Array.isArray(list) &&
    list.length === length &&
    list.every((value) => typeof value === "number" && value > 0);
  if (!fits)
    throw new ModelFileError(`${where}.${key}: rope_type "longrope" needs ${length} positive numbers there`);
  return list;
}

/** Llama 3.1: long wavelengths are divided by `factor`, short ones kept, those between blended. */
function llama3(
  inverse: Float64Array,
  { factor, low, high, original }: { factor: number; low: number; high: number; original: number },
): Float64Array {
  return inverse.map((value) => {
    const wavelength = (2 * Math.PI) / value;
    if (wavelength < original / high) return value;
    if (wavelength > original / low) return value / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * value) / factor + smooth * value;
  });
}

/** YaRN, arXiv:2309.00071 section 3.2: a ramp over dimensions between kept and interpolated frequencies. */
function yarn(
  inverse: Float64Array,
  options: {
    factor: number;
    theta: number;
    headDim: number;
    fast: number;
    slow: number;
    original: number;
    truncate: boolean;
  },
): Float64Array {
  const { factor, theta, headDim, fast, slow, original, truncate } = options;
  const dimensionOf = (rotations: number) =>
    (headDim * Math.log(original / (2 * Math.PI * rotations))) / (2 * Math.log(theta));
  const bound = (value: number, round: (x: number) => number) => (truncate ? round(value) : value);
  const low = Math.max(bound(dimensionOf(fast), Math.floor), 0);
  let high = Math.min(bound(dimensionOf(slow), Math.ceil), headDim - 1);
  if (high === low) high += 0.001;
  return inverse.map((value, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (value / factor) * ramp + value * (1 - ramp);
  });
}

/** YaRN's factor on cos and sin, arXiv:2309.00071 eq. 22 (0.1 ln(s) + 1), unless the file says otherwise. */
function yarnAttentionFactor(parameters: Json, factor: number): number {
  const given = parameters["attention_factor"];
  if (typeof given === "number") return given;
  const scale = (k: number) => (factor <= 1 ? 1 : 0.1 * k * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: all } = parameters;
  if (typeof mscale === "number" && typeof all === "number" && mscale !== 0 && all !== 0) {
    return scale(mscale) / scale(all);
  }
  return scale(1);
}

/**
 * cos and sin of position * inverse frequency, the attention factor multiplied in. The angle is rounded to
 * float32 as the reference implementations do.
 * @param positions [N]
 * @returns two arrays [N, D/2]
 */
export function ropeTables(
  positions: ArrayLike<number>,
  rope: RotaryConfig,
): { cos: Float32Array; sin: Float32Array } {
  const inverse = Float32Array.from(rope.inverse);
  const half = inverse.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let n = 0; n < positions.length; n++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(positions[n]! * inverse[i]!);
      cos[n * half + i] = Math.cos(angle) * rope.attentionFactor;
      sin[n * half + i] = Math.sin(angle) * rope.attentionFactor;
    }
  }
  return { cos, sin };
}
