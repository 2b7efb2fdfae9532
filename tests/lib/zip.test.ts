import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readZip } from "../../src/lib/zip.ts";

/** Writes what `readZip` must read; extra fields differ between local header and directory, as in real archives. */
function zip(files: readonly { name: string; data: Buffer; method: 0 | 8 }[], comment = ""): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, method } of files) {
    const packed = method === 8 ? deflateRawSync(data) : data;
    const nameBytes = Buffer.from(name);
    const localExtra = Buffer.from([1, 0, 2, 0, 9, 9]);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt16LE(nameBytes.length, 26);
    local.writeUInt16LE(localExtra.length, 28);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(data.length, 24);
    entry.writeUInt16LE(nameBytes.length, 28);
    entry.writeUInt32LE(offset, 42);
    directory.push(entry, nameBytes);
    parts.push(local, nameBytes, localExtra, packed);
    offset += 30 + nameBytes.length + localExtra.length + packed.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directoryBytes.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, directoryBytes, end, Buffer.from(comment)]);
}

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
