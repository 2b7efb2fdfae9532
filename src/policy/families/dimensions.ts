/** Keys that most families share: dimensions, rotary tables, windows. */
import { ModelFileError } from "../../lib/errors.ts";
import type { DecoderConfig, RotaryConfig } from "../interfaces.ts";
import { ropeFrequencies } from "../rope.ts";
import type { ConfigReader, Json } from "./reader.ts";

export interface Dimensions {
  hiddenSize: number; // H
  intermediateSize: number; // I
  layers: number; // L
  heads: number; // Nh
  keyValueHeads: number; // Nk
  headDim: number; // D
  maxPositions: number;
}

/** What a family's class in transformers (5) assumes for a key that the file lacks. */
export interface DimensionDefaults {
  /** "heads": as many as heads, and so does null say; a number: null is refused. */
  keyValueHeads: "heads" | { absent: number; nullable: boolean };
  /** A number: null is refused; absent: H / Nh. */
  headDim?: number;
  maxPositions: number;
}

export function readDimensions(reader: ConfigReader, defaults: DimensionDefaults): Dimensions {
  const { family, json } = reader;
  const hiddenSize = reader.count("hidden_size", "width");
  const intermediateSize = reader.count("intermediate_size", "size");
  const layers = reader.count("num_hidden_layers", "layers");
  const heads = reader.count("num_attention_heads", "heads");
  const shared = defaults.keyValueHeads;
  const nullable = shared === "heads" || shared.nullable;
  if (json["num_key_value_heads"] === null && !nullable) {
    reader.fail("num_key_value_heads", `${family} needs a number`);
  }
  const keyValueHeads =
    reader.raw("num_key_value_heads") === null
      ? heads
      : reader.count("num_key_value_heads", "heads", shared === "heads" ? heads : shared.absent);
  if (heads % keyValueHeads !== 0) {
    reader.refuse(
      `num_attention_heads = ${heads} is not a multiple of num_key_value_heads = ${keyValueHeads}`,
    );
  }
  const headDim = readHeadDim(reader, hiddenSize, heads, defaults.headDim);
  const maxPositions = reader.count("max_position_embeddings", "positions", defaults.maxPositions);
  return { hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim, maxPositions };
}

/** @param fallback null is refused where there is one; else H / Nh */
export function readHeadDim(
  reader: ConfigReader,
  hiddenSize: number,
  heads: number,
  fallback?: number,
): number {
  const given = reader.raw("head_dim");
  if (given === null && fallback !== undefined) reader.fail("head_dim", `${reader.family} needs a number`);
  const headDim = given == null ? (fallback ?? hiddenSize / heads) : reader.count("head_dim", "headDim");
  if (!Number.isInteger(headDim)) {
    reader.refuse(
      `hidden_size = ${hiddenSize} is not a multiple of num_attention_heads = ${heads}, and there is no head_dim`,
    );
  }
  if (headDim % 2 !== 0) {
    reader.refuse(`head_dim = ${headDim}: rotary embedding needs an even number`);
  }
  return headDim;
}

export type Positions = Pick<DecoderConfig, "maxPositions" | "positionsKey">;

const LONGROPE_LIMIT =
  "original_max_position_embeddings: beyond it longrope turns every position by other factors, which is not supported";

export interface RopeDefaults {
  theta: number;
  /** Other names of theta and of the share of a head that is turned, at the top of older files. */
  thetaKey?: string;
  shareKey?: string;
  /** Share of a head that is turned where the file says nothing. Families without this have no such key. */
  share?: number;
}

/** The parameters as the file has them, older spelling or newer. `rope_scaling` replaces `rope_parameters` whole. */
function ropeObject(reader: ConfigReader): { parameters: Json; key: string } {
  const key = reader.raw("rope_scaling") != null ? "rope_scaling" : "rope_parameters";
  reader.raw("rope_parameters");
  const found = reader.json[key];
  if (found == null) return { parameters: {}, key };
  if (typeof found !== "object" || Array.isArray(found)) reader.fail(key, "null or an object is needed");
  return { parameters: found as Json, key };
}

const KINDS = ["full_attention", "sliding_attention"] as const;

/** One rotary table for all layers. */
export function readRotary(
  reader: ConfigReader,
  { headDim, maxPositions }: Pick<Dimensions, "headDim" | "maxPositions">,
  defaults: RopeDefaults,
): { rotary: RotaryConfig; positions: Positions } {
  let { parameters, key } = ropeObject(reader);
  const nested = KINDS.filter((kind) => typeof parameters[kind] === "object");
  if (nested.length > 0) {
    const [first, second] = nested.map((kind) => JSON.stringify(parameters[kind]));
    if (second !== undefined && first !== second) {
      reader.refuse(
        `${key} differs between full_attention and sliding_attention layers, which ${reader.family} does not have`,
      );
    }
    parameters = parameters[nested[0]!] as Json;
    key = `${key}.${nested[0]}`;
  }
  return tableOf(reader, parameters, key, headDim, maxPositions, defaults);
}

/**
 * A table for layers of full attention and one for those with a window. In older files `rope_scaling` speaks of the first
 * alone.
 */
export function readRotaryByKind(
  reader: ConfigReader,
  { headDim, maxPositions }: Pick<Dimensions, "headDim" | "maxPositions">,
  defaults: { full: RopeDefaults; sliding: RopeDefaults },
): { full: RotaryConfig; sliding: RotaryConfig; positions: Positions } {
  const scaling = reader.raw("rope_scaling");
  const both = reader.raw("rope_parameters") ?? {};
  for (const [key, value] of [
    ["rope_scaling", scaling],
    ["rope_parameters", both],
  ] as const) {
    if (value != null && (typeof value !== "object" || Array.isArray(value)))
      reader.fail(key, "null or an object is needed");
  }
  const strange = Object.keys(both as Json).find((key) => !(KINDS as readonly string[]).includes(key));
  if (strange !== undefined) {
    reader.refuse(
      `rope_parameters.${strange} is beside its place: ${reader.family} has parameters for ${KINDS.join(" and for ")}`,
    );
  }
  const own = (kind: (typeof KINDS)[number]) => ((both as Json)[kind] ?? {}) as Json;
  const full = { ...own("full_attention"), ...((scaling ?? {}) as Json) };
  const key = scaling == null ? "rope_parameters.full_attention" : "rope_scaling";
  const fullTable = tableOf(reader, full, key, headDim, maxPositions, defaults.full);
  const sliding = tableOf(
    reader,
    own("sliding_attention"),
    "rope_parameters.sliding_attention",
    headDim,
    maxPositions,
    defaults.sliding,
  );
  return {
    full: fullTable.rotary,
    sliding: sliding.rotary,
    positions:
      sliding.positions.maxPositions < fullTable.positions.maxPositions
        ? sliding.positions
        : fullTable.positions,
  };
}

function tableOf(
  reader: ConfigReader,
  parameters: Json,
  key: string,
  headDim: number,
  maxPositions: number,
  defaults: RopeDefaults,
): { rotary: RotaryConfig; positions: Positions } {
  const { file } = reader;
  // from the object where it is there, else from a key of its own at the top
  const keyOf = (name: string, top: string, fallback: number) => {
    const own = reader.raw(top);
    const inside = parameters[name] !== undefined;
    return { value: inside ? parameters[name] : (own ?? fallback), named: inside ? `${key}.${name}` : top };
  };
  const { value: theta, named: thetaKey } = keyOf(
    "rope_theta",
    defaults.thetaKey ?? "rope_theta",
    defaults.theta,
  );
  if (typeof theta !== "number" || !(theta > 0)) {
    throw new ModelFileError(`${file}: ${thetaKey} = ${JSON.stringify(theta)}: a positive number is needed`);
  }
  const { value: share, named: shareKey } = keyOf(
    "partial_rotary_factor",
    defaults.shareKey ?? "partial_rotary_factor",
    defaults.share ?? 1,
  );
  if (typeof share !== "number" || !(share > 0 && share <= 1)) {
    return reader.refuse(`${shareKey} = ${JSON.stringify(share)}: a number above 0, at most 1, is needed`);
  }
  if (defaults.share === undefined && share !== 1) {
    reader.refuse(`${shareKey} = ${share}: ${reader.family} turns whole heads`);
  }
  const turned = Math.trunc(headDim * share);
  if (turned % 2 !== 0 || turned < 2) {
    reader.refuse(`${shareKey} = ${share} of head_dim = ${headDim}: rotary embedding needs an even number`);
  }
  const original = reader.raw("original_max_position_embeddings");
  const frequencies = ropeFrequencies(
    original == null ? parameters : { original_max_position_embeddings: original, ...parameters },
    { theta, headDim: turned, maxPositions },
    `${file}: ${key}`,
  );
  return {
    rotary: { inverse: frequencies.inverse, attentionFactor: frequencies.attentionFactor },
    positions:
      frequencies.positions === null || frequencies.positions >= maxPositions
        ? { maxPositions, positionsKey: "max_position_embeddings" }
        : { maxPositions: frequencies.positions, positionsKey: LONGROPE_LIMIT },
  };
}

export type LayerKind = "full_attention" | "sliding_attention";

/** `layer_types`, or null where the file has none. */
export function readLayerTypes<T extends string = LayerKind>(
  reader: ConfigReader,
  layers: number,
  known: readonly T[],
): T[] | null {
  const declared = reader.raw("layer_types");
  if (declared == null) return null;
  if (
    !Array.isArray(declared) ||
    declared.length < layers ||
    declared.some((kind) => !known.includes(kind as T))
  ) {
    return reader.fail("layer_types", `a list of ${layers} times ${known.join(" or ")} is needed`);
  }
  return (declared as T[]).slice(0, layers);
}

/** `sliding_window`: keys, or null for none. */
export function readWindow(reader: ConfigReader, fallback: number | null): number | null {
  const found = reader.raw("sliding_window");
  const size = found === undefined ? fallback : found;
  if (size !== null && (!Number.isInteger(size) || (size as number) < 1)) {
    reader.fail("sliding_window", "null or a positive integer is needed");
  }
  return size as number | null;
}

/** The window of each layer that `kinds` calls sliding. */
export function windowsOf(kinds: readonly string[], window: number | null): (number | null)[] {
  return kinds.map((kind) => (kind === "sliding_attention" ? window : null));
}
