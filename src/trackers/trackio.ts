/** A run in trackio: its server's own interface (POST /api/NAME), of a server or of a Space. */
import type { TrackedStep } from "./follow-run.ts";
import { addressOf, httpServer, ServiceError } from "./http.ts";
import { shownText } from "./run-rows.ts";
import {
  isSystemFigure,
  type Service,
  type Setting,
  sampleColumns,
  scalarsOf,
  type TrackedRun,
} from "./service.ts";

export interface TrackioSettings {
  base: string;
  /** Of the server's write-access address; null for a Space, which takes a token of the Hub. */
  writeToken: string | null;
  hubToken: string | null;
  project: string;
}

/** Of the interface that is spoken here. */
const API_VERSION = 1;

export function trackioSettings(env: NodeJS.ProcessEnv): Setting<TrackioSettings> {
  const [server, space] = [env["TRACKIO_SERVER_URL"] ?? "", env["TRACKIO_SPACE_ID"] ?? ""];
  const project = env["TRACKIO_PROJECT"] || "rlpt";
  if (server === "" && space === "")
    return {
      reason: "neither TRACKIO_SERVER_URL nor TRACKIO_SPACE_ID is set",
      fix: "export TRACKIO_SERVER_URL as `trackio show` prints it with its write_token, or TRACKIO_SPACE_ID=USER/SPACE",
    };
  if (server !== "" && space !== "")
    return { reason: "both TRACKIO_SERVER_URL and TRACKIO_SPACE_ID are set", fix: "set one of them" };
  if (server === "" && !/^[\w.-]+\/[\w.-]+$/.test(space))
    return { reason: "TRACKIO_SPACE_ID is no USER/SPACE", fix: "give the Space as USER/SPACE" };
  const address = addressOf(server === "" ? spaceAddress(space) : server);
  if (address === null)
    return {
      reason: "TRACKIO_SERVER_URL is no address of a server",
      fix: "give one that begins with http:// or https://",
    };
  const { base, query } = address;
  // the Hub's token goes to Spaces alone
  if (new URL(base).hostname.endsWith(".hf.space")) {
    const hubToken = env["HF_TOKEN"] ?? "";
    if (hubToken === "")
      return { reason: "HF_TOKEN is not set", fix: "export a token of the Hub that may write to the Space" };
    return { settings: { base, writeToken: null, hubToken, project } };
  }
  const writeToken = query.get("write_token") || (env["TRACKIO_WRITE_TOKEN"] ?? "");
  if (writeToken === "")
    return {
      reason: "TRACKIO_WRITE_TOKEN is not set",
      fix: "export it, or give TRACKIO_SERVER_URL with the ?write_token=... that `trackio show` prints",
    };
  return { settings: { base, writeToken, hubToken: null, project } };
}

function spaceAddress(space: string): string {
  const [owner, name] = space.split("/");
  return `https://${`${owner}-${name}`.toLowerCase().replaceAll(/[_.]/g, "-")}.hf.space`;
}

export function trackioService(run: TrackedRun, settings: TrackioSettings): Service {
  const { base, writeToken, hubToken, project } = settings;
  const server = httpServer({
    name: "trackio",
    base,
    headers: {
      ...(writeToken === null ? {} : { "x-trackio-write-token": writeToken }),
      ...(hubToken === null ? {} : { authorization: `Bearer ${hubToken}` }),
    },
    secrets: [writeToken ?? "", hubToken ?? ""],
    variable: "TRACKIO_SERVER_URL",
  });
  const call = async (name: string, kwargs: object): Promise<unknown> => {
    const answer = await server({ path: `api/${name}`, json: { args: [], kwargs } });
    return (answer as { data?: unknown } | null)?.data;
  };
  const of = { project, run: run.name, run_id: run.id };
  let last = -1;

  return {
    async open() {
      const version = (await server({ method: "GET", path: "version" })) as { api_version?: unknown } | null;
      if (version?.api_version !== API_VERSION)
        throw new ServiceError(
          `${base} speaks another interface than trackio's ${API_VERSION}; trackio 0.43 speaks it.`,
          200,
          "",
        );
      const summary = (await call("get_run_summary", of)) as { last_step?: number | null } | null;
      last = summary?.last_step ?? -1;
    },

    async send(steps) {
      // the last one may be there in part; what has an id that is there already is left out by the server
      const fresh = steps.filter(({ step }) => step >= last);
      if (fresh.length === 0) return;
      const config = { ...Object.fromEntries(run.config), _Created: isoTime(run.began) };
      const logs = fresh.map((told, at) => ({
        ...of,
        step: told.step,
        log_id: `${run.id}:${told.step}`,
        metrics: { ...learnt(told), ...samplesTable(told) },
        // once a request: a run has one
        ...(at === 0 ? { config } : {}),
      }));
      const figures = fresh.filter(({ metrics }) => metrics !== null);
      const system = figures.map((told) => ({
        ...of,
        timestamp: isoTime(told.wallTime),
        log_id: `${run.id}:${told.step}:system`,
        metrics: { step: told.step, ...ofMachine(told) },
      }));
      // first: the last step that the server knows is one of the logs
      if (system.length > 0) await call("bulk_log_system", { logs: system, hf_token: null });
      await call("bulk_log", { logs, hf_token: null });
      last = fresh.at(-1)!.step;
    },

    // a run has no state there
    end: async () => {},

    address: () => `${base}/?project=${encodeURIComponent(project)}`,
  };
}

const isoTime = (seconds: number): string => new Date(1000 * seconds).toISOString();

const learnt = (step: TrackedStep): Record<string, number> =>
  Object.fromEntries([...scalarsOf(step)].filter(([name]) => !isSystemFigure(name)));

const ofMachine = (step: TrackedStep): Record<string, number> =>
  Object.fromEntries([...scalarsOf(step)].filter(([name]) => isSystemFigure(name)));

/** As trackio.Table writes one. */
function samplesTable({ samples }: TrackedStep): object {
  if (samples.length === 0) return {};
  const rows = samples.map(({ step, prompt, completion, reward, correct }) =>
    Object.fromEntries(
      [step, shownText(prompt), shownText(completion), reward, correct].map((cell, i) => [
        sampleColumns[i]!,
        cell,
      ]),
    ),
  );
  return { samples: { _type: "trackio.table", _value: rows } };
}
