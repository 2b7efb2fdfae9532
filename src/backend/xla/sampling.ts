/** Sampling inside a program: the arithmetic of src/rollouts/sample-token.ts on values. */
import type { Value } from "./graph.ts";
import {
  add,
  and,
  bitcast,
  broadcast,
  compare,
  constant,
  convert,
  divide,
  dotGeneral,
  gather,
  iota,
  maximum,
  minimum,
  multiply,
  pad,
  reduce,
  reshape,
  scale,
  select,
  shift,
  subtract,
  unary,
} from "./hlo.ts";

export interface SamplingParameters {
  /** 0 is greedy. */
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
}

export interface Draw {
  /** [B], i32; -1 where the logits hold no finite maximum. */
  token: Value;
  /** [B] */
  logprob: Value;
  /** [B] */
  entropy: Value;
}

/** Ids whose weights are summed one by one within a block, once the block is known. */
const BLOCK = 256;

/**
 * One token for each row.
 * @param logits [B, V]
 * @param uniform draws in [0, 1), [B]
 * @param constraint ids that must or must not be drawn, -1 for none, [B]; null: no constraints at all
 */
export function sampleRow(
  logits: Value,
  uniform: Value,
  options: SamplingParameters,
  constraint: { force: Value; ban: Value } | null,
): Draw {
  const [rows, vocabulary] = logits.shape as [number, number];
  const greedy = options.temperature === 0;
  const max = reduce("maximum", logits, [1], true);
  const z = scale(subtract(logits, max), greedy ? 1 : 1 / options.temperature);
  const mass = unary("exponential", z);
  const total = reduce("add", mass, [1]); // [B]
  const logTotal = unary("log", total);
  // 0 * -Infinity is NaN
  const moment = reduce("add", multiply(mass, maximum(z, constant("f32", -1e30))), [1]);
  const entropy = maximum(subtract(logTotal, divide(moment, total)), constant("f32", 0));

  const ids = iota("i32", [rows, vocabulary], 1);
  const column = (x: Value) => reshape(x, [rows, 1]);
  const banned = constraint === null ? null : compare("EQ", ids, column(constraint.ban));
  const without = (x: Value) => (banned === null ? x : select(banned, constant("f32", 0), x));
  // mass of the likeliest token that may be drawn is largest; ties go to the lowest id
  const allowed = banned === null ? mass : select(banned, constant("f32", -1), mass);
  const best = reduce(
    "minimum",
    select(compare("EQ", allowed, reduce("maximum", allowed, [1], true)), ids, constant("i32", vocabulary)),
    [1],
  );
  let token = greedy ? best : drawFrom(without(truncated(mass, total, options)), uniform);
  if (constraint !== null) {
    token = select(compare("GE", constraint.force, constant("i32", 0)), constraint.force, token);
  }
  const chosen = reduce("add", select(compare("EQ", ids, column(token)), z, constant("f32", 0)), [1]);
  const healthy = compare("LT", unary("abs", reshape(max, [rows])), constant("f32", 3e38));
  const finite = and(healthy, compare("EQ", total, total));
  return {
    token: select(finite, token, constant("i32", -1)),
    logprob: subtract(chosen, logTotal),
    entropy,
  };
}

/** Weights with those outside of top_k, top_p and min_p set to 0. @param mass exp(z), its maximum 1. [B, V] */
function truncated(mass: Value, total: Value, { top_k, top_p, min_p }: SamplingParameters): Value {
  let kept = mass;
  let sum = total;
  const keep = (threshold: Value) => {
    kept = select(compare("GE", kept, threshold), kept, constant("f32", 0));
  };
  if (top_k > 0 && top_k < mass.shape[1]!) {
    const count = (candidates: Value) => reduce("add", convert(candidates, "f32"), [1]);
    keep(largestThreshold(kept, (above) => compare("GE", count(above), constant("f32", top_k))));
    sum = reduce("add", kept, [1]);
  }
  if (top_p < 1) {
    const wanted = scale(sum, top_p);
    const source = kept;
    const massOf = (above: Value) => reduce("add", select(above, source, constant("f32", 0)), [1]);
    keep(largestThreshold(kept, (above) => compare("GE", massOf(above), wanted)));
  }
  if (min_p > 0) keep(constant("f32", min_p));
  return kept;
}

/**
 * The largest weight t such that `enough(weights >= t)`, by bisection on the bits: those of positive floats are in
 * the order of the numbers.
 * @param enough of the tokens above a threshold [B, V] to a decision per row [B]; true for all tokens
 * @returns [B, 1]
 */
function largestThreshold(weights: Value, enough: (above: Value) => Value): Value {
  const rows = weights.shape[0]!;
  let found = constant("i32", 0, [rows]);
  for (let bit = 29; bit >= 0; bit--) {
    const candidate = shift(found, 2 ** bit);
    const threshold = bitcast(candidate, "f32");
    const above = compare("GE", weights, reshape(threshold, [rows, 1]));
    found = select(enough(above), candidate, found);
  }
  return reshape(bitcast(found, "f32"), [rows, 1]);
}

/** Inverse CDF in id order. @param weights [B, V], not negative @param uniform [B] @returns [B], i32 */
function drawFrom(weights: Value, uniform: Value): Value {
  const [rows, vocabulary] = weights.shape as [number, number];
  if (vocabulary <= BLOCK) return position(weights, multiply(uniform, reduce("add", weights, [1])));
  // the block first, then the token within it
  const blocks = Math.ceil(vocabulary / BLOCK);
  const padded = pad(
    weights,
    [
      [0, 0],
      [0, blocks * BLOCK - vocabulary],
    ],
    0,
  );
  const grid = reshape(padded, [rows, blocks, BLOCK]);
  const sums = reduce("add", grid, [2]); // [B, blocks]
  const target = multiply(uniform, reduce("add", sums, [1]));
  const block = position(sums, target); // [B]
  const before = select(
    compare("LT", iota("i32", [rows, blocks], 1), reshape(block, [rows, 1])),
    sums,
    constant("f32", 0),
  );
  const left = subtract(target, reduce("add", before, [1]));
  const flat = reshape(grid, [rows * blocks, BLOCK]);
  const row = add(multiply(iota("i32", [rows], 0), constant("i32", blocks)), block);
  const inside = position(gather(flat, row, 0), left);
  return add(multiply(block, constant("i32", BLOCK)), inside);
}

/** First index at which the running sum exceeds `target`; the last of positive weight where rounding leaves none. */
function position(weights: Value, target: Value): Value {
  const [rows, width] = weights.shape as [number, number];
  const square = [width, width];
  const triangle = convert(compare("LE", iota("i32", square, 0), iota("i32", square, 1)), "f32");
  const running = dotGeneral(weights, triangle, { batching: [[], []], contracting: [[1], [0]] }, "f32", true);
  const passed = compare("LE", running, broadcast(reshape(target, [rows, 1]), [rows, width]));
  const index = reduce("add", convert(passed, "i32"), [1]);
  const last = reduce(
    "maximum",
    select(compare("GT", weights, constant("f32", 0)), iota("i32", [rows, width], 1), constant("i32", 0)),
    [1],
  );
  return minimum(index, last);
}
