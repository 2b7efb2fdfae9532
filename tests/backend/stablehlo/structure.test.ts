/** Graphs are told apart by their structure: equal where their text is, and only there. */
import { describe, expect, it } from "vitest";
import { emitModule } from "../../../src/backend/stablehlo/emit.ts";
import { hostValue, type Value } from "../../../src/backend/stablehlo/graph.ts";
import {
  add,
  binary,
  bitcast,
  broadcast,
  compare,
  concatenate,
  constant,
  convert,
  dotGeneral,
  dynamicSlice,
  dynamicUpdateSlice,
  finite,
  forgetConstants,
  gather,
  iota,
  multiply,
  pad,
  reduce,
  reshape,
  reverse,
  scale,
  scatterAdd,
  select,
  slice,
  transpose,
  unary,
  whileLoop,
} from "../../../src/backend/stablehlo/hlo.ts";
import { type GraphStructure, StructureMap, structureOf } from "../../../src/backend/stablehlo/structure.ts";
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

  it("of every operation, with attributes and types that differ: apart where the text is", () => {
    const a = numbers([4, 6]);
    const b = numbers([4, 6]);
    const n = hostValue("i32", [4, 6], new Int32Array(24), true);
    const at = hostValue("i32", [], Int32Array.of(1), true);
    const zero = constant("i32", 0);
    const dot = (contract: number, exact = false) =>
      dotGeneral(a, b, { batching: [[], []], contracting: [[contract], [contract]] }, "f32", exact);
    const graphs: Value[] = [
      ...(["add", "subtract", "maximum", "power"] as const).flatMap((name) => [
        binary(name, a, b),
        binary(name, n, n),
      ]),
      ...(["add", "maximum", "minimum"] as const).flatMap((name) => [
        reduce(name, a, [0]),
        reduce(name, a, [1]),
        reduce(name, n, [1]),
      ]),
      ...(["EQ", "NE", "LT"] as const).flatMap((way) => [compare(way, a, b), compare(way, n, n)]),
      ...(["exponential", "negate"] as const).map((name) => unary(name, a)),
      unary("negate", n),
      convert(a, "i32"),
      convert(n, "f32"),
      bitcast(a, "i32"),
      bitcast(a, "u32"),
      finite(a),
      reshape(a, [24]),
      reshape(a, [6, 4]),
      broadcast(at, [4, 6]),
      broadcast(at, [2, 6]),
      broadcast(reshape(reduce("add", a, [0]), [1, 6]), [4, 6]),
      transpose(a, [1, 0]),
      ...[
        [0, 2, 1],
        [1, 0, 2],
        [2, 1, 0],
      ].map((order) => transpose(reshape(a, [2, 2, 6]), order)),
      reverse(a, [0]),
      reverse(a, [1]),
      slice(a, [0, 0], [2, 6]),
      slice(a, [2, 0], [2, 6]),
      slice(a, [0, 0], [2, 6], [2, 1]),
      dynamicSlice(a, [at, zero], [2, 6]),
      dynamicSlice(a, [zero, at], [2, 6]),
      dynamicSlice(a, [at, zero], [1, 6]),
      dynamicUpdateSlice(a, slice(b, [0, 0], [2, 6]), [at, zero]),
      dynamicUpdateSlice(a, slice(b, [0, 0], [1, 6]), [at, zero]),
      concatenate([a, b], 0),
      concatenate([a, b], 1),
      pad(
        a,
        [
          [0, 1],
          [0, 0],
        ],
        0,
      ),
      pad(
        a,
        [
          [1, 0],
          [0, 0],
        ],
        0,
      ),
      iota("i32", [4, 6], 0),
      iota("i32", [4, 6], 1),
      dot(0),
      dot(1),
      dot(1, true),
      gather(a, iota("i32", [3], 0), 0),
      gather(a, iota("i32", [3], 0), 1),
      scatterAdd(9, iota("i32", [4], 0), a),
      scatterAdd(8, iota("i32", [4], 0), a),
      select(compare("LT", a, b), a, b),
      select(compare("LT", a, b), b, a),
      scale(a, 2),
      scale(a, 3),
      scale(a, 0),
      scale(a, -0),
    ];
    const known = graphs.map((value) => ({ text: text([value]), structure: structureOf([value]) }));
    let apart = 0;
    for (const [i, x] of known.entries()) {
      for (const y of known.slice(i)) {
        expect(equal(x.structure, y.structure), `${x.text}\n${y.text}`).toBe(x.text === y.text);
        apart += Number(x.text !== y.text);
      }
    }
    expect(apart).toBe((known.length * (known.length - 1)) / 2);
  });

  it("scalars and their repetitions stand once in a program, -0 apart from 0", () => {
    const [a, b] = [numbers([4, 6]), numbers([4, 6])];
    const sum = add(add(scale(a, 3), scale(b, 3)), add(scale(a, 0), scale(b, -0)));
    const lines = text([sum]).split("\n");
    const constants = lines.filter((line) => line.includes("stablehlo.constant"));
    expect(constants.map((line) => /dense<(\w+)>/.exec(line)![1])).toEqual([
      "0x40400000",
      "0x00000000",
      "0x80000000",
    ]);
    expect(lines.filter((line) => line.includes("broadcast_in_dim"))).toHaveLength(3);
    const before = constant("f32", 3);
    expect(constant("f32", 3)).toBe(before);
    forgetConstants();
    expect(constant("f32", 3)).not.toBe(before);
  });
});
