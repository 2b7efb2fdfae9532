import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { type DownloadProgress, fetchSnapshot, parseHubId } from "../../../src/policy/files/hub.ts";
import { openModel, saveModel } from "../../../src/policy/files/model-directory.ts";
import { tinyModel } from "./tiny-model.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const root = mkdtempSync(join(tmpdir(), "rlpt-hub-"));
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"])
    vi.stubEnv(name, undefined);
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const gitId = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

interface Hub {
  url: string;
  files: Map<string, Uint8Array>;
  /** Every request: method, path, range, authorization. */
  requests: { path: string; range: string | undefined; authorization: string | undefined }[];
  /** Bytes after which a weight download is cut, one entry a request. */
  cuts: number[];
  /** Serve these bytes in place of the file's. */
  damaged?: Uint8Array;
  /** Answer every request with this status. */
  status?: number;
}

/** The few endpoints of the hub that are used, for one model, org/tiny. */
async function startHub(files: Map<string, Uint8Array>): Promise<Hub> {
  const hub: Hub = { url: "", files, requests: [], cuts: [] };
  const json = (response: ServerResponse, value: unknown): void => {
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://x").pathname;
    const { range, authorization } = request.headers;
    hub.requests.push({ path, range, authorization });
    if (hub.status) {
      response.writeHead(hub.status, { "Content-Type": "application/json" }).end('{"error":"no"}');
    } else if (path === "/api/models/org/tiny/revision/main") {
      json(response, { _id: "1", id: "org/tiny", sha: COMMIT, private: false, gated: false });
    } else if (path === `/api/models/org/tiny/tree/${COMMIT}`) {
      json(
        response,
        [...files].map(([name, bytes]) => ({
          type: "file",
          path: name,
          size: bytes.length,
          oid: gitId(bytes),
          ...(name.endsWith(".safetensors")
            ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }
            : {}),
        })),
      );
    } else if (path.startsWith(`/org/tiny/resolve/${COMMIT}/`)) {
      serveFile(hub, path.split("/").at(-1)!, range, response);
    } else {
      response.writeHead(404, { "X-Error-Code": "RepoNotFound" }).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  servers.push(server);
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return hub;
}

function serveFile(hub: Hub, name: string, range: string | undefined, response: ServerResponse): void {
  const bytes = hub.damaged && name.endsWith(".safetensors") ? hub.damaged : hub.files.get(name)!;
  const match = /^bytes=(\d+)-(\d+)?$/.exec(range ?? "");
  const start = match ? Number(match[1]) : 0;
  const end = match?.[2] ? Number(match[2]) + 1 : bytes.length;
  response.writeHead(match ? 206 : 200, {
    ETag: `"${gitId(bytes)}"`,
    "Content-Length": end - start,
    ...(match ? { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
  });
  const isProbe = range === "bytes=0-0";
  const cut = isProbe || !name.endsWith(".safetensors") ? undefined : hub.cuts.shift();
  if (cut === undefined) response.end(bytes.subarray(start, end));
  else
    response.write(bytes.subarray(start, Math.min(end, start + cut)), () =>
      setTimeout(() => response.destroy(), 20),
    );
}

let made = 0;
function tinyFiles(maxShardBytes?: number): Map<string, Uint8Array> {
  const directory = join(root, `model${made++}`);
  saveModel(directory, { ...tinyModel(), ...(maxShardBytes ? { maxShardBytes } : {}) });
  const files = new Map(
    readdirSync(directory).map((name) => [name, new Uint8Array(readFileSync(join(directory, name)))]),
  );
  files.set("README.md", new TextEncoder().encode("# not needed"));
  return files;
}
const freshCache = (): string => join(root, `cache${made++}`);
const storageOf = (cacheDir: string): string => join(cacheDir, "models--org--tiny");
const weightRequests = (hub: Hub) =>
  hub.requests.filter(({ path, range }) => path.endsWith(".safetensors") && range !== "bytes=0-0");

test("ids", () => {
  expect(parseHubId("org/name")).toEqual({ name: "org/name", revision: "main" });
  expect(parseHubId("org/na.me-1@v1.0")).toEqual({ name: "org/na.me-1", revision: "v1.0" });
  expect(parseHubId("org/name@refs/pr/3")).toEqual({ name: "org/name", revision: "refs/pr/3" });
  for (const text of ["name", "./org/name", "/org/name", "a/b/c", "org/..", "org/name@../x", "org/na me"]) {
    expect(parseHubId(text), text).toBeNull();
  }
});

test("fetches what a model needs into the hub's cache layout, then needs no downloads", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  const progress: DownloadProgress[] = [];
  const options = {
    cacheDir,
    hubUrl: hub.url,
    onProgress: (event: DownloadProgress) => progress.push(event),
  };
  const model = await openModel("org/tiny", options);
  expect(model.source).toBe("org/tiny");
  expect(model.commit).toBe(COMMIT);
  expect(model.tokenizer.encode("1+0=", { addSpecialTokens: true })).toEqual([1, 4, 5, 3, 6]);
  expect(model.weights.read("model.norm.weight")[0]).toBeCloseTo(Math.sin(100), 6);
  model.weights.close();

  const storage = storageOf(cacheDir);
  expect(readFileSync(join(storage, "refs", "main"), "utf8")).toBe(COMMIT);
  const snapshot = join(storage, "snapshots", COMMIT);
  expect(readdirSync(snapshot).sort()).toEqual(
    [
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ].sort(),
  );
  expect(lstatSync(join(snapshot, "config.json")).isSymbolicLink()).toBe(true);
  expect(readdirSync(join(storage, "blobs"))).toContain(sha256(hub.files.get("model.safetensors")!));
  expect(readdirSync(join(storage, "blobs")).filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  const total = hub.files.get("model.safetensors")!.length;
  expect(progress.at(-1)).toEqual({ file: "model.safetensors", bytes: total, total });

  hub.requests.length = 0;
  await fetchSnapshot({ name: "org/tiny", revision: "main" }, options);
  expect(hub.requests.map(({ path }) => path).filter((path) => path.includes("/resolve/"))).toEqual([]);
  hub.requests.length = 0;
  await fetchSnapshot({ name: "org/tiny", revision: COMMIT }, options);
  expect(hub.requests).toEqual([]);
});

test("shards named by the index are fetched", async () => {
  const hub = await startHub(tinyFiles(1000));
  const model = await openModel("org/tiny", { cacheDir: freshCache(), hubUrl: hub.url });
  expect(model.weights.names.length).toBe(11);
  model.weights.close();
});

test("an interrupted download goes on where it broke off, within a run", async () => {
  const hub = await startHub(tinyFiles());
  hub.cuts = [1000, 500];
  const cacheDir = freshCache();
  const { directory } = await fetchSnapshot(
    { name: "org/tiny", revision: "main" },
    { cacheDir, hubUrl: hub.url },
  );
  const bytes = hub.files.get("model.safetensors")!;
  expect(new Uint8Array(readFileSync(join(directory, "model.safetensors")))).toEqual(bytes);
  const starts = weightRequests(hub).map(({ range }) => Number(/bytes=(\d+)-/.exec(range ?? "bytes=0-")![1]));
  expect(starts).toEqual([0, 1000, 1500]);
});

test("and in the next run", async () => {
  const hub = await startHub(tinyFiles());
  hub.cuts = [1234];
  const cacheDir = freshCache();
  const id = { name: "org/tiny", revision: "main" };
  const total = hub.files.get("model.safetensors")!.length;
  await expect(fetchSnapshot(id, { cacheDir, hubUrl: hub.url, attempts: 1 })).rejects.toThrow(
    new RegExp(
      `org/tiny: model.safetensors broke off at 1234 of ${total} bytes .*run again to go on from there`,
    ),
  );
  const first: DownloadProgress[] = [];
  hub.requests.length = 0;
  await fetchSnapshot(id, { cacheDir, hubUrl: hub.url, onProgress: (event) => first.push(event) });
  expect(first[0]).toEqual({ file: "model.safetensors", bytes: 1234, total });
  expect(weightRequests(hub).map(({ range }) => range)).toEqual([`bytes=1234-${total - 1}`]);
});

test("a wrong checksum is an error, and nothing of it stays", async () => {
  const hub = await startHub(tinyFiles());
  const good = hub.files.get("model.safetensors")!;
  hub.damaged = Uint8Array.from(good, (byte, i) => (i === 3000 ? byte ^ 1 : byte));
  const cacheDir = freshCache();
  const id = { name: "org/tiny", revision: "main" };
  await expect(fetchSnapshot(id, { cacheDir, hubUrl: hub.url })).rejects.toThrow(
    new RegExp(
      `model.safetensors arrived damaged: its sha256 is ${sha256(hub.damaged)}, the hub says ${sha256(good)}`,
    ),
  );
  expect(readdirSync(join(storageOf(cacheDir), "blobs")).filter((name) => /incomplete/.test(name))).toEqual(
    [],
  );
  expect(existsSync(join(storageOf(cacheDir), "blobs", sha256(good)))).toBe(false);
  delete hub.damaged;
  await fetchSnapshot(id, { cacheDir, hubUrl: hub.url });
});

test("small files are checked by their git id", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  mkdirSync(join(storageOf(cacheDir), "blobs"), { recursive: true });
  const config = hub.files.get("config.json")!;
  writeFileSync(join(storageOf(cacheDir), "blobs", `${gitId(config)}.incomplete`), "x".repeat(config.length));
  await expect(
    fetchSnapshot({ name: "org/tiny", revision: "main" }, { cacheDir, hubUrl: hub.url }),
  ).rejects.toThrow(/config.json arrived damaged: its git hash is/);
});

test("offline: the cache serves with a warning, an empty one is named", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  const nowhere = "http://127.0.0.1:9";
  await expect(openModel("org/tiny", { cacheDir, hubUrl: nowhere })).rejects.toThrow(
    `org/tiny is not a directory here; as a Hub id: org/tiny@main: ${nowhere} cannot be reached (`,
  );
  await expect(openModel("org/tiny", { cacheDir, hubUrl: nowhere })).rejects.toThrow(
    `and it is not in the cache ${storageOf(cacheDir)}`,
  );
  await fetchSnapshot({ name: "org/tiny", revision: "main" }, { cacheDir, hubUrl: hub.url });
  const model = await openModel("org/tiny", { cacheDir, hubUrl: nowhere });
  expect(model.warnings[0]).toMatch(
    /cannot be reached \(.*\); using org\/tiny@main from the cache, commit 0123/,
  );
  model.weights.close();
});

test("HF_HUB_OFFLINE asks nobody", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  const id = { name: "org/tiny", revision: "main" };
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  await expect(fetchSnapshot(id, { cacheDir, hubUrl: hub.url })).rejects.toThrow(
    `org/tiny@main is not in the cache ${storageOf(cacheDir)}, and HF_HUB_OFFLINE forbids`,
  );
  await fetchSnapshot(id, { cacheDir, hubUrl: hub.url, offline: false });
  hub.requests.length = 0;
  expect((await fetchSnapshot(id, { cacheDir, hubUrl: hub.url })).commit).toBe(COMMIT);
  expect(hub.requests).toEqual([]);
});

test("HF_ENDPOINT, HF_TOKEN and HF_HUB_CACHE are honoured", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_TOKEN", "hf_test");
  vi.stubEnv("HF_HUB_CACHE", cacheDir);
  const { directory } = await fetchSnapshot({ name: "org/tiny", revision: "main" });
  expect(directory.startsWith(storageOf(cacheDir))).toBe(true);
  expect(hub.requests.length).toBeGreaterThan(5);
  expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(
    new Set(["Bearer hf_test"]),
  );
});

test("what the hub refuses", async () => {
  const hub = await startHub(tinyFiles());
  const cacheDir = freshCache();
  const ask = (name: string) => fetchSnapshot({ name, revision: "main" }, { cacheDir, hubUrl: hub.url });
  await expect(ask("org/other")).rejects.toThrow(
    /org\/other@main: .* answered 404: there is no such model or revision/,
  );
  hub.status = 401;
  await expect(ask("org/tiny")).rejects.toThrow(
    /answered 401: the model is private, gated or misspelled; .*set HF_TOKEN/,
  );
  hub.status = 503;
  await expect(ask("org/tiny")).rejects.toThrow(/cannot be reached \(it answered 503\)/);
});

test("repositories without safetensors say what they have", async () => {
  const files = tinyFiles();
  files.delete("model.safetensors");
  files.set("pytorch_model.bin", new Uint8Array(3));
  const hub = await startHub(files);
  await expect(openModel("org/tiny", { cacheDir: freshCache(), hubUrl: hub.url })).rejects.toThrow(
    /org\/tiny@main has no model.safetensors, only pytorch_model.bin/,
  );
});

/** A server that says the same to everything. */
async function startOther(answer: (path: string, response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => answer(request.url!, response));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const MAIN = { name: "org/tiny", revision: "main" };

test.each(["../../../outside", "..", "", "main"])(
  "a commit that is none (%j) writes nothing",
  async (sha) => {
    const cacheDir = freshCache();
    const hubUrl = await startOther((_, response) => {
      response
        .writeHead(200, { "Content-Type": "application/json" })
        .end(JSON.stringify({ _id: "1", id: "org/tiny", modelId: "org/tiny", sha }));
    });
    await expect(fetchSnapshot(MAIN, { cacheDir, hubUrl })).rejects.toThrow(
      /answered with the commit .*, which is none/,
    );
    expect(existsSync(cacheDir) ? readdirSync(cacheDir) : []).toEqual([]);
  },
);

test.each<[string, (response: ServerResponse) => void]>([
  ["silent", () => {}],
  ["silent after its headers", (response) => response.writeHead(200).write("{")],
  [
    "dripping",
    (response) => {
      const timer = setInterval(() => response.write(" "), 50);
      response.on("close", () => clearInterval(timer));
    },
  ],
])("a server that is %s is given up", { timeout: 10_000 }, async (_name, answer) => {
  const hubUrl = await startOther((_path, response) => answer(response));
  await expect(
    fetchSnapshot(MAIN, { cacheDir: freshCache(), hubUrl, stallSeconds: 0.5, attempts: 1 }),
  ).rejects.toThrow(/cannot be reached \(it gave no whole answer within 0.5 seconds\)/);
});

test("an answer without an end is given up", { timeout: 30_000 }, async () => {
  const hubUrl = await startOther((_path, response) => {
    const block = Buffer.alloc(1 << 20, 32);
    const more = (): void => {
      while (!response.destroyed && response.write(block));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
  await expect(fetchSnapshot(MAIN, { cacheDir: freshCache(), hubUrl, attempts: 1 })).rejects.toThrow(
    /its answer has more than 50000000 bytes/,
  );
});
