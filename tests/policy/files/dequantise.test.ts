import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ggmlType, ggmlTypeByName } from "../../../src/policy/files/dequantise.ts";
import { floatToHalf } from "../../../src/policy/files/half.ts";

const golden = JSON.parse(readFileSync("tests/golden/files/weights.json", "utf8")).blocks as Record<
  string,
  { bytes: string; f32: string }
>;

type Field = { half: number } | { bytes: number; salt: number };
const half = (value: number): Field => ({ half: value });
const bytes = (count: number, salt: number): Field => ({ bytes: count, salt });

/** Fields in block order, bytes filled with (37 i + 11 salt + 5) mod 256. */
function block(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    fields.flatMap((field) => {
      if ("half" in field) {
        const bits = floatToHalf(field.half);
        return [bits & 255, bits >> 8];
      }
      return Array.from({ length: field.bytes }, (_, i) => (37 * i + 11 * field.salt + 5) % 256);
    }),
  );
}

test.each<[string, Field[], number[], number, number]>([
  ["Q8_0", [half(0.25), bytes(32, 8)], [23.25, -31.5, -22.25, -13], -108, 11619],
  ["Q4_0", [half(0.25), bytes(16, 2)], [0.75, -2, -0.75, 0.5], -3.75, 43.4375],
  ["Q4_1", [half(0.25), half(-1.5), bytes(16, 3)], [0, 1.25, -1.5, -0.25], 7, 43],
  ["Q5_0", [half(0.25), bytes(4, 6), bytes(16, 7)], [0.5, 1.75, 3, -3.75], -6, 137.125],
  ["Q5_1", [half(0.25), half(-1.5), bytes(4, 6), bytes(16, 7)], [3, 4.25, 5.5, -1.25], 74, 307.125],
  [
    "Q4_K",
    [half(0.0625), half(0.125), bytes(12, 12), bytes(128, 13)],
    [-1.375, 1.4375, 4.25, -1.9375],
    3873,
    112974.625,
  ],
  [
    "Q5_K",
    [half(0.0625), half(0.125), bytes(12, 12), bytes(32, 14), bytes(128, 13)],
    [7.625, 1.4375, 13.25, -1.9375],
    8800,
    522072.75,
  ],
  ["Q6_K", [bytes(128, 15), bytes(64, 16), bytes(16, 17), half(0.0625)], [24, -60, -80, 92], 286, 1666082],
])("%s decodes the hand-made block", (name, fields, first, sum, squares) => {
  const type = ggmlTypeByName(name);
  const data = block(fields);
  expect(data.length).toBe(type.bytes);
  const out = new Float32Array(type.block);
  type.decode(data, out);
  expect([...out.subarray(0, 4)]).toEqual(first);
  expect(out.reduce((a, x) => a + x, 0)).toBe(sum);
  expect(out.reduce((a, x) => a + x * x, 0)).toBe(squares);
});

test("random blocks decode bit for bit as ggml's own Python package does", () => {
  expect(Object.keys(golden).length).toBe(8);
  for (const [name, { bytes: data, f32 }] of Object.entries(golden)) {
    const expected = new Float32Array(new Uint8Array(Buffer.from(f32, "base64")).buffer);
    const out = new Float32Array(expected.length);
    ggmlTypeByName(name).decode(new Uint8Array(Buffer.from(data, "base64")), out);
    expect(new Uint32Array(out.buffer), name).toEqual(new Uint32Array(expected.buffer));
  }
});

test("plain types", () => {
  const out = new Float32Array(2);
  ggmlTypeByName("F16").decode(Uint8Array.of(0x55, 0x35, 0x00, 0xc0), out);
  expect([...out]).toEqual([0.333251953125, -2]);
  ggmlTypeByName("BF16").decode(Uint8Array.of(0x80, 0x3f, 0x49, 0xc0), out);
  expect([...out]).toEqual([1, -3.140625]);
  ggmlTypeByName("F32").decode(new Uint8Array(new Float32Array([1e-30, 7]).buffer), out);
  expect(out).toEqual(new Float32Array([1e-30, 7]));
});

test("unsupported types are named with what would do", () => {
  expect(ggmlType(23)).toMatch(/has GGUF type IQ4_XS \(23\), which is not supported; use F16, .*Q6_K/);
  expect(ggmlType(99)).toMatch(/has GGUF type 99/);
});
