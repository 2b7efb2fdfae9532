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
  gatherInRows,
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
 * On several devices each does that with its own rows, and their sums are added: none waits for another's rows.
 * @param indices [N, 1] or [N], i32
 * @param updates [N, ...rest]
 * @returns [rows, ...rest]
 */
export function orderedScatterAdd(backend: LazyBackend, rows: number, indices: Value, updates: Value): Value {
  const [count, ...rest] = updates.shape as [number, ...number[]];
  const { devices } = backend;
  const strips = count % devices === 0 ? devices : 1;
  const own = count / strips;
  if (own < 2) return scatterAdd(rows, indices, updates);
  const width = rest.reduce((product, n) => product * n, 1);
  // index and place in one number, so that equal indices keep their order
  const length = constant("i64", own);
  const given = reshape(indices, [strips, own]);
  // outside the result, as `scatterAdd` leaves them out; a key must not be negative
  const known = select(compare("LT", given, constant("i32", 0)), constant("i32", rows), given);
  const key = add(multiply(convert(known, "i64"), length), iota("i64", [strips, own], 1));
  const sorted = sort(backend.byRows(key));
  const index = convert(binary("divide", sorted, length), "i32"); // [strips, own]
  const place = convert(binary("remainder", sorted, length), "i32");
  let sums = gatherInRows(backend.byRows(reshape(updates, [strips, own, width])), place);
  const none = [0, 0] as const;
  for (let by = 1; by < own; by *= 2) {
    const equal = compare(
      "EQ",
      slice(index, [0, by], [strips, own - by]),
      slice(index, [0, 0], [strips, own - by]),
    );
    const before = slice(sums, [0, 0, 0], [strips, own - by, width]);
    const same = broadcast(reshape(equal, [strips, own - by, 1]), before.shape);
    sums = add(sums, pad(select(same, before, constant(sums.type, 0)), [none, [by, 0], none], 0));
  }
  // the last row of an index holds its sum; the others go nowhere, each to a row of its own that does not exist
  const next = slice(index, [0, 1], [strips, own - 1]);
  const ends = compare("NE", next, slice(index, [0, 0], [strips, own - 1]));
  const last = compare("NE", pad(convert(ends, "i32"), [none, [0, 1]], 1), constant("i32", 0));
  const nowhere = add(reshape(iota("i32", [count], 0), [strips, own]), constant("i32", rows));
  const at = backend.byRows(reshape(select(last, index, nowhere), [count]));
  // no index comes twice on a device
  const added = scatterAdd(rows, at, backend.byRows(reshape(sums, [count, width])), strips === 1);
  return reshape(added, [rows, ...rest]);
}

/** Sums of rows by index as this engine makes them: a CPU's scatter has one order anyway, and is the shorter way there. */
export function sumByIndex(backend: LazyBackend, rows: number, indices: Value, updates: Value): Value {
  return backend.executor.platform === "cpu"
    ? scatterAdd(rows, indices, updates)
    : orderedScatterAdd(backend, rows, indices, updates);
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
      `"stablehlo.sort"(${a}) <{dimension = 1 : i64, is_stable = false}> ({ ^bb0(%left: ${scalar}, %right: ${scalar}): %first = stablehlo.compare LT, %left, %right, SIGNED : (${scalar}, ${scalar}) -> tensor<i1> stablehlo.return %first : tensor<i1> }) : (${x.text}) -> ${x.text}`,
  );
}
