import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { validateFileName } from "yauzl";
import { unpackEntry, withWheel } from "../../src/backend/wheel-archive.ts";
import { BackendError } from "../../src/lib/errors.ts";
import { zip } from "../helpers/zip.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const manual = "ask somebody";
const wheelPath = () => join(folder, "thing-1.2-py3-none-any.whl");

interface File {
  name: string;
  data: Buffer;
  method: 0 | 8;
}

function withRecord(files: readonly File[]): File[] {
  const lines = files.map(
    ({ name, data }) =>
      `${name},sha256=${createHash("sha256").update(data).digest("base64url")},${data.length}`,
  );
  return [...files, { name: "thing-1.2.dist-info/RECORD", data: Buffer.from(lines.join("\n")), method: 8 }];
}

/** Name and bytes of each file of an archive besides RECORD, unpacked to disk. */
async function contents(archive: Buffer): Promise<{ name: string; data: Buffer }[]> {
  writeFileSync(wheelPath(), archive);
  return withWheel(wheelPath(), manual, async (wheel) => {
    const found: { name: string; data: Buffer }[] = [];
    for (const entry of wheel.entries) {
      if (entry.name !== "thing-1.2.dist-info/RECORD") {
        found.push({
          name: entry.name,
          data: readFileSync(await unpackEntry(wheel, entry, join(folder, "out"))),
        });
      }
    }
    return found;
  });
}

/** What people read. @throws what is no BackendError */
async function faultOf(archive: Buffer): Promise<string> {
  const error = await contents(archive).then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!(error instanceof BackendError)) throw error;
  return error.message;
}

const openFiles = () => readdirSync("/proc/self/fd").length;

describe("withWheel", () => {
  it("gives back every file, stored or deflated, behind any comment", async () => {
    const file = fc.record({
      name: fc
        .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
        .filter((name) => validateFileName(name) === null && !/[/,\n\0]|^\.$/.test(name))
        .map((name) => `f/${name}`),
      data: fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      method: fc.constantFrom<(0 | 8)[]>(0, 8),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(file, { maxLength: 5, selector: ({ name }) => name }),
        fc.string({ maxLength: 30, unit: "binary-ascii" }),
        async (files, comment) => {
          expect(await contents(zip(withRecord(files), comment))).toEqual(
            files.map(({ name, data }) => ({ name, data })),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  const good = () => zip(withRecord([{ name: "a.txt", data: Buffer.from("hello hello hello"), method: 8 }]));
  /** Place of the directory's entry of a.txt. */
  const directory = (archive: Buffer) => archive.readUInt32LE(archive.length - 22 + 16);

  it("says what is wrong with a damaged archive, and how to mend it", async () => {
    const begin = `${wheelPath()}: the archive is damaged, or is none (`;
    const end = "). Fix: download it again; ask somebody.";
    const torn = await faultOf(good().subarray(0, -5));
    expect(torn.startsWith(begin) && torn.endsWith(end), torn).toBe(true);
    const noDirectory = good();
    noDirectory.writeUInt32LE(0, noDirectory.length - 22 + 16);
    const lost = await faultOf(noDirectory);
    expect(lost.startsWith(begin) && lost.endsWith(end), lost).toBe(true);
    const wrongSize = good();
    wrongSize.writeUInt32LE(18, directory(wrongSize) + 24);
    expect(await faultOf(wrongSize)).toContain(
      "a.txt: not enough bytes in the stream. expected 18. got only 17",
    );
    const encrypted = good();
    encrypted.writeUInt16LE(0x801, directory(encrypted) + 8);
    expect(await faultOf(encrypted)).toContain("encrypted");
    expect(await faultOf(Buffer.from("hello"))).toContain("the archive is damaged, or is none (");
    expect(await faultOf(Buffer.alloc(0))).toContain("the archive is damaged, or is none (");
  });

  it("refuses names that leave the folder, whatever they are written with", async () => {
    for (const name of ["../evil.so", "a/../../evil.so", "/evil.so", "..\\evil.so", "C:/evil.so"]) {
      const archive = zip(withRecord([{ name, data: Buffer.from("x"), method: 0 }]));
      expect(await faultOf(archive), name).toContain("points outside the archive");
    }
    expect(existsSync(join(folder, "evil.so"))).toBe(false);
  });

  it("with any bit flipped the files are the right ones, or the wheel is refused", async () => {
    const archive = good();
    const right = [{ name: "a.txt", data: Buffer.from("hello hello hello") }];
    let refused = 0;
    for (let bit = 0; bit < 8 * archive.length; bit += 3) {
      const flipped = Buffer.from(archive);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        const found = await contents(flipped);
        // the directory may say that there is nothing
        expect(found.length === 0 ? right : found, `bit ${bit}`).toEqual(right);
      } catch (error) {
        expect(error, `bit ${bit}`).toBeInstanceOf(BackendError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(archive.length);
  });

  it("leaves no file open, whether the wheel is good or not", async () => {
    if (process.platform !== "linux") return;
    const torn = good().subarray(0, -5);
    await contents(good());
    const before = openFiles();
    for (let i = 0; i < 5; i++) {
      await contents(good());
      await faultOf(torn);
    }
    expect(openFiles()).toBeLessThanOrEqual(before + 1);
  });

  it("holds a file of 64 MB in pieces", async () => {
    const data = Buffer.alloc(64e6);
    writeFileSync(wheelPath(), zip(withRecord([{ name: "large.so", data, method: 8 }])));
    let largest = 0;
    await withWheel(wheelPath(), manual, async (wheel) => {
      const pieces = (await wheel.entries[0]!.open()).on("data", (piece: Buffer) => {
        largest = Math.max(largest, piece.length);
      });
      await new Promise((resolve, reject) => pieces.on("end", resolve).on("error", reject));
    });
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThanOrEqual(1 << 20);
  });
});
