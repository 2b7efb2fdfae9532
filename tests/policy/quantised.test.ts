import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { NF4_LEVELS } from "../../src/backend/quantised.ts";
import { ggmlTypeByName } from "../../src/policy/files/dequantise.ts";
import {
  dequantised,
  fitsForm,
  formOf,
  fromBlocks,
  quantised,
  zeroMatrix,
} from "../../src/policy/quantised.ts";
import { normals } from "../helpers/tensors.ts";

/** Written by tools/goldens/quantise.py with ggml's Python package. */
const golden = JSON.parse(readFileSync("tests/golden/files/quantise.json", "utf8")) as {
  f32: string;
  types: Record<string, string>;
};
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const values = new Float32Array(bytesOf(golden.f32).buffer);

describe.each([
  ["q8_0", "Q8_0"],
  ["q4_0", "Q4_0"],
] as const)("%s", (form, name) => {
  const rows = 2;
  const columns = values.length / rows;
  const blocks = bytesOf(golden.types[name]!);

  it("codes and scales of ggml's blocks stand for what ggml reads in them", () => {
    const want = new Float32Array(values.length);
    ggmlTypeByName(name).decode(blocks, want);
    expect(dequantised(fromBlocks(form, blocks, rows, columns))).toEqual(want);
  });

  it("numbers become the codes that ggml's own package makes of them", () => {
    expect(quantised(form, values, rows, columns)).toEqual(fromBlocks(form, blocks, rows, columns));
  });
});

describe("nf4", () => {
  it("a block whose numbers are levels is hit exactly, whatever its scale", () => {
    const block = Float32Array.from({ length: 128 }, (_, i) => 3 * NF4_LEVELS[(5 * i) % 16]!);
    const matrix = quantised("nf4", block, 2, 64);
    expect([...matrix.scales]).toEqual([3, 3]);
    // code 5 i mod 16 of row 0 in the lower bits, of row 1, 64 numbers later, in the upper ones
    expect([...matrix.codes.slice(0, 4)]).toEqual([0x00, 0x55, 0xaa, 0xff]);
    expect(dequantised(matrix)).toEqual(block);
  });

  it("each number goes to the level next to it", () => {
    const numbers = normals(3, 256);
    const read = dequantised(quantised("nf4", numbers, 4, 64));
    for (const [i, number] of numbers.entries()) {
      const scale = Math.max(...numbers.slice(i - (i % 64), i - (i % 64) + 64).map(Math.abs));
      const nearest = Math.min(...NF4_LEVELS.map((level) => Math.abs(level * scale - number)));
      expect(Math.abs(read[i]! - number)).toBeCloseTo(nearest, 6);
    }
  });

  it("a block of zeros stays one", () => {
    expect([...dequantised(quantised("nf4", new Float32Array(128), 2, 64))]).toEqual(new Array(128).fill(0));
  });
});

it("which form a matrix has", () => {
  expect(formOf("q4_0", null, false)).toBe("q4_0");
  expect(formOf("q4_0", "q8_0", true)).toBe("q8_0");
  expect(formOf("nf4", null, true)).toBe("q8_0");
  expect(formOf("keep", "q4_0", true)).toBe("q4_0");
  expect(formOf("keep", null, false)).toBeNull();
  expect(fitsForm("q8_0", 3, 96)).toBe(true);
  expect(fitsForm("q8_0", 4, 80)).toBe(false);
  expect(fitsForm("q4_0", 3, 96)).toBe(false);
  expect(fitsForm("nf4", 4, 96)).toBe(false);
  expect(dequantised(zeroMatrix("q8_0", 2, 32))).toEqual(new Float32Array(64));
});
