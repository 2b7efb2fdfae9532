/** The half of the Hub's protocol that takes files: repositories, branches, preupload, LFS batch, storage, commit. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HubServer } from "./hub-server.ts";

export interface Uploads {
  /** The token that may write; "hf_reader" may not, others are none. */
  writer: string;
  /** So many uploads of large files are cut off, from now. */
  breaks: number;
  /** Large files that arrived whole, by SHA-256, whether a commit names them or not. */
  stored: Map<string, Uint8Array>;
  /** Method and path of what was sent. */
  sent: string[];
  /** Bodies of the requests that make repositories. */
  created: Record<string, unknown>[];
}

type CommitLine = { key: string; value: { path: string; content: string; oid: string } };

export async function receive(hub: HubServer, request: IncomingMessage, response: ServerResponse) {
  const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
  const answer = (status: number, value: unknown) =>
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  hub.sent.push(`${request.method} ${path}`);
  const [, oid] = /^\/storage\/([0-9a-f]{64})$/.exec(path) ?? [];
  if (oid !== undefined && hub.breaks > 0) {
    hub.breaks--;
    return request.socket.destroy();
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  const body = Buffer.concat(chunks);
  if (oid !== undefined) {
    if (createHash("sha256").update(body).digest("hex") !== oid) return answer(400, { error: "damaged" });
    hub.stored.set(oid, body);
    return answer(200, {});
  }
  const { authorization } = request.headers;
  if (authorization === "Bearer hf_reader") return answer(403, { error: "no write access" });
  if (authorization !== `Bearer ${hub.writer}`) return answer(401, { error: `what is ${authorization}?` });
  if (path === "/api/repos/create") {
    const asked = JSON.parse(body.toString()) as Record<string, unknown>;
    const name = `${asked["organization"]}/${asked["name"]}`;
    if (hub.models.has(name)) return answer(409, { error: "it exists" });
    hub.created.push(asked);
    hub.models.set(name, new Map());
    return answer(200, { url: `${hub.url}/${name}`, id: name });
  }
  const [, id, act, branch] =
    /^\/api\/models\/([^/]+\/[^/]+)\/(branch|preupload|commit)\/(.+)$/.exec(path) ?? [];
  if (act === "branch") {
    if (hub.revisions.has(branch!)) return answer(409, { error: "it exists" });
    hub.revisions.add(branch!);
    return answer(200, {});
  }
  if (act !== undefined && !hub.revisions.has(branch!)) return answer(404, { error: "no such branch" });
  if (act === "preupload") {
    const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
    const mode = (name: string) => (name.endsWith(".safetensors") ? "lfs" : "regular");
    return answer(200, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.path) })) });
  }
  if (path.endsWith(".git/info/lfs/objects/batch")) {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    const upload = (key: string) => ({ upload: { href: `${hub.url}/storage/${key}` } });
    return answer(200, {
      transfer: "basic",
      objects: objects.map((each) => ({
        ...each,
        ...(hub.stored.has(each.oid) ? {} : { actions: upload(each.oid) }),
      })),
    });
  }
  const files = hub.models.get(id ?? "");
  if (act !== "commit" || files === undefined) return answer(404, { error: "no such page" });
  for (const line of body.toString().split("\n")) {
    const { key, value } = JSON.parse(line) as CommitLine;
    if (key === "file") files.set(value.path, Buffer.from(value.content, "base64"));
    if (key === "lfsFile") files.set(value.path, hub.stored.get(value.oid)!);
  }
  return answer(200, { commitOid: "0".repeat(40), commitUrl: `${hub.url}/${id}/commit/0`, hookOutput: "" });
}
