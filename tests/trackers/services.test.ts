/** MLflow's and trackio's own servers: they show every point of metrics.csv once, after a kill, and after an hour without them. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { trackedRun } from "../../src/trackers/tracked-run.ts";
import { command } from "../helpers/command.ts";
import { optionalPart } from "../helpers/optional.ts";
import { pythonEnvironment } from "../helpers/python.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";
import { mlflowServer, type TrackingServer, trackioServer } from "../helpers/tracking-servers.ts";

const space = workspace();
afterAll(space.remove);
afterEach(() => vi.unstubAllEnvs());
const file = space.write("a.yaml", tinyGrpo);
const PATIENCE = { timeout: 300_000 };
const SECRET = "write-token-that-is-nowhere";

/** Points as "step name": [step, value]... of a run, as its service shows them. */
type Points = Map<string, [step: number, value: number][]>;

/** How a service is asked, in its own words. */
interface Asked {
  python: string;
  start: (python: string, folder: string) => Promise<TrackingServer>;
  env: (url: string) => Record<string, string>;
  /** Every point of one metric. */
  points: (url: string, run: string, metric: string) => Promise<[step: number, value: number][]>;
  /** What else is shown. */
  rest: (
    url: string,
    run: string,
  ) => Promise<{ config: unknown; samples: unknown; recipe?: string; state?: string }>;
}

async function json<T>(url: string, body?: unknown): Promise<T> {
  const response = await fetch(url, {
    ...(body === undefined
      ? {}
      : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  expect(response.ok, `${url}: ${response.status}`).toBe(true);
  return (await response.json()) as T;
}

interface MlflowRun {
  info: { run_id: string; experiment_id: string; status: string; artifact_uri: string };
  data: { params: { key: string; value: string }[] };
}

async function mlflowRun(url: string, run: string): Promise<MlflowRun | null> {
  const found = await fetch(`${url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=tests`);
  if (!found.ok) return null;
  const { experiment } = (await found.json()) as { experiment: { experiment_id: string } };
  const { runs } = await json<{ runs?: MlflowRun[] }>(`${url}/api/2.0/mlflow/runs/search`, {
    experiment_ids: [experiment.experiment_id],
    filter: `attributes.run_name = '${run}'`,
  });
  expect(runs?.length ?? 0).toBeLessThan(2);
  return runs?.[0] ?? null;
}

const mlflow: Omit<Asked, "python"> = {
  start: mlflowServer,
  env: (url) => ({ MLFLOW_TRACKING_URI: url, MLFLOW_EXPERIMENT_NAME: "tests" }),
  async points(url, run, metric) {
    const found = await mlflowRun(url, run);
    if (found === null) return [];
    // MLflow takes no "=" in names: slice/level=1/accuracy
    const name = (/^(time|memory)\//.test(metric) ? `system/${metric}` : metric).replaceAll("=", "-");
    const query = new URLSearchParams({ run_id: found.info.run_id, metric_key: name, max_results: "25000" });
    const { metrics = [] } = await json<{ metrics?: { step: number; value: number }[] }>(
      `${url}/api/2.0/mlflow/metrics/get-history?${query}`,
    );
    return metrics.map(({ step, value }) => [Number(step), value]);
  },
  async rest(url, run) {
    const { info, data } = (await mlflowRun(url, run))!;
    const artifact = (name: string) =>
      fetch(`${url}/get-artifact?${new URLSearchParams({ run_uuid: info.run_id, path: name })}`).then(
        (response) => response.text(),
      );
    return {
      config: data.params.find(({ key }) => key === "optimizer.lr")?.value,
      samples: (JSON.parse(await artifact("samples/step-000001.json")) as { data: unknown[][] }).data[0]![0],
      recipe: await artifact("recipe.yaml"),
      state: info.status,
    };
  },
};

async function trackioCall<T>(url: string, name: string, kwargs: object): Promise<T> {
  const { data } = await json<{ data: T }>(`${url}/api/${name}`, {
    args: [],
    kwargs: { project: "tests", ...kwargs },
  });
  return data;
}

const trackio: Omit<Asked, "python"> = {
  start: (python, folder) => trackioServer(python, folder, SECRET),
  env: (url) => ({
    TRACKIO_SERVER_URL: `${url}/?write_token=${SECRET}`,
    TRACKIO_PROJECT: "tests",
    TRACKIO_SPACE_ID: "",
  }),
  async points(url, run, metric) {
    const name = /^(time|memory)\//.test(metric) ? "get_system_logs" : "get_logs";
    const logs = await trackioCall<Record<string, number>[]>(url, name, { run });
    return logs.flatMap((log) => (metric in log ? [[log["step"]!, log[metric]!] as [number, number]] : []));
  },
  async rest(url, run) {
    const configs = await trackioCall<Record<string, Record<string, unknown>>>(url, "get_run_configs", {});
    const config = Object.values(configs).find((one) => one["run.name"] === run) ?? Object.values(configs)[0];
    const logs = await trackioCall<Record<string, unknown>[]>(url, "get_logs", { run });
    const table = logs.find(({ step }) => step === 1)?.["samples"] as { _value: { step: number }[] };
    return { config: String(config?.["optimizer.lr"]), samples: table._value[0]!.step };
  },
};

const environments = { mlflow: pythonEnvironment("mlflow"), trackio: pythonEnvironment("trackio") };

for (const [name, asked] of Object.entries({ mlflow, trackio })) {
  const { python, reason } = environments[name as keyof typeof environments];
  optionalPart(
    `${name}'s own server`,
    python !== null,
    reason,
  )(() => {
    let server: TrackingServer;
    beforeAll(async () => {
      await mkdir(space.path(name));
      server = await asked.start(python!, space.path(name));
    }, 300_000);
    afterAll(() => server?.stop());
    const stubEnvironment = (): Record<string, string> => {
      const env = asked.env(server.url);
      for (const [key, value] of Object.entries(env)) vi.stubEnv(key, value);
      return env;
    };
    /** Every column that has numbers, as the service shows it and as the run's file has it. */
    const expectEveryPoint = async (run: string): Promise<void> => {
      const rows = rowsWithoutTime(space.path(`${run}/metrics.csv`));
      const columns = Object.keys(rows[0]!).filter((column) => column !== "step" && column !== "stage");
      const shown: Points = new Map();
      for (const column of [...columns, "time/step_s"])
        shown.set(column, await asked.points(server.url, run, column));
      for (const column of columns) {
        const expected = rows.flatMap((row) =>
          row[column] === "" ? [] : [[Number(row["step"]), Number(row[column])]],
        );
        expect(shown.get(column), column).toEqual(expected);
      }
      expect(shown.get("time/step_s")!.map(([step]) => step)).toEqual(rows.map((row) => Number(row["step"])));
      const evaluated = rowsWithoutTime(space.path(`${run}/eval.csv`))
        .filter(({ slice }) => slice === "all")
        .map((row) => [Number(row["step"]), Number(row["accuracy"])]);
      expect(await asked.points(server.url, run, "eval/accuracy")).toEqual(evaluated);
    };

    it("is away while a run trains, and has all of it afterwards, once", PATIENCE, async () => {
      stubEnvironment();
      const run = `${name} away`;
      const begun = performance.now();
      await runTraining(file, { runDir: space.path(run), set: [`run.track=[${name}]`] });
      // the end of the run waits for nobody who stays away
      expect(performance.now() - begun).toBeLessThan(120_000);
      const refused = await command("track", space.path(run), "--to", name);
      expect(refused.status).toBe(1);
      expect(refused.err).toContain("ECONNREFUSED");
      await server.start();
      for (let times = 0; times < 2; times++) {
        const { status, out, err } = await command("track", space.path(run), "--to", name);
        expect(status, err).toBe(0);
        expect(out).toContain(`4 steps are in ${name}`);
        expect(out).not.toContain(SECRET);
        await expectEveryPoint(run);
      }
    });

    it("shows a run that was killed and resumed, each point once", PATIENCE, async () => {
      const env = stubEnvironment();
      await server.start();
      const run = `${name} killed`;
      const child = spawn(
        process.execPath,
        [
          ...["bin/rlpt.js", "train", file, "--out", space.path(run), "--backend", "wasm", "--quiet"],
          ...["--steps", "100000", "--set", `run.track=[${name}]`, "--set", "run.checkpoint_every=20"],
          ...["--set", "eval.every=10"],
        ],
        { env: { ...process.env, ...env }, stdio: "ignore" },
      );
      const gone = new Promise((resolve) => child.once("exit", resolve));
      try {
        let last = 0;
        while (last < 25 && child.exitCode === null) {
          await sleep(100);
          last = (await asked.points(server.url, run, "reward/mean")).at(-1)?.[0] ?? 0;
        }
        expect(last).toBeGreaterThanOrEqual(25);
      } finally {
        child.kill("SIGKILL");
        await gone;
      }
      // steps from 21 on are made a second time, and the server has at least five of them
      for (const name of readdirSync(space.path(`${run}/checkpoints`)))
        if (Number.parseInt(name, 10) > 20)
          rmSync(space.path(`${run}/checkpoints/${name}`), { recursive: true });
      const made = rowsWithoutTime(space.path(`${run}/metrics.csv`)).length;
      await runTraining(undefined, { resume: space.path(run), steps: String(made + 3) });
      await expectEveryPoint(run);
      const { config, samples, recipe, state } = await asked.rest(server.url, run);
      expect(config).toBe("0.01");
      expect(samples).toBe(1);
      if (recipe !== undefined) expect(recipe).toBe(readFileSync(space.path(`${run}/recipe.yaml`), "utf8"));
      if (state !== undefined) expect(state).toBe("FINISHED");
      expect(trackedRun(space.path(run)).id).not.toBe(trackedRun(space.path(`${name} away`)).id);
    });
  });
}
