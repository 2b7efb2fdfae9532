/**
 * Models of the Hugging Face Hub, in its own cache layout (models--org--name/{refs,blobs,snapshots}), so that
 * what Python tools have fetched is found here and the other way round.
 */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import {
  downloadFile,
  getHFHubCachePath,
  getRepoFolderName,
  HUB_URL,
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { describeSystemError, ModelFileError } from "../../lib/errors.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import { chunksInTime, fileFetch, interfaceFetch } from "./hub-fetch.ts";
import { readJsonObject } from "./json.ts";
import { shardNames } from "./safetensors.ts";
import { TOKENIZER_FILES } from "./tokenizer.ts";

export interface HubModelId {
  name: string;
  revision: string;
}

export interface DownloadProgress {
  file: string;
  /** Bytes of this file that are on disk, a resumed part included. */
  bytes: number;
  total: number;
}

export interface HubOptions {
  /** Default: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
  cacheDir?: string;
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  hubUrl?: string;
  /** Default: HF_TOKEN. */
  accessToken?: string;
  /** Default: HF_HUB_OFFLINE. Only the cache is looked at. */
  offline?: boolean;
  /** Attempts per file; each goes on where the one before broke off. Default 3. */
  attempts?: number;
  /** Seconds after which a server that does not answer, or hardly sends, is given up. Default 60. */
  stallSeconds?: number;
  onProgress?: (progress: DownloadProgress) => void;
  /** false: config and tokenizer only, for what asks for a model's shapes. Default true. */
  weights?: boolean;
}

export interface Snapshot {
  directory: string;
  commit: string;
  warnings: string[];
}

const STALL_SECONDS = 60;
const MOST_FILES = 100_000;
const INDEX = "model.safetensors.index.json";
const SINGLE = "model.safetensors";
const OTHER_FILES = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
];

/** "org/name" or "org/name@revision"; null for anything else, paths included. */
export function parseHubId(text: string): HubModelId | null {
  const match = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?$/.exec(text);
  if (!match || match[1]!.includes("..") || match[2]?.includes("..")) return null;
  return { name: match[1]!, revision: match[2] ?? "main" };
}

function hasWeights(directory: string): boolean {
  if (existsSync(join(directory, SINGLE))) return true;
  const index = join(directory, INDEX);
  if (!existsSync(index)) return false;
  return [...shardNames(readJsonObject(index), index).values()].every((file) =>
    existsSync(join(directory, file)),
  );
}

function isComplete(directory: string): boolean {
  return (
    ["config.json", "tokenizer.json"].every((name) => existsSync(join(directory, name))) &&
    hasWeights(directory)
  );
}

function cachedCommit(storage: string, revision: string): string | null {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const ref = join(storage, "refs", revision);
  return existsSync(ref) ? readFileSync(ref, "utf8").trim() : null;
}

function cachedSnapshot(storage: string, revision: string): Snapshot | null {
  const commit = cachedCommit(storage, revision);
  if (commit === null) return null;
  const directory = join(storage, "snapshots", commit);
  return isComplete(directory) ? { directory, commit, warnings: [] } : null;
}

/** Node's fetch hides the reason in `cause`. */
function networkReason(error: unknown): string {
  const cause = (error as Error).cause;
  const nested = cause instanceof AggregateError ? cause.errors[0] : cause;
  const code = (nested as NodeJS.ErrnoException | undefined)?.code;
  return (
    code ??
    (nested instanceof Error ? nested.message : error instanceof Error ? error.message : String(error))
  );
}

function apiFault(error: HubApiError, id: HubModelId, hubUrl: string): ModelFileError {
  const what = `${id.name}@${id.revision}`;
  const status = `${hubUrl} answered ${error.statusCode}`;
  if (error.statusCode === 404) {
    return new ModelFileError(`${what}: ${status}: there is no such model or revision; check the spelling`, {
      cause: error,
    });
  }
  if (error.statusCode === 401 || error.statusCode === 403) {
    return new ModelFileError(
      `${what}: ${status}: the model is private, gated or misspelled; accept its terms on the site and set HF_TOKEN`,
      { cause: error },
    );
  }
  return new ModelFileError(`${what}: ${status}: ${error.message}`, { cause: error });
}

/**
 * Fetches config, tokenizer and safetensors files of a model, or finds them in the cache.
 * @throws ModelFileError: no network and not in the cache (naming the folder), no access, a wrong checksum
 */
export async function fetchSnapshot(id: HubModelId, options: HubOptions = {}): Promise<Snapshot> {
  const cacheDir = options.cacheDir ?? getHFHubCachePath();
  const hubUrl = options.hubUrl ?? process.env["HF_ENDPOINT"] ?? HUB_URL;
  const accessToken = options.accessToken ?? process.env["HF_TOKEN"];
  const offline = options.offline ?? /^(1|true|on|yes)$/i.test(process.env["HF_HUB_OFFLINE"] ?? "");
  const storage = join(cacheDir, getRepoFolderName({ type: "model", name: id.name }));
  const what = `${id.name}@${id.revision}`;

  const cached = cachedSnapshot(storage, id.revision);
  if (cached && cached.commit === id.revision) return cached;
  if (offline) {
    if (cached) return cached;
    throw new ModelFileError(
      `${what} is not in the cache ${storage}, and HF_HUB_OFFLINE forbids fetching it; unset it, or put a model directory there and name its path`,
    );
  }
  const access = { hubUrl, ...(accessToken ? { accessToken } : {}) };
  try {
    const limits = { stallSeconds: options.stallSeconds ?? STALL_SECONDS };
    const { sha: commit } = await modelInfo({
      ...access,
      fetch: interfaceFetch(limits),
      name: id.name,
      revision: id.revision,
      additionalFields: ["sha"],
    });
    // it becomes a folder's name
    if (!/^[0-9a-f]{40,64}$/.test(commit)) {
      throw new ModelFileError(
        `${what}: ${hubUrl} answered with the commit ${JSON.stringify(commit).slice(0, 80)}, which is none`,
      );
    }
    const directory = join(storage, "snapshots", commit);
    const entries = new Map<string, ListFileEntry>();
    for await (const entry of listFiles({
      ...access,
      fetch: interfaceFetch(limits),
      repo: id.name,
      revision: commit,
    })) {
      if (entries.size >= MOST_FILES) {
        throw new ModelFileError(
          `${what}: ${hubUrl} lists more than ${MOST_FILES} files; no model has as many`,
        );
      }
      if (entry.type === "file") entries.set(entry.path, entry);
    }
    const get = async (path: string): Promise<void> => {
      const entry = entries.get(path);
      if (!entry)
        throw new ModelFileError(`${what}: its index names ${path}, which the repository does not have`);
      await fetchFile({ entry, id, commit, storage, access, options });
    };
    for (const path of [...OTHER_FILES, ...TOKENIZER_FILES, INDEX]) if (entries.has(path)) await get(path);
    // no ref is written: without weights the snapshot is none to be found again
    if (options.weights === false) return { directory, commit, warnings: [] };
    if (entries.has(SINGLE)) {
      await get(SINGLE);
    } else if (entries.has(INDEX)) {
      const index = join(directory, INDEX);
      for (const path of new Set(shardNames(readJsonObject(index), index).values())) await get(path);
    } else {
      const others = [...entries.keys()].filter((path) => /\.(bin|gguf|pth|pt|h5|msgpack)$/.test(path));
      throw new ModelFileError(
        `${what} has no ${SINGLE}${others.length > 0 ? `, only ${others.slice(0, 5).join(", ")}` : ""}: choose a repository with safetensors`,
      );
    }
    if (commit !== id.revision) writeFileAtomic(join(storage, "refs", id.revision), commit);
    return { directory, commit, warnings: [] };
  } catch (error) {
    if (error instanceof ModelFileError) throw error;
    if (error instanceof HubApiError && error.statusCode < 500) throw apiFault(error, id, hubUrl);
    if ((error as NodeJS.ErrnoException).syscall !== undefined) {
      throw new ModelFileError(`${storage} cannot be written: ${describeSystemError(error)}`, {
        cause: error,
      });
    }
    const reason = error instanceof HubApiError ? `it answered ${error.statusCode}` : networkReason(error);
    if (cached) {
      const warning = `${hubUrl} cannot be reached (${reason}); using ${what} from the cache, commit ${cached.commit}`;
      return { ...cached, warnings: [warning] };
    }
    throw new ModelFileError(
      `${what}: ${hubUrl} cannot be reached (${reason}), and it is not in the cache ${storage}; connect, or give the path of a local model directory`,
      { cause: error },
    );
  }
}

interface FileRequest {
  entry: ListFileEntry;
  id: HubModelId;
  commit: string;
  storage: string;
  access: { hubUrl: string; accessToken?: string };
  options: HubOptions;
}

async function fetchFile(request: FileRequest): Promise<void> {
  const { entry, commit, storage } = request;
  const checksum = entry.lfs?.oid ?? entry.oid;
  if (!checksum || !/^[0-9a-f]{40,64}$/.test(checksum)) {
    throw new ModelFileError(`${request.id.name}: the hub gives no checksum for ${entry.path}`);
  }
  const pointer = join(storage, "snapshots", commit, entry.path);
  if (existsSync(pointer)) return;
  const blob = join(storage, "blobs", checksum);
  if (!existsSync(blob)) {
    mkdirSync(dirname(blob), { recursive: true });
    await downloadBlob(request, blob, checksum);
  }
  mkdirSync(dirname(pointer), { recursive: true });
  rmSync(pointer, { force: true }); // a link whose blob was deleted
  try {
    symlinkSync(relative(dirname(pointer), blob), pointer);
  } catch {
    copyFileSync(blob, pointer); // no links on this system
  }
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

/** Fetches to `<blob>.incomplete`, going on where an earlier attempt or run stopped; checks; renames. */
async function downloadBlob(request: FileRequest, blob: string, checksum: string): Promise<void> {
  const { entry, options } = request;
  const incomplete = `${blob}.incomplete`;
  const total = entry.lfs?.size ?? entry.size;
  if (sizeOf(incomplete) > total) rmSync(incomplete);
  const attempts = options.attempts ?? 3;
  for (let attempt = 1; ; attempt++) {
    try {
      await appendRest(request, incomplete, total);
      break;
    } catch (error) {
      const fatal = error instanceof HubApiError && error.statusCode < 500;
      if (fatal || error instanceof ModelFileError || attempt >= attempts) {
        if (sizeOf(incomplete) === 0) throw error;
        throw new ModelFileError(
          `${request.id.name}: ${entry.path} broke off at ${sizeOf(incomplete)} of ${total} bytes (${networkReason(error)}); run again to go on from there`,
          { cause: error },
        );
      }
    }
  }
  const found = await fileChecksum(incomplete, entry.lfs ? "sha256" : "git", total);
  if (found !== checksum) {
    rmSync(incomplete, { force: true });
    throw new ModelFileError(
      `${request.id.name}: ${entry.path} arrived damaged: its ${entry.lfs ? "sha256" : "git hash"} is ${found}, the hub says ${checksum}; it was deleted, run again`,
    );
  }
  renameSync(incomplete, blob);
}

async function appendRest(request: FileRequest, incomplete: string, total: number): Promise<void> {
  const { entry, id, commit, access, options } = request;
  let done = sizeOf(incomplete);
  options.onProgress?.({ file: entry.path, bytes: done, total });
  if (!existsSync(incomplete)) appendFileSync(incomplete, "");
  if (done === total) return;
  // plain HTTP ranges: an interrupted file can be continued in the next run
  const limits = { stallSeconds: options.stallSeconds ?? STALL_SECONDS };
  const blob = await downloadFile({
    ...access,
    fetch: fileFetch(limits),
    repo: id.name,
    path: entry.path,
    revision: commit,
    xet: false,
  });
  if (!blob) throw new ModelFileError(`${id.name}: ${entry.path} disappeared from the hub`);
  const stream = blob.slice(done, total).stream() as unknown as AsyncIterable<Uint8Array>;
  for await (const chunk of chunksInTime(stream, limits)) {
    if (done + chunk.length > total) {
      rmSync(incomplete, { force: true });
      throw new ModelFileError(
        `${id.name}: ${entry.path} is longer than the ${total} bytes that the hub gives`,
      );
    }
    appendFileSync(incomplete, chunk);
    done += chunk.length;
    options.onProgress?.({ file: entry.path, bytes: done, total });
  }
  if (done < total) throw new Error(`the connection closed at ${done} of ${total} bytes`);
}

/** sha256 of a large file's bytes, or git's object id (sha1 over a header and the bytes). */
async function fileChecksum(path: string, kind: "sha256" | "git", size: number): Promise<string> {
  const hash = createHash(kind === "sha256" ? "sha256" : "sha1");
  if (kind === "git") hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
