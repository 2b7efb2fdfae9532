import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/lib/errors.ts";
import {
  bestCheckpoint,
  checkpointDirectory,
  checkpointSteps,
  latestCheckpoint,
  openCheckpoint,
  pruneCheckpoints,
  writeCheckpoint,
} from "../../src/run/checkpoint.ts";
import { removeLeftovers, restoreNames, setAside } from "../../src/run/checkpoint-recovery.ts";
import { withDigest } from "../../src/run/manifest.ts";

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), "rlpt-checkpoint-"));
});
afterEach(() => rmSync(runDir, { recursive: true, force: true }));

const write = (step: number, metrics: Record<string, number> = {}) =>
  writeCheckpoint(runDir, step, {
    files: {
      "model/config.json": "{}",
      bytes: Uint8Array.of(1, 2, step),
      weights: async (directory) => {
        writeFileSync(join(directory, "model", "weights.bin"), Buffer.alloc(1000, step));
      },
    },
    state: { step, nested: [1, null, "x", { deep: true }] },
    metrics,
  });

const path = (step: number, name = ""): string => join(checkpointDirectory(runDir, step), name);

describe("writeCheckpoint", () => {
  test("strings, bytes and callbacks; a manifest with size and hash of each; nothing left aside", async () => {
    const { directory, manifest, step } = await write(7, { accuracy: 0.5 });
    expect(directory).toBe(join(runDir, "checkpoints", "000007"));
    expect(step).toBe(7);
    expect(readdirSync(join(runDir, "checkpoints"))).toEqual(["000007"]);
    expect(readFileSync(path(7, "manifest.json"), "utf8")).toBe(withDigest(manifest));
    expect(manifest.metrics).toEqual({ accuracy: 0.5 });
    expect(Object.keys(manifest.files)).toEqual([
      "bytes",
      "model/config.json",
      "model/weights.bin",
      "state.json",
    ]);
    expect(manifest.files["model/weights.bin"]).toEqual({
      bytes: 1000,
      sha256: createHash("sha256").update(Buffer.alloc(1000, 7)).digest("hex"),
    });
    const opened = await openCheckpoint(directory);
    expect(opened.state).toEqual({ step: 7, nested: [1, null, "x", { deep: true }] });
  });

  test("the same step again replaces it", async () => {
    await write(7);
    await writeCheckpoint(runDir, 7, { files: { other: "text" }, state: 2 });
    const { manifest, state } = await openCheckpoint(path(7));
    expect(Object.keys(manifest.files)).toEqual(["other", "state.json"]);
    expect(state).toBe(2);
    expect(readdirSync(join(runDir, "checkpoints"))).toEqual(["000007"]);
  });

  test("a failing callback leaves nothing behind and names the checkpoint that is intact", async () => {
    await write(3);
    const failing = writeCheckpoint(runDir, 5, {
      files: {
        first: "x",
        weights: async (directory) => {
          writeFileSync(join(directory, "half"), "x");
          throw new Error("tensor w is gone");
        },
      },
      state: {},
    });
    await expect(failing).rejects.toThrow(
      `${path(5)}: the checkpoint was not written: tensor w is gone. The checkpoint of step 3 is intact.`,
    );
    await expect(failing).rejects.toBeInstanceOf(CheckpointError);
    expect(readdirSync(join(runDir, "checkpoints"))).toEqual(["000003"]);
  });

  test.each([
    [{ rate: Number.NaN }, "state.rate is NaN"],
    [{ a: [{ b: Number.POSITIVE_INFINITY }] }, "state.a[0].b is Infinity"],
    [{ seen: new Map() }, "state.seen is a Map"],
    [{ moments: new Float32Array(2) }, "state.moments is a Float32Array"],
    [{ big: 1n }, "state.big is of type bigint"],
  ])("state that JSON would change is refused: %o", async (state, message) => {
    await expect(writeCheckpoint(runDir, 1, { files: {}, state })).rejects.toThrow(message);
    expect(checkpointSteps(runDir)).toEqual([]);
  });

  test.each(["../outside", "manifest.json", "state.json"])("file name %s is refused", async (name) => {
    await expect(writeCheckpoint(runDir, 1, { files: { [name]: "x" }, state: {} })).rejects.toThrow(name);
    expect(existsSync(join(runDir, "checkpoints", "outside"))).toBe(false);
  });
});

describe("latestCheckpoint", () => {
  test("null without any, else the newest", async () => {
    expect(await latestCheckpoint(runDir)).toBeNull();
    await write(2);
    await write(1_000_000);
    await write(10);
    expect((await latestCheckpoint(runDir))?.step).toBe(1_000_000);
  });

  const tears: [string, () => void, string][] = [
    ["no manifest", () => rmSync(path(9, "manifest.json")), "manifest.json cannot be read"],
    ["torn manifest", () => truncateSync(path(9, "manifest.json"), 40), "manifest.json cannot be read"],
    ["a file is missing", () => rmSync(path(9, "model/weights.bin")), "model/weights.bin is missing"],
    [
      "a file is short",
      () => truncateSync(path(9, "model/weights.bin"), 999),
      "model/weights.bin has 999 bytes instead of 1000",
    ],
  ];
  test.each(tears)("skips a torn one, says so, and takes the one before: %s", async (_, tear, reason) => {
    await write(8);
    await write(9);
    tear();
    const notes: string[] = [];
    const found = await latestCheckpoint(runDir, { note: (text) => notes.push(text) });
    expect(found?.step).toBe(8);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(reason);
    await expect(openCheckpoint(path(9))).rejects.toThrow(reason);
  });

  test("a changed byte is seen by its hash", async () => {
    await write(8);
    await write(9);
    writeFileSync(path(9, "model/weights.bin"), Buffer.alloc(1000, 1));
    expect((await latestCheckpoint(runDir))?.step).toBe(9);
    expect((await latestCheckpoint(runDir, { verify: "hashes" }))?.step).toBe(8);
    await expect(openCheckpoint(path(9))).rejects.toThrow("model/weights.bin was changed");
  });

  const rewrite = (step: number, change: (manifest: Record<string, unknown>) => object): void => {
    const { digest: _, ...manifest } = JSON.parse(readFileSync(path(step, "manifest.json"), "utf8")) as {
      digest: string;
    };
    writeFileSync(path(step, "manifest.json"), JSON.stringify(change(manifest), null, 2));
  };

  test("one of another version is no torn one: it is not passed over", async () => {
    await write(8);
    await write(9);
    rewrite(9, (manifest) => ({ ...manifest, version: 3 }));
    await expect(latestCheckpoint(runDir)).rejects.toThrow(
      "has version 3, and this rlpt reads versions 1 and 2",
    );
  });

  test("one of the version without a digest is read", async () => {
    await write(8);
    rewrite(8, (manifest) => ({ ...manifest, version: 1 }));
    expect((await latestCheckpoint(runDir, { verify: "hashes" }))?.step).toBe(8);
    rewrite(8, (manifest) => ({ ...manifest, version: 1, step: "8" }));
    await expect(openCheckpoint(path(8))).rejects.toThrow("manifest.json cannot be used: step");
  });

  test("a manifest is of its folder's step", async () => {
    await write(8);
    renameSync(path(8), path(9));
    await expect(openCheckpoint(path(9))).rejects.toThrow(
      "manifest.json is of step 8, and its folder says 9",
    );
  });

  test("each flipped bit of a manifest is seen", async () => {
    await write(8, { accuracy: 0.25 });
    const whole = readFileSync(path(8, "manifest.json"));
    for (let bit = 0; bit < 8 * whole.length; bit += 3) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path(8, "manifest.json"), flipped);
      expect(await openCheckpoint(path(8), "sizes").catch((error: unknown) => error)).toBeInstanceOf(
        CheckpointError,
      );
    }
  });
});

describe("which stay", () => {
  test("the newest n and the best; the earlier of equals; those without the metric do not count", async () => {
    for (const [step, accuracy] of [
      [1, 0.2],
      [2, 0.8],
      [3, 0.8],
      [4, 0.1],
      [6, 0.5],
    ] as const)
      await write(step, { accuracy });
    await write(5);
    expect((await bestCheckpoint(runDir, { metric: "accuracy", mode: "max" }))?.step).toBe(2);
    expect((await bestCheckpoint(runDir, { metric: "accuracy", mode: "min" }))?.step).toBe(4);
    expect(await bestCheckpoint(runDir, { metric: "loss", mode: "min" })).toBeNull();
    const removed = await pruneCheckpoints(runDir, {
      keepLast: 2,
      best: { metric: "accuracy", mode: "max" },
    });
    expect(removed).toEqual([1, 3, 4]);
    expect(checkpointSteps(runDir)).toEqual([2, 5, 6]);
    await pruneCheckpoints(runDir, { keepLast: 1, best: null });
    expect(readdirSync(join(runDir, "checkpoints"))).toEqual(["000006"]);
  });

  test("those of every so many steps stay", async () => {
    for (const step of [1, 2, 3, 4, 5, 6, 7]) await write(step);
    expect(await pruneCheckpoints(runDir, { keepLast: 1, keepEvery: 3 })).toEqual([1, 2, 4, 5]);
    expect(checkpointSteps(runDir)).toEqual([3, 6, 7]);
  });

  test("a torn one does not push out the last whole one", async () => {
    await write(4);
    await write(5);
    rmSync(path(5, "manifest.json"));
    await pruneCheckpoints(runDir, { keepLast: 1 });
    expect((await latestCheckpoint(runDir))?.step).toBe(4);
  });
});

describe("after a kill", () => {
  test("what was half written goes; what was whole under another name gets its own back", async () => {
    await write(4);
    await write(5);
    await write(6);
    await write(7);
    const folder = join(runDir, "checkpoints");
    mkdirSync(join(folder, ".tmp-8-abcd"));
    writeFileSync(join(folder, ".tmp-8-abcd", "half"), "x");
    renameSync(path(7), join(folder, ".tmp-7-abcd"));
    renameSync(path(6), join(folder, ".tmp-removed-abcd"));
    renameSync(path(5), join(folder, ".old-5-abcd"));
    mkdirSync(join(folder, ".old-4-abcd"));
    await restoreNames(runDir);
    expect(readdirSync(folder).sort()).toEqual(
      [".old-4-abcd", ".tmp-8-abcd", ".tmp-removed-abcd", "000004", "000005", "000007"].sort(),
    );
    await removeLeftovers(runDir);
    expect(readdirSync(folder).sort()).toEqual(["000004", "000005", "000007"]);
    expect((await latestCheckpoint(runDir, { verify: "hashes" }))?.step).toBe(7);
  });

  test("what a damaged checkpoint replaced is kept", async () => {
    await write(4);
    const folder = join(runDir, "checkpoints");
    renameSync(path(4), join(folder, ".old-4-abcd"));
    mkdirSync(path(4));
    await restoreNames(runDir);
    await removeLeftovers(runDir);
    expect(readdirSync(folder).sort()).toEqual([".old-4-abcd", "000004"]);
  });

  test("a damaged one is renamed, as often as it happens", async () => {
    for (const name of ["000004.damaged", "000004.damaged-2"]) {
      await write(4);
      expect(setAside({ step: 4, directory: path(4), reason: "" })).toBe(join(runDir, "checkpoints", name));
    }
    expect(checkpointSteps(runDir)).toEqual([]);
  });
});

test("a state that is no JSON is damage, also where only sizes are looked at", async () => {
  await writeCheckpoint(runDir, 1, { files: {}, state: { name: "first" } });
  const { directory } = await writeCheckpoint(runDir, 2, { files: {}, state: { name: "second" } });
  const path = join(directory, "state.json");
  writeFileSync(path, readFileSync(path, "utf8").replace("second", "\u0001econd"));
  const said: string[] = [];
  const newest = await latestCheckpoint(runDir, { verify: "sizes", note: (text) => said.push(text) });
  expect(newest?.step).toBe(1);
  expect(said.join()).toMatch(/state\.json cannot be read: .*JSON/);
});
