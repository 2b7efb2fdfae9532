/**
 * Answers as the server of Weights & Biases did to its client, and takes only what that client sends: names of operations, variables,
 * inputs, fields, files and keys are those of the recorded exchange. A line of a file has its number: a second one takes its place.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

interface Operation {
  variables: Record<string, string>;
  root: string;
  arguments: Record<string, string>;
  inner?: Record<string, Record<string, string>>;
  fields: string[];
}

export interface Recorded {
  post?: string;
  put?: string;
  authorization: boolean;
  operation?: string;
  variables?: Record<string, unknown>;
  body?: StreamBody;
  bytes?: number;
}

interface StreamBody {
  files?: Record<string, { offset: number; content: string[] }>;
  complete?: boolean;
  exitcode?: number;
}

export interface Exchange {
  graphql: Record<string, Operation>;
  new: Recorded[];
  resumed: Recorded[];
  silence: Recorded;
  events: { file: string; line: Record<string, unknown> };
}

export const recorded = JSON.parse(
  readFileSync(new URL("../fixtures/trackers/wandb-0.31.0.json", import.meta.url), "utf8"),
) as Exchange;

export interface WandbServer {
  url: string;
  requests: Recorded[];
  /** What was sent that the recorded client does not send. */
  strange: string[];
  /** Files by name, their lines by number. */
  lines: Map<string, string[]>;
  uploads: Map<string, string>;
  ends: { complete: boolean; exitcode: number }[];
  /** Statuses of the next answers to streams, after what they say was taken; none: 200. */
  failures: number[];
  close(): Promise<void>;
}

const HISTORY = ["_step", "_runtime", "_timestamp"];

export async function wandbServer(key: string): Promise<WandbServer> {
  const authorization = `Basic ${Buffer.from(`api:${key}`).toString("base64")}`;
  const strange: string[] = [];
  const requests: Recorded[] = [];
  const lines = new Map<string, string[]>();
  const uploads = new Map<string, string>();
  const ends: WandbServer["ends"] = [];
  const failures: number[] = [];
  let exists = false;
  let url = "";

  const graphql = ({ query, variables }: { query: string; variables: Record<string, unknown> }): object => {
    const name = /^(?:query|mutation) (\w+)/.exec(query)?.[1] ?? "none";
    requests.push({ post: "/graphql", authorization: true, operation: name, variables });
    strange.push(...strangeQuery(name, query, variables));
    const model = { name: variables["project"], entity: { name: "team" } };
    if (name === "RunResumeStatus") {
      const counted = (file: string) => lines.get(file)?.length ?? 0;
      const bucket = {
        id: "UnVuOjE=",
        historyLineCount: counted("wandb-history.jsonl"),
        eventsLineCount: counted("wandb-events.jsonl"),
      };
      return { model: { ...model, bucket: exists ? bucket : null } };
    }
    if (name === "UpsertBucket") {
      if (exists !== (variables["id"] === "UnVuOjE=")) strange.push(`id ${variables["id"]} of a run`);
      exists = true;
      return { upsertBucket: { bucket: { id: "UnVuOjE=", name: "run", project: model }, inserted: true } };
    }
    const files = (variables["files"] as string[]).map((file) => ({
      name: file,
      uploadUrl: `${url}/upload/${file}?signed=1`,
    }));
    return { createRunFiles: { uploadHeaders: ["X-Up: 1"], files } };
  };

  const stream = (body: StreamBody): void => {
    const known = new Set(["files", "complete", "exitcode"]);
    strange.push(...Object.keys(body).filter((one) => !known.has(one)));
    for (const [file, { offset, content }] of Object.entries(body.files ?? {})) {
      if (!["wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json"].includes(file))
        strange.push(`file ${file}`);
      const there = lines.get(file) ?? [];
      lines.set(file, there);
      if (offset > there.length) strange.push(`${file} from ${offset}, of ${there.length} lines`);
      for (const [at, line] of content.entries()) {
        const value = JSON.parse(line) as Record<string, unknown>;
        const needed = file === "wandb-events.jsonl" ? ["_wandb", "_runtime", "_timestamp"] : HISTORY;
        for (const one of needed) if (!(one in value)) strange.push(`${file}: a line without ${one}`);
        if (file === "wandb-events.jsonl")
          strange.push(...Object.keys(value).filter((one) => !(one in recorded.events.line)));
        there[offset + at] = line;
      }
    }
    if (body.complete === true) ends.push({ complete: true, exitcode: body.exitcode! });
  };

  const server = createServer((request, response) => {
    void receive(request).then((body) => {
      const send = (status: number, value: object) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(value));
      };
      const path = request.url ?? "";
      const signed = request.headers.authorization;
      if (request.method === "PUT" && path.startsWith("/upload/")) {
        if (signed !== undefined) strange.push("a key with an upload");
        if (request.headers["x-up"] !== "1") strange.push("an upload without its headers");
        requests.push({ put: path.split("?")[0]!, authorization: signed !== undefined, bytes: body.length });
        uploads.set(decodeURIComponent(path.slice("/upload/".length).split("?")[0]!), body.toString("utf8"));
        return send(200, {});
      }
      if (signed !== authorization) return send(401, { error: `no such key: ${signed}` });
      if (request.method === "POST" && path === "/graphql")
        return send(200, { data: graphql(JSON.parse(body.toString("utf8"))) });
      if (request.method === "POST" && /^\/files\/team\/rlpt\/[0-9a-f]{16}\/file_stream$/.test(path)) {
        const sent = JSON.parse(body.toString("utf8")) as StreamBody;
        requests.push({ post: path, authorization: true, body: sent });
        stream(sent);
        const failure = failures.shift();
        return send(
          failure ?? 200,
          failure === undefined ? { exitcode: null, limits: {} } : { error: "away" },
        );
      }
      strange.push(`${request.method} ${path}`);
      return send(404, {});
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { url, requests, strange, lines, uploads, ends, failures, close };
}

async function receive(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What the recorded client does not say in this operation. */
function strangeQuery(name: string, query: string, variables: Record<string, unknown>): string[] {
  const known = recorded.graphql[name];
  if (known === undefined) return [`operation ${name}`];
  const [, declared = "", rest = ""] = /^\w+ \w+\s*\(([^)]*)\)\s*\{([\s\S]*)\}\s*$/.exec(query) ?? [];
  const types = Object.fromEntries(
    [...declared.matchAll(/\$(\w+):\s*([[\]\w!]+)/g)].map(([, a, b]) => [a!, b!]),
  );
  const calls = [...rest.matchAll(/(\w+)\s*\(([^)]*)\)/g)].map(([, called, inside]) => ({
    called: called!,
    given: Object.fromEntries([...inside!.matchAll(/(\w+):\s*(\$?\w+)/g)].map(([, a, b]) => [a!, b!])),
  }));
  const fields = rest
    .replaceAll(/\([^)]*\)/g, " ")
    .match(/\w+/g)!
    .filter((field) => field !== known.root);
  return [
    ...Object.entries(types).flatMap(([variable, type]) =>
      known.variables[variable] === type ? [] : [`${name}: variable ${variable}: ${type}`],
    ),
    ...Object.keys(variables).flatMap((one) => (one in types ? [] : [`${name}: ${one} is not declared`])),
    ...calls.flatMap(({ called, given }) => {
      const allowed = called === known.root ? known.arguments : known.inner?.[called];
      return Object.entries(given).flatMap(([argument, value]) =>
        allowed?.[argument] === value ? [] : [`${name}: ${called}(${argument}: ${value})`],
      );
    }),
    ...fields.flatMap((field) => (known.fields.includes(field) ? [] : [`${name}: field ${field}`])),
  ];
}
