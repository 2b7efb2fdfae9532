/**
 * Weights & Biases, against what its own client sent (tests/fixtures/trackers). No server of theirs was asked: what is shown here is
 * that the requests are the client's, and that no line is sent to a second place.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TrackedStep } from "../../src/trackers/follow-run.ts";
import type { TrackedRun } from "../../src/trackers/service.ts";
import { wandbService } from "../../src/trackers/wandb.ts";
import { command } from "../helpers/command.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";
import { type Recorded, recorded, type WandbServer, wandbServer } from "../helpers/wandb-server.ts";

const KEY = "0123456789abcdef0123456789abcdef01234567";
const space = workspace();
const file = space.write("a.yaml", tinyGrpo);
let server: WandbServer;
beforeEach(async () => {
  server = await wandbServer(KEY);
  vi.stubEnv("WANDB_BASE_URL", server.url);
  vi.stubEnv("WANDB_API_KEY", KEY);
  vi.stubEnv("WANDB_PROJECT", "rlpt");
  vi.stubEnv("WANDB_ENTITY", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  expect(server.strange).toEqual([]);
  await server.close();
});
afterAll(space.remove);

/** Lines as they are there, without times. */
const history = (): Record<string, unknown>[] =>
  (server.lines.get("wandb-history.jsonl") ?? []).map((line) => JSON.parse(line) as Record<string, unknown>);

function expectEveryPoint(run: string): void {
  const rows = rowsWithoutTime(space.path(`${run}/metrics.csv`));
  const lines = history();
  expect(lines.map((line) => line["_step"])).toEqual([0, ...rows.map((row) => Number(row["step"]))]);
  for (const [at, row] of rows.entries())
    for (const [column, value] of Object.entries(row))
      if (!["step", "stage"].includes(column))
        expect(lines[at + 1]![column], `${column} of step ${row["step"]}`).toBe(
          value === "" ? undefined : Number(value),
        );
  expect(lines[0]!["eval/accuracy"]).toBeTypeOf("number");
  expect(server.lines.get("wandb-events.jsonl")).toHaveLength(lines.length);
}

describe("the recorded exchange", () => {
  const run: TrackedRun = {
    directory: "first",
    id: "0123456789abcdef",
    name: "first",
    began: 1795964245,
    recipe: "seed: 1\n",
    values: { seed: 1, optimizer: { lr: 0.01 } },
    config: new Map(),
  };
  const step = (at: number, samples: TrackedStep["samples"] = []): TrackedStep => ({
    index: at - 1,
    step: at,
    wallTime: 1795964245 + 2 * at,
    evaluation: null,
    metrics: {
      step: at,
      wallTime: 1795964245 + 2 * at,
      scalars: new Map([["reward/mean", 0.5 * at]]),
      measured: new Map([["time/step_s", 0.1]]),
    },
    samples,
  });
  const sample = {
    step: 1,
    prompt: "p",
    completion: "<b>c</b>",
    reward: 0.5,
    correct: true,
  } as TrackedStep["samples"][number];
  const service = () => wandbService(run, { base: server.url, key: KEY, project: "rlpt", entity: null });

  /** What is compared: the recipe's file, events and the separate last request are ours alone. */
  const compared = (requests: readonly Recorded[]): unknown[] => {
    const out: unknown[] = [];
    let end: object = {};
    for (const { operation, variables, put, body, authorization } of requests) {
      const files = (variables?.["files"] as string[] | undefined) ?? [];
      if (files.includes("recipe.yaml") || put === "/upload/recipe.yaml") continue;
      if (operation !== undefined)
        out.push({ operation, authorization, variables: { ...variables, ...withoutDigests(files) } });
      else if (put !== undefined) out.push({ put: put.replace(/_[0-9a-f]{20}\./, "."), authorization });
      else {
        const lines = body?.files?.["wandb-history.jsonl"];
        if (lines !== undefined)
          out.push({ offset: lines.offset, lines: lines.content.map(told), authorization });
        if (body?.complete === true) end = { complete: true, exitcode: body.exitcode };
      }
    }
    return [...out, end];
  };
  const withoutDigests = (files: readonly string[]) =>
    files.length === 0 ? {} : { files: files.map((one) => one.replace(/_\d+_[0-9a-f]{20}\./, ".")) };
  const told = (line: string) => {
    const { _runtime, _timestamp, samples, ...rest } = JSON.parse(line) as Record<string, unknown>;
    expect([typeof _runtime, typeof _timestamp]).toEqual(["number", "number"]);
    const kind = samples === undefined ? {} : { samples: Object.keys(samples as object).sort() };
    return { ...rest, ...kind };
  };
  const normal = (requests: readonly Recorded[]) =>
    JSON.parse(
      JSON.stringify(compared(requests))
        .replaceAll(/samples_\d+(_[0-9a-f]+)?\./g, "samples.")
        .replaceAll('": ', '":'),
    ) as unknown[];
  const parsedConfigs = (all: unknown[]): unknown[] =>
    all.map((one) => {
      const { variables } = one as { variables?: { config?: string } };
      return variables?.config === undefined
        ? one
        : {
            ...(one as object),
            variables: { ...variables, config: JSON.parse(variables.config) as unknown },
          };
    });

  it("of a new run, and of one that was taken up again, is what is sent", async () => {
    const first = service();
    await first.open();
    await first.send([step(1, [sample]), step(2)]);
    await first.end("finished");
    expect(parsedConfigs(normal(server.requests))).toEqual(parsedConfigs(normal(recorded.new)));
    expect([...server.uploads.keys()].sort()[0]).toMatch(/^media\/html\/samples_1_/);
    expect([...server.uploads.values()].join("")).toContain("&lt;b&gt;c&lt;/b&gt;");

    server.requests.length = 0;
    const second = service();
    await second.open();
    await second.send([step(1, [sample]), step(2), step(3), step(4)]);
    await second.end("finished");
    expect(parsedConfigs(normal(server.requests))).toEqual(parsedConfigs(normal(recorded.resumed)));
    expect(history().map((line) => line["_step"])).toEqual([1, 2, 3, 4]);

    await second.alive!();
    expect(server.requests.at(-1)!.body).toEqual(recorded.silence.body);
  });
});

describe("a run", () => {
  it("is there whole, though answers were lost and it was taken up again", { timeout: 120_000 }, async () => {
    await runTraining(file, { runDir: space.path("run"), set: ["run.track=[wandb]"], steps: "2" });
    expect(history().map((line) => line["_step"])).toEqual([0, 1, 2]);
    expect(server.ends).toEqual([{ complete: true, exitcode: 0 }]);
    await runTraining(undefined, { resume: space.path("run"), steps: "6" });
    expectEveryPoint("run");
    expect(server.uploads.get("recipe.yaml")).toBe(readFileSync(space.path("run/recipe.yaml"), "utf8"));

    // what it says it did not take, it had taken
    server.lines.clear();
    server.failures.push(500, 503);
    const { status, out, err } = await command("track", space.path("run"), "--to", "wandb", "--json");
    expect(status, err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ steps: 6, tracker: "wandb" });
    expectEveryPoint("run");
  });

  it("says what a wrong key is told, and writes no key anywhere", { timeout: 60_000 }, async () => {
    vi.stubEnv("WANDB_API_KEY", `x${KEY}`);
    const { status, err } = await command("track", space.path("run"), "--to", "wandb");
    expect(status).toBe(1);
    expect(err).toContain("answered 401");
    const secrets = [KEY, Buffer.from(`api:x${KEY}`).toString("base64")];
    for (const secret of secrets) expect(err).not.toContain(secret);
    const files = readdirSync(space.path("run"), { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    expect(files.length).toBeGreaterThan(5);
    for (const { parentPath, name } of files)
      expect(readFileSync(join(parentPath, name)).includes(KEY), name).toBe(false);
  });
});
