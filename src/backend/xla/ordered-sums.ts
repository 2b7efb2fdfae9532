/** Sums of rows by index whose order is fixed: on a GPU a scatter adds in the order in which its threads come by. */
import { typeText } from "./executor.ts";
import { operation, type Value } from "./graph.ts";
import {
  add,
  binary,
  broadcast,
  compare,
  constant,
  convert,
  gather,
  iota,
  multiply,
  pad,
  reshape,
  scatterAdd,
  select,
  slice,
} from "./hlo.ts";
import type { LazyBackend } from "./lazy-backend.ts";

/**
 * `scatterAdd`, the same bits every time: rows are sorted by index, summed in pairs, and the sum of each index is written once.
 * @param indices [N, 1] or [N], i32
 * @param updates [N, ...rest]
 * @returns [rows, ...rest]
 */
export function orderedScatterAdd(rows: number, indices: Value, updates: Value): Value {
  const count = updates.shape[0]!;
  if (count < 2) return scatterAdd(rows, indices, updates);
  // index and place in one number, so that equal indices keep their order
  const length = constant("i64", count);
  const given = reshape(indices, [count]);
  // outside the result, as `scatterAdd` leaves them out; a key must not be negative
  const known = select(compare("LT", given, constant("i32", 0)), constant("i32", rows), given);
  const key = add(multiply(convert(known, "i64"), length), iota("i64", [count], 0));
  const sorted = sort(key);
  const index = convert(binary("divide", sorted, length), "i32"); // [N]
  const place = convert(binary("remainder", sorted, length), "i32");
  let sums = gather(updates, place, 0);
  for (let by = 1; by < count; by *= 2) {
    const equal = compare("EQ", slice(index, [by], [count - by]), slice(index, [0], [count - by]));
    const before = slice(
      sums,
      sums.shape.map(() => 0),
      [count - by, ...sums.shape.slice(1)],
    );
    const added = select(columns(equal, before), before, constant(sums.type, 0));
    sums = add(
      sums,
      pad(
        added,
        sums.shape.map((_, i) => (i === 0 ? [by, 0] : [0, 0])),
        0,
      ),
    );
  }
  // the last row of an index holds its sum; the others go nowhere, each to a row of its own that does not exist
  const next = slice(index, [1], [count - 1]);
  const ends = compare("NE", next, slice(index, [0], [count - 1]));
  const last = pad(convert(ends, "i32"), [[0, 1]], 1);
  const nowhere = add(iota("i32", [count], 0), constant("i32", rows));
  return scatterAdd(rows, select(compare("NE", last, constant("i32", 0)), index, nowhere), sums, true);
}

/** How an engine sums rows by index: a CPU's scatter has one order anyway, and is the shorter way there. */
export function sumsByIndex({ executor }: LazyBackend): typeof orderedScatterAdd {
  return executor.platform === "cpu" ? scatterAdd : orderedScatterAdd;
}

/** [N] beside every element of rows like `x`. */
function columns(condition: Value, x: Value): Value {
  return broadcast(reshape(condition, [x.shape[0]!, ...x.shape.slice(1).map(() => 1)]), x.shape);
}

function sort(x: Value): Value {
  const scalar = typeText({ type: x.type, shape: [] });
  return operation(
    x.type,
    x.shape,
    x.text,
    [x],
    -1,
    ([a]) =>
      `"stablehlo.sort"(${a}) <{dimension = 0 : i64, is_stable = false}> ({ ^bb0(%left: ${scalar}, %right: ${scalar}): %first = stablehlo.compare LT, %left, %right, SIGNED : (${scalar}, ${scalar}) -> tensor<i1> stablehlo.return %first : tensor<i1> }) : (${x.text}) -> ${x.text}`,
  );
}
