import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readZip } from "../../src/lib/zip.ts";
import { zip } from "../helpers/zip.ts";

describe("readZip", () => {
  it("gives back every file, stored or deflated, behind any comment", () => {
    const file = fc.record({
      name: fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
      data: fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      method: fc.constantFrom<(0 | 8)[]>(0, 8),
    });
    fc.assert(
      fc.property(
        fc.array(file, { maxLength: 5 }),
        fc.string({ maxLength: 30, unit: "binary-ascii" }),
        (files, comment) => {
          const entries = readZip(zip(files, comment));
          expect(entries.map((entry) => ({ name: entry.name, data: entry.read() }))).toEqual(
            files.map(({ name, data }) => ({ name, data })),
          );
        },
      ),
    );
  });

  it("says what is wrong with a damaged archive", () => {
    const good = zip([{ name: "a.txt", data: Buffer.from("hello hello hello"), method: 8 }]);
    expect(() => readZip(good.subarray(0, good.length - 5))).toThrow("not a zip archive");
    const tornDirectory = Buffer.from(good);
    tornDirectory.writeUInt32LE(0, good.length - 22 + 16);
    expect(() => readZip(tornDirectory)).toThrow("damaged at entry 1 of 1");
    const wrongSize = Buffer.from(good);
    wrongSize.writeUInt32LE(18, good.length - 22 - 46 - 5 + 24);
    expect(() => readZip(wrongSize)[0]!.read()).toThrow("a.txt has 17 bytes, not 18");
  });
});
