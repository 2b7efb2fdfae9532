/** Cells of tables that are read again: no formula is left, and each text comes back. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { csvCell, fromCsvCell } from "../../src/lib/printable.ts";
import { readTable } from "../../src/report/read-run.ts";
import { csvLine, readCsvTable } from "../../src/run/append-log.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-cells-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = fc.oneof(
  fc.string(),
  fc
    .array(fc.constantFrom("'", "=", "-", "+", "@", "1", ".", "e", "\t", "\r", "\n", '"', ",", "a"), {
      maxLength: 6,
    })
    .map((all) => all.join("")),
);

it("gives every text back, and no table program runs it", () => {
  fc.assert(
    fc.property(text, (value) => {
      const cell = csvCell(value);
      expect(fromCsvCell(cell)).toBe(value);
      if (/^[=+\-@\t\r]/.test(cell)) expect(Number.isNaN(Number(cell)), cell).toBe(false);
    }),
    { numRuns: 3000 },
  );
});

it("holds for the logs of a run, by both of their readers", () => {
  const path = join(folder, "log.csv");
  fc.assert(
    fc.property(text, text, (id, slices) => {
      writeFileSync(path, csvLine(["id", "slices", "reward"]) + csvLine([id, slices, -0.5]));
      const row = { id, slices, reward: "-0.5" };
      expect(readCsvTable(path).rows).toEqual([row]);
      expect(readTable(path).rows).toEqual([row]);
    }),
    { numRuns: 300 },
  );
});
