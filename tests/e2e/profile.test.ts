import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { parse } from "csv-parse/sync";
import { afterAll, describe, expect, it } from "vitest";
import { startProfile } from "../../src/backend/profile.ts";
import { startLazyBackend } from "../../src/backend/xla/start.ts";
import { prepare } from "../../src/cli/train-request.ts";
import { train } from "../../src/training/train.ts";
import { optionalPart } from "../helpers/optional.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../helpers/xla.ts";

describe("rlpt train --profile", () => {
  const { path, write, remove } = workspace();
  afterAll(remove);

  it("counts and times each kernel, the most expensive first", async () => {
    const config = write("tiny.yaml", tinyGrpo);
    const flags = { set: [], quiet: true, backend: "wasm", steps: "2", runDir: path("run") };
    const { request } = await prepare(config, flags);
    const { profile, runDir } = await train({ ...request, profile: true });
    const times = profile!.map(({ milliseconds }) => milliseconds);
    expect(times).toEqual([...times].sort((a, b) => b - a));
    // one update of every trained weight in each of the two steps
    const updates = profile!.filter(({ name }) => name === "RlptAdamW");
    const weights = updates.reduce((sum, { calls }) => sum + calls, 0) / 2;
    expect(weights).toBeGreaterThan(5);
    expect(Number.isInteger(weights)).toBe(true);
    const rows = parse(readFileSync(join(runDir, "profile.csv")), { columns: true }) as object[];
    expect(rows).toHaveLength(profile!.length);
  });
});

optionalPart(
  "the profile of compiled programs",
  xlaHere,
  xlaMissing,
)(() => {
  it("names each program by what was asked for, with its calls and what changes from call to call", async () => {
    const backend = await startLazyBackend(openTestExecutor());
    const rows = startProfile();
    for (const value of [1, 2, 3]) {
      backend.mark("doubling");
      const result = tf.tidy(() => tf.mul(tf.tensor1d([value, value, value, value]), 2));
      expect([...result.dataSync()]).toEqual([2 * value, 2 * value, 2 * value, 2 * value]);
      result.dispose();
    }
    const [row, ...others] = rows();
    expect(others).toEqual([]);
    expect(row).toMatchObject({ name: "doubling", calls: 3 });
    expect(row!.shapes).toContain("f32[4]");
    expect(row!.milliseconds).toBeGreaterThan(0);
    // a result beside what is held, where the library tells
    const held = tf.tensor1d([1, 2, 3, 4]);
    held.dataSync();
    backend.mark("beside");
    const beside = tf.mul(held, tf.add(held, 3));
    beside.dataSync();
    const { ownBytes } = rows().find(({ name }) => name === "beside")!;
    if (ownBytes !== null) expect(ownBytes).toBeGreaterThanOrEqual(16);
    tf.dispose([held, beside]);
  });
});
