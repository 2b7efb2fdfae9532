/** Graphs are told apart by their structure: equal where their text is, and only there. */
import { describe, expect, it } from "vitest";
import { emitModule } from "../../../src/backend/xla/emit.ts";
import { hostValue, type Value } from "../../../src/backend/xla/graph.ts";
import {
  add,
  compare,
  constant,
  multiply,
  reduce,
  reshape,
  scale,
  select,
  transpose,
  unary,
  whileLoop,
} from "../../../src/backend/xla/hlo.ts";
import { type GraphStructure, StructureMap, structureOf } from "../../../src/backend/xla/structure.ts";
import { createRng } from "../../../src/lib/rng.ts";

const numbers = (shape: readonly number[]) =>
  hostValue("f32", shape, new Float32Array(shape.reduce((a, b) => a * b, 1)), true);
const scalar = (value: number) => hostValue("f32", [], Float32Array.of(value));
const text = (outputs: readonly Value[]) => emitModule(outputs, () => true).text;
const equal = (a: GraphStructure, b: GraphStructure) => {
  const map = new StructureMap<true>();
  map.set(a, true);
  return map.get(b) === true;
};

/** A graph of random operations on squares; the same for the same seed. */
function randomGraph(seed: number, operations: number): Value[] {
  const rng = createRng(seed);
  const values = [numbers([3, 3]), numbers([3, 3]), scalar(2)];
  const pick = (i: number, k: number) => values[rng.fork(i).integer(values.length, k)]!;
  for (let i = 0; i < operations; i++) {
    const [x, y] = [pick(i, 0), pick(i, 1)];
    const makers: (() => Value)[] = [
      () => add(x, y),
      () => multiply(y, x),
      () => unary("tanh", x),
      () => unary("exponential", x),
      () => scale(x, 3),
      () => (x.shape.length === 2 ? transpose(x, [1, 0]) : x),
      () => (x.shape.length === 2 ? reduce("add", x, [rng.fork(i).integer(2, 3)]) : reshape(x, x.shape)),
      () => select(compare("LT", x, constant("f32", 1)), x, y),
      () =>
        whileLoop(
          [constant("i32", 0), x],
          ([count]) => compare("LT", count!, constant("i32", 2)),
          ([count, sum]) => [add(count!, constant("i32", 1)), multiply(sum!, scalar(i))],
        )[1]!,
    ];
    values.push(makers[rng.fork(i).integer(makers.length, 2)]!());
  }
  return values.slice(-2).filter(({ pending }) => pending);
}

describe("structure of graphs", () => {
  it("of 60 random graphs, twice each: the same where the text is the same, else another", () => {
    const graphs = Array.from({ length: 120 }, (_, i) => randomGraph(i % 60, 2 + (i % 5))).filter(
      (outputs) => outputs.length > 0,
    );
    const seen = graphs.map((outputs) => ({ structure: structureOf(outputs), text: text(outputs) }));
    let matches = 0;
    for (const [i, a] of seen.entries()) {
      for (const b of seen.slice(i + 1)) {
        expect(equal(a.structure, b.structure)).toBe(a.text === b.text);
        if (a.text === b.text) matches++;
      }
    }
    expect(matches).toBeGreaterThanOrEqual(55);
  });

  it("numbers of the host do not count, operands and their order do", () => {
    const [x, y] = [numbers([4]), numbers([4])];
    expect(equal(structureOf([multiply(x, scalar(2))]), structureOf([multiply(y, scalar(5))]))).toBe(true);
    expect(structureOf([multiply(x, scalar(2))]).scalars.map(({ definition }) => definition.kind)).toEqual([
      "host",
    ]);
    const difference = (a: Value, b: Value) => [add(unary("negate", a), b), unary("abs", a)];
    expect(equal(structureOf(difference(x, y)), structureOf(difference(y, x)))).toBe(true);
    const [p, q] = [unary("abs", x), unary("tanh", y)];
    expect(equal(structureOf([add(p, q), p]), structureOf([add(q, p), p]))).toBe(false);
    expect(equal(structureOf([p, q]), structureOf([q, p]))).toBe(false);
    const product = (factor: Value) => structureOf([multiply(add(p, q), factor)]);
    expect(equal(product(p), product(p))).toBe(true);
    expect(equal(product(p), product(q))).toBe(false);
    expect(equal(structureOf([scale(x, 2)]), structureOf([scale(x, 3)]))).toBe(false);
  });
});
