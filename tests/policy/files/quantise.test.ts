import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { WRITTEN_TYPES, writtenType } from "../../../src/policy/files/quantise.ts";

/** Written by tools/goldens/quantise.py with ggml's Python package. */
const golden = JSON.parse(readFileSync("tests/golden/files/quantise.json", "utf8")) as {
  f32: string;
  types: Record<string, string>;
};
const values = new Float32Array(Uint8Array.from(Buffer.from(golden.f32, "base64")).buffer);

test.each(Object.keys(golden.types))("%s is written bit for bit as ggml's Python package does", (name) => {
  const type = writtenType(name as (typeof WRITTEN_TYPES)[number]);
  expect(Buffer.from(type.encode(values)).toString("base64")).toBe(golden.types[name]);
});

test.each(WRITTEN_TYPES)("%s: what is written and read is written the same again", (name) => {
  const type = writtenType(name);
  const read = new Float32Array(values.length);
  const bytes = Uint8Array.from(type.encode(values));
  type.decode(bytes, read);
  const largest = Math.max(...values.map(Math.abs));
  const step = { F32: 0, F16: 2 ** -11, BF16: 2 ** -8, Q8_0: 1 / 127, Q4_0: 1 / 8 }[name];
  for (const [i, value] of values.entries()) {
    expect(Math.abs(read[i]! - value)).toBeLessThanOrEqual(step * largest + 1e-8);
  }
  // a quantised block's extreme value is one of its levels, so that nothing moves the second time
  const again = new Float32Array(values.length);
  type.decode(Uint8Array.from(type.encode(read)), again);
  for (const [i, value] of read.entries()) expect(again[i]).toBeCloseTo(value, name === "Q8_0" ? 3 : 6);
});
