import { expect, it } from "vitest";
import type { Fault } from "../../src/config/faults.ts";
import { parseSource, toValue } from "../../src/config/source.ts";

function read(text: string): { value: unknown; faults: Fault[] } {
  const faults: Fault[] = [];
  const tree = parseSource(text, "x.yaml", "", faults);
  return { value: tree === null ? null : toValue(tree), faults };
}

it("an alias stands for the nearest value above of its name", () => {
  const { value, faults } = read("a: &x 1\nb: *x\nc: &x [2]\nd: [*x]\n");
  expect(faults).toEqual([]);
  expect(value).toEqual({ a: 1, b: 1, c: [2], d: [[2]] });
  expect(read("a: *later\nb: &later 1\n").faults).toMatchObject([
    { reason: "no value above is named &later" },
  ]);
});

it("aliases of aliases are refused at a size, and each is found without a search through the file", () => {
  const rows = Array.from({ length: 30 }, (_, i) => {
    const items = i === 0 ? "1" : Array.from({ length: 9 }, () => `*a${i - 1}`).join(", ");
    return `a${i}: &a${i} [${items}]`;
  });
  // a long file: the package's own search would go through it 50,000 times
  const long = Array.from({ length: 5000 }, (_, i) => `k${i}: [1, 2, 3, 4]`);
  const { value, faults } = read([...long, ...rows].join("\n"));
  expect(value).toBeNull();
  expect(faults).toMatchObject([{ reason: "it is far too large" }]);
});
