/** A server that speaks the Hub's protocol, as far as it is used: revisions, trees, files by redirect with ETag and ranges, gated ones. */
import { createHash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { receive, type Uploads } from "./hub-uploads.ts";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export interface HubServer extends Uploads {
  url: string;
  /** Files of the datasets, by "organisation/name". */
  datasets: Map<string, Map<string, Uint8Array>>;
  /** And those of the models. */
  models: Map<string, Map<string, Uint8Array>>;
  /** The branches that there are, all at the same commit. */
  revisions: Set<string>;
  /** Datasets that answer to this token alone. */
  gated: Map<string, string>;
  requests: { path: string; range: string | undefined }[];
  /** Bytes after which a download of a large file is cut, one entry a request. */
  cuts: number[];
  /** Serve these bytes in the place of a large file's. */
  damaged: Uint8Array | null;
  close(): void;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const gitId = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const isLarge = (name: string): boolean => /\.(parquet|safetensors)$/.test(name);

export async function startHubServer(): Promise<HubServer> {
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://x");
    const path = decodeURIComponent(url.pathname);
    const { range, authorization } = request.headers;
    hub.requests.push({ path, range });
    const refuse = (status: number, code: string) =>
      response
        .writeHead(status, { "Content-Type": "application/json", "X-Error-Code": code })
        .end('{"error":"no"}');
    if (request.method !== "GET" && request.method !== "HEAD") return receive(hub, request, response);
    // a model's pages have no word before its name
    const [, kind, id] =
      /^\/(?:api|cdn)\/(datasets|models)\/([^/]+\/[^/]+)\//.exec(path) ??
      /^\/(?:(datasets)\/)?([^/]+\/[^/]+)\/resolve\//.exec(path) ??
      [];
    const page = kind === "datasets" ? "/datasets" : "";
    const files = id === undefined ? undefined : hub[kind === "datasets" ? kind : "models"].get(id);
    if (id === undefined || files === undefined) return refuse(404, "RepoNotFound");
    const api = `/api/${kind ?? "models"}/${id}`;
    const token = hub.gated.get(id);
    // the storage behind a redirect has its own permission in the address
    if (token !== undefined && authorization !== `Bearer ${token}` && !path.startsWith("/cdn/"))
      return refuse(403, "GatedRepo");
    const [, revision] = new RegExp(`^${api}/revision/(.*)$`).exec(path) ?? [];
    if (revision !== undefined && hub.revisions.has(revision))
      return json(response, { _id: "1", id, sha: COMMIT, private: false, gated: false });
    if (revision !== undefined) return refuse(404, "RevisionNotFound");
    if (path === `${api}/tree/${COMMIT}`) return json(response, tree(files));
    const [, name] = new RegExp(`^${page}/${id}/resolve/${COMMIT}/(.*)$`).exec(path) ?? [];
    if (name !== undefined && files.has(name)) {
      if (!isLarge(name)) return serve(hub, name, files.get(name)!, range, response);
      const headers = {
        Location: `/cdn/${kind ?? "models"}/${id}/${name}?signature=1`,
        "X-Linked-Size": files.get(name)!.length,
        "X-Linked-ETag": `"${sha256(files.get(name)!)}"`,
      };
      return response.writeHead(302, headers).end();
    }
    const [, stored] = /^\/cdn\/[^/]+\/[^/]+\/[^/]+\/(.*)$/.exec(path) ?? [];
    if (stored !== undefined && url.searchParams.get("signature") === "1")
      return serve(hub, stored, files.get(stored)!, range, response);
    return refuse(404, "EntryNotFound");
  });
  const hub: HubServer = {
    url: "",
    datasets: new Map(),
    models: new Map(),
    revisions: new Set(["main"]),
    gated: new Map(),
    requests: [],
    cuts: [],
    damaged: null,
    writer: "hf_writer",
    breaks: 0,
    stored: new Map(),
    sent: [],
    created: [],
    close: () => server.close(),
  };
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return hub;
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

const tree = (files: ReadonlyMap<string, Uint8Array>) =>
  [...files].map(([path, bytes]) => ({
    type: "file",
    path,
    size: bytes.length,
    oid: gitId(bytes),
    ...(isLarge(path) ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
  }));

function serve(
  hub: HubServer,
  name: string,
  content: Uint8Array,
  range: string | undefined,
  response: ServerResponse,
): void {
  const bytes = hub.damaged !== null && isLarge(name) ? hub.damaged : content;
  const match = /^bytes=(\d+)-(\d+)?$/.exec(range ?? "");
  const start = match ? Number(match[1]) : 0;
  const end = match?.[2] ? Number(match[2]) + 1 : bytes.length;
  response.writeHead(match ? 206 : 200, {
    ETag: `"${isLarge(name) ? sha256(bytes) : gitId(bytes)}"`,
    "Content-Length": end - start,
    ...(match ? { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
  });
  const cut = range === "bytes=0-0" || !isLarge(name) ? undefined : hub.cuts.shift();
  if (cut === undefined) response.end(bytes.subarray(start, end));
  else
    response.write(bytes.subarray(start, Math.min(end, start + cut)), () =>
      setTimeout(() => response.destroy(), 20),
    );
}
