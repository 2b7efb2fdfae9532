import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { mixture } from "../../src/data/mixture.ts";
import { mixtureOptions } from "../../src/data/mixture-options.ts";
import type { PromptSource } from "../../src/types.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-mixture-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, count: number, more: object = {}) {
  const path = join(folder, `${name}.jsonl`);
  const rows = Array.from({ length: count }, (_, i) =>
    JSON.stringify({ id: i, prompt: `${name} ${i}`, answer: "1" }),
  );
  writeFileSync(path, rows.join("\n"));
  return { kind: "file", path, id: "id", chat: false, ...more };
}

const open = async (options: object, seed = 1) =>
  mixture.open(mixtureOptions.parse({ kind: "mixture", ...options }), {
    seed,
    split: "train",
    note: () => {},
  });
const first = (source: PromptSource, count: number) => Array.from({ length: count }, (_, i) => source.at(i));

describe("without weights", () => {
  it("rows follow one another, named by their source", async () => {
    const source = await open({ sources: [file("p", 3), file("q", 2, { name: "other" })] });
    expect(source.size).toBe(5);
    expect(first(source, 5).map(({ id }) => id)).toEqual(["p/0", "p/1", "p/2", "other/0", "other/1"]);
    expect(source.at(4)).toMatchObject({ input: { text: "q 1" }, slices: { source: "other" } });
  });

  it("a task without an end is refused", async () => {
    await expect(open({ sources: [file("p", 3), { kind: "chain" }] })).rejects.toThrow(
      "chain: it has no end, so nothing can follow it. Give each source of the mixture a weight, or it a size.",
    );
  });
});

describe("with weights", () => {
  const three = {
    sources: [file("a", 7, { weight: 5 }), file("b", 40, { weight: 3 }), { kind: "chain", weight: 2 }],
  };

  it("has the shares in every beginning of the stream, to a row", async () => {
    const source = await open(three);
    expect(source.size).toBe(null);
    const drawn = first(source, 200).map(({ slices }) => slices["source"]);
    for (let count = 1; count <= 200; count++) {
      for (const [name, share] of [
        ["a", 0.5],
        ["b", 0.3],
        ["chain", 0.2],
      ] as const) {
        const got = drawn.slice(0, count).filter((one) => one === name).length;
        expect(Math.abs(got - share * count)).toBeLessThanOrEqual(1);
      }
    }
    expect(drawn.filter((one) => one === "a")).toHaveLength(100);
  });

  it("goes through each source in epochs of its own, in another order each time", async () => {
    const ids = first(await open(three), 200)
      .map(({ id }) => id)
      .filter((id) => id.startsWith("a/"));
    const epochs = Array.from({ length: 14 }, (_, epoch) => ids.slice(7 * epoch, 7 * epoch + 7));
    for (const epoch of epochs) expect(new Set(epoch).size).toBe(7);
    expect(new Set(epochs.map(String)).size).toBeGreaterThan(10);
  });

  it("is a function of position and seed: any order of asking gives the same", async () => {
    const forward = first(await open(three), 60);
    const backward = await open(three);
    const reversed = Array.from({ length: 60 }, (_, i) => backward.at(59 - i)).reverse();
    expect(reversed).toEqual(forward);
    expect(first(await open(three, 2), 60)).not.toEqual(forward);
  });

  it("with size is a pool of exact shares, none twice, or refused", async () => {
    const source = await open({ ...three, size: 14 });
    expect(source.size).toBe(14);
    const ids = first(source, 14).map(({ id }) => id);
    expect(new Set(ids).size).toBe(14);
    expect(ids.filter((id) => id.startsWith("a/"))).toHaveLength(7);
    await expect(open({ ...three, size: 16 })).rejects.toThrow(
      "a: its share of the mixture's 16 rows is 8, and it has 7. Use a smaller size, or another weight",
    );
  });
});

it("says what is wrong with the list", () => {
  const faults = (options: object) =>
    mixtureOptions
      .safeParse({ kind: "mixture", ...options })
      .error!.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  expect(faults({ sources: [file("p", 3, { weight: 1 }), file("q", 3)] })).toEqual([
    "sources.1: has no weight, and others have; give each source one, or none",
  ]);
  expect(faults({ sources: [file("p", 3), file("p", 3)], size: 4 })).toEqual([
    "size: counts only with weights; give each source a weight, or use limit in the sources",
    "sources.1: is the second source called p; give it a name",
  ]);
});
