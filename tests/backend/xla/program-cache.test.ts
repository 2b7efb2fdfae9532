import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { dropOldest } from "../../../src/backend/xla/pjrt/program-cache.ts";

it("drops what has not been used for longest, and nothing but programs", () => {
  const folder = mkdtempSync(join(tmpdir(), "rlpt-programs-"));
  try {
    for (const [name, day] of [
      ["old.pjrt", 1],
      ["middle.pjrt", 2],
      ["new.pjrt", 3],
      ["note.txt", 0],
    ] as const) {
      const path = join(folder, name);
      writeFileSync(path, Buffer.alloc(100));
      utimesSync(path, day, day);
    }
    dropOldest(folder, 300);
    expect(readdirSync(folder).sort()).toEqual(["middle.pjrt", "new.pjrt", "note.txt", "old.pjrt"]);
    dropOldest(folder, 250);
    expect(readdirSync(folder).sort()).toEqual(["middle.pjrt", "new.pjrt", "note.txt"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
