/** thumbnails.jsonl: each picture once, within a bound, the same however often a run is taken up. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodePicture } from "../../src/pictures/decode.ts";
import { MAX_THUMBNAILS, openThumbnailsLog, type ThumbnailRecord } from "../../src/run/thumbnails.ts";
import type { Picture } from "../../src/types.ts";
import { scenesConfig } from "../helpers/eyes.ts";
import { expectSameRun } from "../helpers/same-run.ts";
import { runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const grey = (id: string, name = id): Picture => ({
  id,
  name,
  load: () => ({ width: 4, height: 3, data: new Uint8Array(36).fill(id.length) }),
});
const folder = (name: string) => {
  const path = space.path(name);
  mkdirSync(path);
  return path;
};
const lines = (directory: string): ThumbnailRecord[] =>
  readFileSync(join(directory, "thumbnails.jsonl"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe("the log", () => {
  it("has no file before the first picture, and each picture once", () => {
    const run = folder("once");
    const log = openThumbnailsLog(run, 0);
    log.add(1, [], 0.1, 0);
    expect(existsSync(log.path)).toBe(false);
    log.add(1, [grey("a"), grey("b"), grey("a")], 0.1, 0);
    log.add(2, [grey("b"), grey("c")], 0.2, 0);
    log.close();
    expect(lines(run).map(({ id, step }) => [id, step])).toEqual([
      ["a", 1],
      ["b", 1],
      ["c", 2],
    ]);
    const [first] = lines(run);
    expect([first!.width, first!.height]).toEqual([4, 3]);
    const { width, height } = decodePicture(new Uint8Array(Buffer.from(first!.png, "base64")), "kept");
    expect([width, height]).toEqual([4, 3]);
  });

  it("cut back and gone on with holds what it would have held", () => {
    const run = folder("again");
    const add = (log: ReturnType<typeof openThumbnailsLog>, from: number) => {
      for (let step = from; step <= 40; step++)
        log.add(
          step,
          Array.from({ length: 30 }, (_, i) => grey(`${step}-${i}`)),
          step / 40,
          0,
        );
      log.close();
    };
    add(openThumbnailsLog(run, 0), 1);
    const whole = readFileSync(join(run, "thumbnails.jsonl"), "utf8");
    const rows = lines(run).filter(({ step }) => step <= 17).length;
    add(openThumbnailsLog(run, rows), 18);
    expect(readFileSync(join(run, "thumbnails.jsonl"), "utf8")).toBe(whole);
  });

  it("is bounded, and keeps something of the beginning, the middle and the end of each stage", () => {
    const run = folder("bound");
    const log = openThumbnailsLog(run, 0);
    for (const stage of [0, 500])
      for (let step = 1; step <= 500; step++) {
        const shown = Array.from({ length: 64 }, (_, i) => grey(`${stage + step}-${i}`));
        log.add(stage + step, shown, step / 500, stage);
      }
    log.close();
    const steps = lines(run).map(({ step }) => step);
    expect(steps.length).toBeLessThanOrEqual(MAX_THUMBNAILS);
    expect(steps.length).toBeGreaterThan(MAX_THUMBNAILS / 2);
    for (const [from, to] of [
      [1, 1],
      [240, 260],
      [500, 500],
      [501, 501],
      [740, 760],
      [1000, 1000],
    ] as const)
      expect(
        steps.filter((step) => step >= from && step <= to).length,
        `${from} to ${to}`,
      ).toBeGreaterThanOrEqual(2);
  });

  it("keeps names short and whole, whatever they hold, and leaves out what cannot be read", () => {
    const run = folder("names");
    const name = `a\n"<script>\u001b[31m${"x".repeat(10_000)}`;
    const gone: Picture = { id: "gone", name: "gone", load: () => new Uint8Array() };
    const log = openThumbnailsLog(run, 0);
    log.add(1, [gone, grey("a", name)], 1, 0);
    log.close();
    expect(lines(run).map((one) => one.name)).toEqual([name.slice(0, 200)]);
  });
});

describe("a run", { timeout: 120_000 }, () => {
  it("without pictures has no such file", async () => {
    const { runDir } = await runTraining(space.write("text.yaml", tinyGrpo), {
      runDir: space.path("text"),
      steps: "1",
    });
    expect(existsSync(join(runDir, "thumbnails.jsonl"))).toBe(false);
  });

  it("on pictures keeps those of its samples, and resumed the same", async () => {
    const config = space.write("scenes.yaml", scenesConfig());
    const { runDir } = await runTraining(config, { runDir: space.path("whole") });
    const samples = readFileSync(join(runDir, "samples.jsonl"), "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const shown = [...new Set(samples.flatMap(({ pictures }) => pictures as string[]))];
    expect(shown).toHaveLength(8);
    expect(lines(runDir).map(({ id }) => id)).toEqual(shown);
    const boxes = samples.map(({ parts }) => parts["box-iou"].boxes);
    for (const { gold, of } of boxes) {
      expect(of).toEqual([8, 8]);
      expect(gold).toHaveLength(1);
      const [x0, y0, x1, y1] = gold[0] as [number, number, number, number];
      // an object is 2 to 4 cells wide and high, on a grid of 8 x 8
      for (const [from, to] of [
        [x0, x1],
        [y0, y1],
      ] as const) {
        expect([2, 3, 4]).toContain(to - from);
        expect(from).toBeGreaterThanOrEqual(0);
        expect(to).toBeLessThanOrEqual(8);
      }
    }

    const begun = space.path("begun");
    cpSync(runDir, begun, { recursive: true });
    rmSync(join(begun, "checkpoints", "000004"), { recursive: true });
    await runTraining(undefined, { resume: begun });
    expectSameRun(begun, runDir, 4);
  });
});
