/** Event files: frames as RFC 3720 and TFRecord have them, read back by TensorBoard itself; no point twice after a kill. */
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openRunLogs } from "../../src/run/logs.ts";
import { crc32c } from "../../src/trackers/crc32c.ts";
import { decodeEvents, type RunEvent } from "../../src/trackers/event-file.ts";
import { openTensorBoard } from "../../src/trackers/tensorboard.ts";
import { trackLogs } from "../../src/trackers/track-logs.ts";
import type { TrackedRow } from "../../src/trackers/tracker.ts";
import { command } from "../helpers/command.ts";
import { optionalPart } from "../helpers/optional.ts";
import { askPython, pythonEnvironment } from "../helpers/python.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

function eventsIn(folder: string): RunEvent[] {
  const names = readdirSync(folder);
  expect(names).toHaveLength(1);
  const bytes = readFileSync(join(folder, names[0]!));
  const { events, end } = decodeEvents(bytes);
  expect(end).toBe(bytes.length);
  return events;
}

/** "step tag" of every point, in the order of the file. */
const pointsOf = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) =>
    "scalars" in event
      ? event.scalars.map(({ tag }) => `${event.step} ${tag}`)
      : "text" in event
        ? [`${event.step} ${event.text.tag}`]
        : [`${event.step} restarts`],
  );

const row = (step: number, scalars: object, measured: object = {}): TrackedRow => ({
  step,
  wallTime: 100 + step,
  scalars: new Map(Object.entries(scalars)),
  measured: new Map(Object.entries(measured)),
});

it.each([
  [new Uint8Array(32), 0x8a9136aa],
  [new Uint8Array(32).fill(255), 0x62a8ab43],
  [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
])("CRC-32C of RFC 3720, B.4: %#", (bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

describe("what is told twice", () => {
  const folder = space.path("twice");
  const tell = (...rows: TrackedRow[]) => {
    const tracker = openTensorBoard(folder, 100);
    for (const one of rows) tracker.row(one);
    tracker.close("finished");
    return pointsOf(eventsIn(folder));
  };

  it("is written once; times of a step that was made again stay the first ones", () => {
    const first = tell(row(1, { a: 0.1, b: -2 }, { "time/s": 3 }), row(2, { a: 0.2 }));
    expect(first).toEqual(["1 a", "1 b", "1 time/s", "2 a"]);
    expect(tell(row(1, { a: 0.1, b: -2 }, { "time/s": 4 }), row(2, { a: 0.2 }))).toEqual(first);
  });

  it("half a record at the end is cut off, and written again", () => {
    const path = join(folder, readdirSync(folder)[0]!);
    truncateSync(path, readFileSync(path).length - 3);
    appendFileSync(path, "");
    expect(tell(row(2, { a: 0.2 }))).toEqual(["1 a", "1 b", "1 time/s", "2 a"]);
  });

  it("a step that went on differently ends what stood there, and keeps the rest of its step", () => {
    tell(row(2, { "eval/x": 1 }), row(3, { a: 0.3 }));
    expect(tell(row(1, { a: 0.1, b: -2 }), row(2, { a: 0.5 })).slice(6)).toEqual([
      "2 restarts",
      "2 eval/x",
      "2 a",
    ]);
  });
});

describe("a run", () => {
  const file = space.write("a.yaml", tinyGrpo);
  const track = ["run.track=[tensorboard]"];

  it("that was killed and resumed shows every point once, and metrics.csv is what it is without", {
    timeout: 120_000,
  }, async () => {
    await runTraining(file, { runDir: space.path("plain") });
    await runTraining(file, { runDir: space.path("tracked"), set: track });
    const metrics = rowsWithoutTime(space.path("plain/metrics.csv"));
    expect(rowsWithoutTime(space.path("tracked/metrics.csv"))).toEqual(metrics);
    const whole = pointsOf(eventsIn(space.path("tracked/tensorboard")));
    expect(new Set(whole).size).toBe(whole.length);
    for (const step of [1, 2, 3, 4]) expect(whole).toContain(`${step} reward/mean`);
    for (const step of [0, 2, 4]) expect(whole).toContain(`${step} eval/accuracy`);
    expect(whole).toContain("0 recipe");
    expect(whole).toContain("1 samples");

    // killed after step 4, in the middle of a record, before its checkpoint
    rmSync(space.path("tracked/checkpoints/000004"), { recursive: true });
    const [name] = readdirSync(space.path("tracked/tensorboard"));
    const path = space.path(`tracked/tensorboard/${name}`);
    truncateSync(path, readFileSync(path).length - 7);
    await runTraining(undefined, { resume: space.path("tracked") });
    expect([...pointsOf(eventsIn(space.path("tracked/tensorboard")))].sort()).toEqual([...whole].sort());
    expect(rowsWithoutTime(space.path("tracked/metrics.csv"))).toEqual(metrics);
  });

  it("is shown afterwards by rlpt track, once", async () => {
    const run = space.path("plain");
    const { status, out, err } = await command("track", run);
    expect(status, err).toBe(0);
    expect(out).toContain("4 steps are in tensorboard");
    const points = pointsOf(eventsIn(join(run, "tensorboard")));
    expect([...points].sort()).toEqual([...pointsOf(eventsIn(space.path("tracked/tensorboard")))].sort());
    await command("track", run);
    expect(pointsOf(eventsIn(join(run, "tensorboard")))).toEqual(points);
    const refused = await command("track", space.path("nowhere"));
    expect(refused.status).not.toBe(0);
    expect(refused.err).toContain("is not a run directory");
  });

  it("goes on when its tracker fails, and says so once", () => {
    const run = space.path("fails");
    mkdirSync(run);
    writeFileSync(join(run, "recipe.yaml"), "seed: 1\n");
    writeFileSync(join(run, "tensorboard"), "a file stands in the way");
    const warnings: string[] = [];
    const logs = trackLogs(openRunLogs(run), run, ["tensorboard"], (text) => warnings.push(text));
    logs.startStage("grpo", ["reward/mean"]);
    logs.metrics(1, { "reward/mean": 0.5 });
    logs.metrics(2, { "reward/mean": 0.75 });
    logs.endTracking("finished");
    logs.close();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("rlpt track");
    expect(rowsWithoutTime(join(run, "metrics.csv"))).toHaveLength(2);
  });

  it("with a tracker that is not known is refused before anything is loaded", async () => {
    const { status, out } = await command("validate", file, "--set", "run.track=[tensorbord]");
    expect(status).toBe(2);
    expect(out).toContain("run.track");
    expect(out).toContain("tensorboard");
  });
});

const tensorboard = pythonEnvironment("tensorboard");
optionalPart(
  "TensorBoard's own reader",
  tensorboard.python !== null,
  tensorboard.reason,
)(() => {
  it("reads the run's points, and forgets those that a restart ends", () => {
    const read = (folder: string, tag: string) =>
      askPython<{ scalars: [number, number][]; texts: [number, string][] }>(
        tensorboard.python!,
        "read-tensorboard.py",
        { folder, tag },
      );
    const { scalars, texts } = read(space.path("tracked/tensorboard"), "reward/mean");
    const expected = rowsWithoutTime(space.path("plain/metrics.csv"));
    expect(scalars).toEqual(
      expected.map((one) => [Number(one["step"]), Math.fround(Number(one["reward/mean"]))]),
    );
    expect(texts.map(([step, name]) => `${step} ${name}`)).toEqual(["0 recipe", "1 samples"]);
    expect(read(space.path("twice"), "a").scalars).toEqual([
      [1, Math.fround(0.1)],
      [2, 0.5],
    ]);
  });
});
