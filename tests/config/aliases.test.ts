import { expect, it, vi } from "vitest";
import { Alias } from "yaml";
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
  // the package's own search goes through the whole file, here 50,000 times
  const search = vi.spyOn(Alias.prototype, "resolve");
  const { value, faults } = read(rows.join("\n"));
  expect(search).not.toHaveBeenCalled();
  expect(value).toBeNull();
  expect(faults).toMatchObject([{ reason: "it is far too large" }]);
});
