/**
 * A run in Weights & Biases: GraphQL for the run, and its stream of files for what it tells. A line of a file has its number, so a
 * line that is sent twice is there once.
 */
import type { TrackedStep } from "./follow-run.ts";
import { addressOf, basicAuth, httpServer, ServiceError, sha256 } from "./http.ts";
import { shownText } from "./run-rows.ts";
import {
  type RunEnd,
  type Service,
  type Setting,
  sampleColumns,
  scalarsOf,
  type TrackedRun,
} from "./service.ts";

export interface WandbSettings {
  base: string;
  key: string;
  project: string;
  /** Null: the key's own. */
  entity: string | null;
}

const VARIABLE = "WANDB_BASE_URL";
const CLOUD = "https://api.wandb.ai";

export function wandbSettings(env: NodeJS.ProcessEnv): Setting<WandbSettings> {
  const key = (env["WANDB_API_KEY"] ?? "").trim();
  if (key === "")
    return { reason: "WANDB_API_KEY is not set", fix: "export WANDB_API_KEY=..., a key of your account" };
  const address = addressOf(env["WANDB_BASE_URL"] || CLOUD);
  if (address === null)
    return {
      reason: `${VARIABLE} is no address of a server`,
      fix: "give one that begins with https://, or unset it",
    };
  const project = env["WANDB_PROJECT"] || "rlpt";
  if (/[/\\#?%:]/.test(project) || project.length > 128)
    return {
      reason: "WANDB_PROJECT is no name of a project",
      fix: "use at most 128 characters, none of / \\ # ? % :",
    };
  return { settings: { base: address.base, key, project, entity: env["WANDB_ENTITY"] || null } };
}

const RUN_STATUS = `query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    bucket(name: $name, missingOk: true) { id historyLineCount eventsLineCount }
  }
}`;

const UPSERT = `mutation UpsertBucket(
  $id: String, $name: String, $project: String, $entity: String, $displayName: String, $config: JSONString
) {
  upsertBucket(input: {
    id: $id, name: $name, modelName: $project, entityName: $entity, displayName: $displayName, config: $config
  }) {
    bucket { id name project { name entity { name } } }
    inserted
  }
}`;

const CREATE_FILES = `mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: { entityName: $entity, projectName: $project, runName: $run, files: $files }) {
    uploadHeaders
    files { name uploadUrl }
  }
}`;

interface Bucket {
  id: string;
  historyLineCount?: number;
  eventsLineCount?: number;
}

export function wandbService(run: TrackedRun, { base, key, project, entity }: WandbSettings): Service {
  const authorization = basicAuth("api", key);
  const server = httpServer({
    name: "Weights & Biases",
    base,
    headers: { authorization },
    secrets: [key, authorization.split(" ")[1]!],
    variable: VARIABLE,
  });
  const ask = async <Data>(query: string, variables: object): Promise<Data> => {
    const answer = (await server({ path: "graphql", json: { query, variables } })) as {
      data?: Data | null;
      errors?: readonly { message?: string }[];
    } | null;
    if (answer?.data === undefined || answer.data === null || (answer.errors?.length ?? 0) > 0) {
      const said = answer?.errors?.map(({ message }) => message).join("; ") ?? "nothing";
      throw new ServiceError(
        `Weights & Biases at ${base} refuses: ${said.replaceAll(key, "***")}`,
        200,
        said,
      );
    }
    return answer.data;
  };
  let place = { entity: entity ?? "", project };
  /** Lines that it has of each file. */
  let has = { history: 0, events: 0 };
  let last: Record<string, unknown> = {};

  const stream = (json: object): Promise<unknown> => {
    const path = [place.entity, place.project, run.id].map(encodeURIComponent).join("/");
    return server({ path: `files/${path}/file_stream`, json });
  };
  const upload = async (files: ReadonlyMap<string, { text: string; type: string }>): Promise<void> => {
    const { createRunFiles: made } = await ask<{
      createRunFiles: {
        uploadHeaders?: readonly string[];
        files: readonly { name: string; uploadUrl: string }[];
      };
    }>(CREATE_FILES, { ...place, run: run.id, files: [...files.keys()] });
    const headers = Object.fromEntries(
      (made.uploadHeaders ?? []).map((line) => [
        line.slice(0, line.indexOf(":")).trim(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]),
    );
    for (const { name, uploadUrl } of made.files) {
      const { text, type } = files.get(name)!;
      // the address is signed, and of another host
      const elsewhere = { url: new URL(uploadUrl, base).href, headers };
      await server({ method: "PUT", path: "", elsewhere, body: { bytes: Buffer.from(text, "utf8"), type } });
    }
  };
  const timed = ({ wallTime }: TrackedStep) => ({
    _timestamp: wallTime,
    _runtime: Math.max(0, wallTime - run.began),
  });

  return {
    async open() {
      const { model } = await ask<{ model: { bucket: Bucket | null } | null }>(RUN_STATUS, {
        project,
        entity,
        name: run.id,
      });
      const bucket = model?.bucket ?? null;
      const { upsertBucket } = await ask<{
        upsertBucket: { bucket: { project: { name: string; entity: { name: string } } } };
      }>(UPSERT, {
        id: bucket?.id ?? null,
        name: run.id,
        project,
        entity,
        displayName: run.name,
        config: JSON.stringify(
          Object.fromEntries(Object.entries(run.values).map(([name, value]) => [name, { value }])),
        ),
      });
      const { project: its } = upsertBucket.bucket;
      place = { entity: its.entity.name, project: its.name };
      has = { history: bucket?.historyLineCount ?? 0, events: bucket?.eventsLineCount ?? 0 };
      await upload(new Map([["recipe.yaml", { text: run.recipe, type: "text/plain; charset=utf-8" }]]));
    },

    async send(steps) {
      const lines: string[] = [];
      for (const told of steps) {
        const fresh = told.index >= has.history;
        const media = fresh ? await storeSamples(told, upload) : {};
        const line = {
          _step: told.step,
          ...timed(told),
          ...Object.fromEntries(scalarsOf(told)),
          ...media,
        };
        last = { ...last, ...line };
        if (fresh) lines.push(JSON.stringify(line));
      }
      const events = steps
        .filter(({ index }) => index >= has.events)
        .map((told) => JSON.stringify({ _wandb: true, ...timed(told), ...systemFigures(told) }));
      if (lines.length === 0 && events.length === 0) return;
      await stream({
        files: {
          ...(lines.length === 0 ? {} : { "wandb-history.jsonl": { offset: has.history, content: lines } }),
          ...(events.length === 0 ? {} : { "wandb-events.jsonl": { offset: has.events, content: events } }),
          "wandb-summary.json": { offset: 0, content: [JSON.stringify(last)] },
        },
      });
      has = { history: has.history + lines.length, events: has.events + events.length };
    },

    // a run that says nothing for some minutes is taken for dead
    async alive() {
      await stream({});
    },

    async end(how) {
      await stream({ complete: true, exitcode: exitCodes[how] });
    },

    address: () =>
      `${base === CLOUD ? "https://wandb.ai" : base}/${place.entity}/${place.project}/runs/${run.id}`,
  };
}

const exitCodes: Readonly<Record<RunEnd, number>> = { finished: 0, failed: 1, interrupted: 130 };

/** As the client of Weights & Biases names it. */
function systemFigures(told: TrackedStep): object {
  const peak = scalarsOf(told).get("time/peak_rss_mb");
  return peak === undefined ? {} : { "system.proc.memory.rssMB": peak };
}

/** A page with the table, as the client's Html writes one. @returns what the line says of it */
async function storeSamples(
  { step, samples }: TrackedStep,
  upload: (files: ReadonlyMap<string, { text: string; type: string }>) => Promise<void>,
): Promise<object> {
  if (samples.length === 0) return {};
  const cells = (tag: string, texts: readonly string[]) =>
    `<tr>${texts.map((text) => `<${tag} style="white-space:pre-wrap">${escaped(text)}</${tag}>`).join("")}</tr>`;
  const rows = samples.map((one) =>
    cells("td", [
      String(one.step),
      shownText(one.prompt),
      shownText(one.completion),
      String(one.reward),
      one.correct ? "yes" : "no",
    ]),
  );
  const text = `<!doctype html><meta charset="utf-8"><table border="1">${cells("th", sampleColumns)}${rows.join("")}</table>`;
  const digest = sha256(text).toString("hex");
  const path = `media/html/samples_${step}_${digest.slice(0, 20)}.html`;
  await upload(new Map([[path, { text, type: "text/html; charset=utf-8" }]]));
  return { samples: { _type: "html-file", path, sha256: digest, size: Buffer.byteLength(text) } };
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
