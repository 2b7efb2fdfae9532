import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  bfloat16ToFloat,
  float32BitsToBfloat16,
  float32BitsToHalf,
  floatToBfloat16,
  floatToHalf,
  halfTable,
} from "../../../src/policy/files/half.ts";

const golden = JSON.parse(readFileSync("tests/golden/files/weights.json", "utf8")).rounding as Record<
  string,
  string
>;
const bytes = (text: string): ArrayBuffer => new Uint8Array(Buffer.from(text, "base64")).buffer;

test.each([
  [1.00390625, 0x3f80],
  [1.01171875, 0x3f82],
  [0.1, 0x3dcd],
  [3.14159274, 0x4049],
  [3.4028235e38, 0x7f80],
  [-0, 0x8000],
])("bfloat16 of %f", (value, bits) => {
  expect(floatToBfloat16(value)).toBe(bits);
});

test.each([
  [65519.99, 0x7bff],
  [65520, 0x7c00],
  [-65520, 0xfc00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.0001, 0x0001],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
])("float16 of %f", (value, bits) => {
  expect(floatToHalf(value)).toBe(bits);
});

test("decoding", () => {
  const table = halfTable();
  expect(table[0x3555]).toBe(0.333251953125);
  expect(table[0x03ff]).toBe(Math.fround(6.097555160522461e-5));
  expect(table[0xfc00]).toBe(-Infinity);
  expect(Object.is(table[0x8000], -0)).toBe(true);
  expect(bfloat16ToFloat(0x4049)).toBe(3.140625);
});

test("NaN stays NaN", () => {
  expect(halfTable()[floatToHalf(Number.NaN)]).toBeNaN();
  expect(bfloat16ToFloat(floatToBfloat16(Number.NaN))).toBeNaN();
  expect(bfloat16ToFloat(float32BitsToBfloat16(0x7f800001))).toBeNaN();
});

test("every half-precision value survives the round trip", () => {
  const table = halfTable();
  const bits = new Uint32Array(table.buffer);
  const back = Uint16Array.from(bits, float32BitsToHalf);
  const expected = Uint16Array.from(table, (value, half) => (Number.isNaN(value) ? 0x7e00 : half));
  expect(back).toEqual(expected);
});

test("rounds as PyTorch does", () => {
  const bits = new Uint32Array(bytes(golden["f32"]!));
  expect(bits.length).toBeGreaterThan(2000);
  expect(Uint16Array.from(bits, float32BitsToBfloat16)).toEqual(new Uint16Array(bytes(golden["bf16"]!)));
  expect(Uint16Array.from(bits, float32BitsToHalf)).toEqual(new Uint16Array(bytes(golden["f16"]!)));
});
