/** Sampling inside a program: the arithmetic of src/rollouts/sample-token.ts on values. */
import type { Value } from "./graph.ts";
import {
  add,
  and,
  binary,
  bitcast,
  broadcast,
  compare,
  constant,
  convert,
  divide,
  dotGeneral,
  gatherInRows,
  iota,
  maximum,
  minimum,
  multiply,
  or,
  pad,
  reduce,
  reshape,
  scale,
  select,
  subtract,
  unary,
  whileLoop,
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
  const best = likeliest(z, ids, banned);
  let token = best;
  if (!greedy) {
    const kept = truncated(mass, total, ids, options);
    const weights = banned === null ? kept : select(banned, constant("f32", 0), kept);
    // nothing is left where all that was likely is banned
    const some = compare("GT", reduce("maximum", weights, [1]), constant("f32", 0));
    token = select(some, drawFrom(weights, uniform), best);
  }
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

/** The largest that is not banned, ties to the lowest id; id 0 or 1 where nothing is possible. @param z [B, V] */
function likeliest(z: Value, ids: Value, banned: Value | null): Value {
  const vocabulary = constant("i32", z.shape[1]!);
  const allowed = banned === null ? z : select(banned, constant("f32", -Infinity), z);
  const largest = compare("EQ", allowed, reduce("maximum", allowed, [1], true));
  const hit = banned === null ? largest : and(largest, unary("not", banned));
  return reduce("minimum", select(hit, ids, vocabulary), [1]);
}

/** Weights with those outside of top_k, top_p and min_p set to 0. @param mass exp(z), its maximum 1. [B, V] */
function truncated(
  mass: Value,
  total: Value,
  ids: Value,
  { top_k, top_p, min_p }: SamplingParameters,
): Value {
  let kept = mass;
  let sum = total;
  const only = (which: Value) => select(which, kept, constant("f32", 0));
  if (top_k > 0 && top_k < mass.shape[1]!) {
    const count = (chosen: Value) => reduce("add", convert(chosen, "f32"), [1]);
    kept = only(firstEnough(kept, ids, (chosen) => compare("GE", count(chosen), constant("f32", top_k))));
    sum = reduce("add", kept, [1]);
  }
  if (top_p < 1) {
    const wanted = scale(sum, top_p);
    const massOf = (chosen: Value) => reduce("add", only(chosen), [1]);
    kept = only(firstEnough(kept, ids, (chosen) => compare("GE", massOf(chosen), wanted)));
  }
  if (min_p > 0) kept = only(compare("GE", kept, constant("f32", min_p)));
  return kept;
}

/**
 * The likeliest tokens, ties by id, up to the first that makes them enough.
 * @param enough of a choice of tokens [B, V] to a decision per row [B]; more tokens are never less
 * @returns i1, [B, V]
 */
function firstEnough(weights: Value, ids: Value, enough: (chosen: Value) => Value): Value {
  const [rows, vocabulary] = weights.shape as [number, number];
  const column = (x: Value) => reshape(x, [rows, 1]);
  const none = constant("i32", 0, [rows]);
  // weights are at most 1, and the bits of positive floats are in the order of the numbers
  const bits = largest(none, constant("i32", 2 ** 29), (candidate) =>
    enough(compare("GE", weights, column(bitcast(candidate, "f32")))),
  );
  const threshold = column(bitcast(bits, "f32"));
  const above = compare("GT", weights, threshold);
  const ties = compare("EQ", weights, threshold);
  // most often there is one
  const several = compare("GT", reduce("add", convert(ties, "f32"), [1]), constant("f32", 1));
  const matters = and(several, compare("GT", bits, none));
  const highest = 2 ** Math.floor(Math.log2(Math.max(1, vocabulary - 1)));
  const first = select(reduce("or", matters, [0]), constant("i32", highest), constant("i32", 0));
  const upTo = (id: Value, direction: "LT" | "LE") =>
    or(above, and(ties, compare(direction, ids, column(id))));
  const last = largest(none, first, (candidate) => unary("not", enough(upTo(candidate, "LT"))));
  return or(above, and(ties, or(compare("LE", ids, column(last)), unary("not", column(matters)))));
}

/**
 * The largest sum of `step` and the halves of it such that `holds`, per row, by bisection; 0 where none does.
 * @param step a power of two, or 0 for no search, scalar
 * @param holds for all numbers up to some number, [B] to [B]
 */
function largest(none: Value, step: Value, holds: (candidate: Value) => Value): Value {
  const one = constant("i32", 1);
  const [found] = whileLoop(
    [none, step],
    ([, size]) => compare("GT", size!, constant("i32", 0)),
    ([before, size]) => {
      const candidate = add(before!, size!);
      return [select(holds(candidate), candidate, before!), binary("shift_right_logical", size!, one)];
    },
  );
  return found!;
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
  const chosen = gatherInRows(grid, reshape(block, [rows, 1])); // [B, 1, BLOCK]
  const inside = position(reshape(chosen, [rows, BLOCK]), left);
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
