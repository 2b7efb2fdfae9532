/** A run in MLflow, by its REST API 2.0 (experiments, runs, artifacts through the server). */
import type { SampleRecord } from "../run/samples.ts";
import type { TrackedStep } from "./follow-run.ts";
import { addressOf, basicAuth, type HttpServer, httpServer, ServiceError } from "./http.ts";
import { shownText } from "./run-rows.ts";
import {
  isSystemFigure,
  type Service,
  type Setting,
  sampleColumns,
  scalarsOf,
  type TrackedRun,
} from "./service.ts";

export interface MlflowSettings {
  /** Of the tracking server. */
  base: string;
  /** The header that says who asks; null: nobody. */
  authorization: string | null;
  secrets: readonly string[];
  experiment: string;
}

const VARIABLE = "MLFLOW_TRACKING_URI";
/** What one request may hold. */
const METRICS_AT_ONCE = 1_000;
const PARAMS_AT_ONCE = 100;
/** Of a parameter's value; what older servers take. */
const PARAM_CHARACTERS = 500;
const NAME_CHARACTERS = 250;
/** Tables of samples that the page of a run lists. */
const LISTED_TABLES = 20;
const RUN_TAG = "rlpt.run";
const TABLES_TAG = "mlflow.loggedArtifacts";

export function mlflowSettings(env: NodeJS.ProcessEnv): Setting<MlflowSettings> {
  const given = env["MLFLOW_TRACKING_URI"] ?? "";
  if (given === "")
    return {
      reason: `${VARIABLE} is not set`,
      fix: `export ${VARIABLE}=http://HOST:5000, the address of an MLflow server`,
    };
  const address = addressOf(given);
  if (address === null)
    return {
      reason: `${VARIABLE} is no address of a server`,
      fix: "give one that begins with http:// or https://; for a folder or a database start `mlflow server` on it",
    };
  const token = env["MLFLOW_TRACKING_TOKEN"] ?? "";
  const user = env["MLFLOW_TRACKING_USERNAME"] || address.user;
  const password = env["MLFLOW_TRACKING_PASSWORD"] || address.password;
  if (token === "" && (user === "") !== (password === ""))
    return {
      reason: `MLFLOW_TRACKING_${user === "" ? "USERNAME" : "PASSWORD"} is not set`,
      fix: "set both MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or neither",
    };
  const authorization = token !== "" ? `Bearer ${token}` : user === "" ? null : basicAuth(user, password);
  return {
    settings: {
      base: address.base,
      authorization,
      secrets: [token, password, authorization?.split(" ")[1] ?? ""].filter((secret) => secret !== ""),
      experiment: env["MLFLOW_EXPERIMENT_NAME"] || "rlpt",
    },
  };
}

interface ServerRun {
  info: { run_id: string; artifact_uri?: string; status?: string };
  data?: {
    /** The last of each name: largest step. */
    metrics?: readonly { key: string; step?: number | string }[];
    params?: readonly { key: string }[];
    tags?: readonly { key: string; value: string }[];
  };
}

export function mlflowService(run: TrackedRun, settings: MlflowSettings): Service {
  const { base, authorization, secrets, experiment } = settings;
  const server = httpServer({
    name: "MLflow",
    base,
    headers: authorization === null ? {} : { authorization },
    secrets,
    variable: VARIABLE,
  });
  const post = (path: string, json: unknown) => server({ path: `api/2.0/mlflow/${path}`, json });
  let experimentId = "";
  let runId = "";
  /** Null: the server does not take artifacts, they lie elsewhere. */
  let artifacts: string | null = null;
  /** Last step by name. */
  let has = new Map<string, number>();
  let tables: readonly { path: string; type: string }[] = [];
  let lastTime = run.began;

  const storeTables = async (steps: readonly TrackedStep[]): Promise<void> => {
    if (artifacts === null) return;
    const shown = steps.filter(({ samples }) => samples.length > 0);
    for (const { step, samples } of shown) {
      await putArtifact(server, `${artifacts}/${tableName(step)}`, sampleTable(samples), "application/json");
    }
    if (shown.length === 0) return;
    const added = shown.map(({ step }) => ({ path: tableName(step), type: "table" }));
    const before = tables.filter(({ path }) => !added.some((one) => one.path === path));
    tables = [...before, ...added].slice(-LISTED_TABLES);
    await post("runs/set-tag", { run_id: runId, key: TABLES_TAG, value: JSON.stringify(tables) });
  };

  return {
    async open() {
      experimentId = await openExperiment(server, experiment);
      const found = await findRun(server, experimentId, run.id);
      const there = found ?? (await createRun(server, experimentId, run));
      runId = there.info.run_id;
      artifacts = artifactPath(there.info.artifact_uri ?? "");
      has = new Map(there.data?.metrics?.map(({ key, step }) => [key, Number(step ?? 0)]) ?? []);
      tables = listedTables(there.data?.tags?.find(({ key }) => key === TABLES_TAG)?.value);
      if (found !== null) await post("runs/update", { run_id: runId, status: "RUNNING" });
      // a parameter never changes there: what a resume changed is in recipe.yaml
      const known = new Set(there.data?.params?.map(({ key }) => key) ?? []);
      // two names that become one there would be refused
      const values = new Map([...run.config].map(([key, value]) => [mlflowName(key), String(value)]));
      const params = [...values]
        .map(([key, value]) => ({ key, value: value.slice(0, PARAM_CHARACTERS) }))
        .filter(({ key }) => !known.has(key));
      for (const some of chunks(params, PARAMS_AT_ONCE))
        await post("runs/log-batch", { run_id: runId, params: some });
      if (artifacts !== null)
        await putArtifact(server, `${artifacts}/recipe.yaml`, run.recipe, "text/plain; charset=utf-8");
    },

    async send(steps) {
      const fresh: { key: string; value: number; timestamp: number; step: number }[] = [];
      const news: TrackedStep[] = [];
      for (const told of steps) {
        const before = fresh.length;
        const values = new Map([...scalarsOf(told)].map(([name, value]) => [metricName(name), value]));
        for (const [key, value] of values) {
          if (told.step > (has.get(key) ?? -1))
            fresh.push({ key, value, timestamp: Math.round(1000 * told.wallTime), step: told.step });
        }
        if (fresh.length > before) news.push(told);
      }
      // first, since a step whose metrics are there is told no more
      await storeTables(news);
      for (const some of chunks(fresh, METRICS_AT_ONCE))
        await post("runs/log-batch", { run_id: runId, metrics: some });
      for (const { key, step } of fresh) has.set(key, step);
      lastTime = steps.at(-1)?.wallTime ?? lastTime;
    },

    async end(how) {
      const status = { finished: "FINISHED", interrupted: "KILLED", failed: "FAILED" }[how];
      await post("runs/update", { run_id: runId, status, end_time: Math.round(1000 * lastTime) });
    },

    address: () => `${base}/#/experiments/${experimentId}/runs/${runId}`,
  };
}

async function openExperiment(server: HttpServer, name: string): Promise<string> {
  const ask = async (): Promise<string> => {
    const { experiment } = (await server({
      method: "GET",
      path: "api/2.0/mlflow/experiments/get-by-name",
      query: { experiment_name: name },
    })) as { experiment: { experiment_id: string; lifecycle_stage?: string } };
    if (experiment.lifecycle_stage === "deleted")
      throw new ServiceError(
        `MLflow's experiment "${name}" is deleted; restore it there, or set MLFLOW_EXPERIMENT_NAME to another.`,
        409,
        "",
      );
    return experiment.experiment_id;
  };
  try {
    return await ask();
  } catch (error) {
    if (!says(error, "RESOURCE_DOES_NOT_EXIST")) throw error;
  }
  try {
    const made = await server({ path: "api/2.0/mlflow/experiments/create", json: { name } });
    return (made as { experiment_id: string }).experiment_id;
  } catch (error) {
    // another run was quicker
    if (!says(error, "RESOURCE_ALREADY_EXISTS")) throw error;
    return ask();
  }
}

const says = (error: unknown, code: string): boolean =>
  error instanceof ServiceError && error.answer.includes(code);

async function findRun(server: HttpServer, experimentId: string, id: string): Promise<ServerRun | null> {
  const { runs } = (await server({
    path: "api/2.0/mlflow/runs/search",
    json: { experiment_ids: [experimentId], filter: `tags.\`${RUN_TAG}\` = '${id}'`, max_results: 1 },
  })) as { runs?: readonly ServerRun[] };
  return runs?.[0] ?? null;
}

async function createRun(server: HttpServer, experimentId: string, run: TrackedRun): Promise<ServerRun> {
  const { run: made } = (await server({
    path: "api/2.0/mlflow/runs/create",
    json: {
      experiment_id: experimentId,
      run_name: run.name,
      start_time: Math.round(1000 * run.began),
      tags: [
        { key: RUN_TAG, value: run.id },
        { key: "mlflow.source.name", value: "rlpt" },
        { key: "mlflow.source.type", value: "LOCAL" },
      ],
    },
  })) as { run: ServerRun };
  return made;
}

/** Where the server takes artifacts of the run; null where it does not, since they lie in a store of their own. */
function artifactPath(uri: string): string | null {
  const match = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.+)$/.exec(uri);
  return match === null ? null : match[1]!;
}

const putArtifact = (server: HttpServer, path: string, text: string, type: string): Promise<unknown> =>
  server({
    method: "PUT",
    path: `api/2.0/mlflow-artifacts/artifacts/${path.split("/").map(encodeURIComponent).join("/")}`,
    body: { bytes: Buffer.from(text, "utf8"), type },
  });

const tableName = (step: number): string => `samples/step-${String(step).padStart(6, "0")}.json`;

function listedTables(tag: string | undefined): { path: string; type: string }[] {
  try {
    const value: unknown = JSON.parse(tag ?? "[]");
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** As MLflow's own log_table writes one. */
function sampleTable(samples: readonly SampleRecord[]): string {
  const data = samples.map(({ step, prompt, completion, reward, correct }) => [
    step,
    shownText(prompt),
    shownText(completion),
    reward,
    correct,
  ]);
  return JSON.stringify({ columns: sampleColumns, data });
}

/** Figures of the machine stand on a page of their own, by this prefix. */
const metricName = (name: string): string => mlflowName(isSystemFigure(name) ? `system/${name}` : name);

/** MLflow takes letters, digits, and `_ - . : / ` and space in names, as parts of a path. */
export function mlflowName(name: string): string {
  return name
    .replaceAll(/[^\p{L}\p{N}_.\-: /]/gu, "-")
    .split("/")
    .filter((part) => !/^\.{0,2}$/.test(part))
    .join("/")
    .slice(0, NAME_CHARACTERS);
}

function* chunks<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
