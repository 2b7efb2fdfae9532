/**
 * Repositories of the Hugging Face Hub, in its own cache layout (models--org--name/{refs,blobs,snapshots}), so that
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
  datasetInfo,
  downloadFile,
  getHFHubCachePath,
  getRepoFolderName,
  HUB_URL,
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { describeSystemError, RlptError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import { chunksInTime, fileFetch, interfaceFetch } from "./fetch.ts";

export interface HubId {
  name: string;
  revision: string;
}

/** What is asked of a repository. */
export interface HubRequest extends HubId {
  kind: "model" | "dataset";
  /** How a failure is thrown. */
  Failure: new (
    message: string,
    options?: { cause?: unknown },
  ) => RlptError;
  /** What to do without the Hub, for messages. */
  local: string;
  /** Does a folder of the cache hold all that is wanted? */
  isComplete(directory: string): boolean;
  /** Fetches what is wanted. @returns whether the snapshot is complete, so that it is found again */
  choose(
    files: readonly string[],
    get: (path: string) => Promise<string>,
    directory: string,
  ): Promise<boolean>;
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
}

export interface Snapshot {
  directory: string;
  commit: string;
  warnings: string[];
}

const STALL_SECONDS = 60;
const MOST_FILES = 100_000;
/** "org/name" or "org/name@revision"; null for anything else, paths included. */
export function parseHubId(text: string): HubId | null {
  const match = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?$/.exec(text);
  if (!match || match[1]!.includes("..") || match[2]?.includes("..")) return null;
  return { name: match[1]!, revision: match[2] ?? "main" };
}

function cachedCommit(storage: string, revision: string): string | null {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const ref = join(storage, "refs", revision);
  return existsSync(ref) ? readFileSync(ref, "utf8").trim() : null;
}

function cachedSnapshot(storage: string, revision: string, { isComplete }: HubRequest): Snapshot | null {
  const commit = cachedCommit(storage, revision);
  if (commit === null) return null;
  const directory = join(storage, "snapshots", commit);
  return isComplete(directory) ? { directory, commit, warnings: [] } : null;
}

/** Node's fetch hides the reason in `cause`. */
export function networkReason(error: unknown): string {
  const cause = (error as Error).cause;
  const nested = cause instanceof AggregateError ? cause.errors[0] : cause;
  const code = (nested as NodeJS.ErrnoException | undefined)?.code;
  return (
    code ??
    (nested instanceof Error ? nested.message : error instanceof Error ? error.message : String(error))
  );
}

function apiFault(error: HubApiError, id: HubRequest, hubUrl: string): RlptError {
  const what = `${id.name}@${id.revision}`;
  const status = `${hubUrl} answered ${error.statusCode}`;
  if (error.statusCode === 404) {
    return new id.Failure(`${what}: ${status}: there is no such ${id.kind} or revision; check the spelling`, {
      cause: error,
    });
  }
  if (error.statusCode === 401 || error.statusCode === 403) {
    return new id.Failure(
      `${what}: ${status}: the ${id.kind} is private, gated or misspelled; accept its terms on the site and set HF_TOKEN`,
      { cause: error },
    );
  }
  return new id.Failure(`${what}: ${status}: ${error.message}`, { cause: error });
}

/**
 * Fetches files of a repository, or finds them in the cache.
 * @throws `Failure`: no network and not in the cache (naming the folder), no access, a wrong checksum
 */
export async function fetchRepository(id: HubRequest, options: HubOptions = {}): Promise<Snapshot> {
  const { kind, Failure, local } = id;
  const cacheDir = options.cacheDir ?? getHFHubCachePath();
  const hubUrl = options.hubUrl ?? process.env["HF_ENDPOINT"] ?? HUB_URL;
  const accessToken = options.accessToken ?? process.env["HF_TOKEN"];
  const offline = options.offline ?? /^(1|true|on|yes)$/i.test(process.env["HF_HUB_OFFLINE"] ?? "");
  const storage = join(cacheDir, getRepoFolderName({ type: kind, name: id.name }));
  const what = `${id.name}@${id.revision}`;

  const cached = cachedSnapshot(storage, id.revision, id);
  if (cached && cached.commit === id.revision) return cached;
  if (offline) {
    if (cached) return cached;
    throw new Failure(
      `${what} is not in the cache ${storage}, and HF_HUB_OFFLINE forbids fetching it; unset it, or ${local}`,
    );
  }
  const access = { hubUrl, ...(accessToken ? { accessToken } : {}) };
  try {
    const limits = { stallSeconds: options.stallSeconds ?? STALL_SECONDS };
    const asked = { ...access, fetch: interfaceFetch(limits), name: id.name, revision: id.revision };
    const { sha: commit } =
      kind === "model"
        ? await modelInfo({ ...asked, additionalFields: ["sha"] })
        : await datasetInfo({ ...asked, additionalFields: ["sha"] });
    // it becomes a folder's name
    if (!/^[0-9a-f]{40,64}$/.test(commit)) {
      throw new Failure(
        `${what}: ${hubUrl} answered with the commit ${JSON.stringify(commit).slice(0, 80)}, which is none`,
      );
    }
    const directory = join(storage, "snapshots", commit);
    const entries = new Map<string, ListFileEntry>();
    for await (const entry of listFiles({
      ...access,
      fetch: interfaceFetch(limits),
      repo: { type: kind, name: id.name },
      revision: commit,
      recursive: true,
    })) {
      if (entries.size >= MOST_FILES) {
        throw new Failure(`${what}: ${hubUrl} lists more than ${MOST_FILES} files; no ${kind} has as many`);
      }
      if (entry.type === "file") entries.set(entry.path, entry);
    }
    const get = async (path: string): Promise<string> => {
      const entry = entries.get(path);
      if (!entry) throw new Failure(`${what}: ${path} is asked for, which the repository does not have`);
      if (path.split("/").some((part) => part === ".." || part === "" || part.includes("\\")))
        throw new Failure(
          `${what}: ${hubUrl} lists a file ${JSON.stringify(path)}, which is no path inside a repository`,
        );
      await fetchFile({ entry, id, commit, storage, access, options });
      return join(directory, path);
    };
    if (!(await id.choose([...entries.keys()], get, directory))) return { directory, commit, warnings: [] };
    if (commit !== id.revision) writeFileAtomic(join(storage, "refs", id.revision), commit);
    return { directory, commit, warnings: [] };
  } catch (error) {
    if (error instanceof RlptError) throw error;
    if (error instanceof HubApiError && error.statusCode < 500) throw apiFault(error, id, hubUrl);
    if ((error as NodeJS.ErrnoException).syscall !== undefined) {
      throw new Failure(`${storage} cannot be written: ${describeSystemError(error)}`, {
        cause: error,
      });
    }
    const reason = error instanceof HubApiError ? `it answered ${error.statusCode}` : networkReason(error);
    if (cached) {
      const warning = `${hubUrl} cannot be reached (${reason}); using ${what} from the cache, commit ${cached.commit}`;
      return { ...cached, warnings: [warning] };
    }
    throw new Failure(
      `${what}: ${hubUrl} cannot be reached (${reason}), and it is not in the cache ${storage}; connect, or ${local}`,
      { cause: error },
    );
  }
}

interface FileRequest {
  entry: ListFileEntry;
  id: HubRequest;
  commit: string;
  storage: string;
  access: { hubUrl: string; accessToken?: string };
  options: HubOptions;
}

async function fetchFile(request: FileRequest): Promise<void> {
  const { entry, commit, storage } = request;
  const checksum = entry.lfs?.oid ?? entry.oid;
  if (!checksum || !/^[0-9a-f]{40,64}$/.test(checksum)) {
    throw new request.id.Failure(`${request.id.name}: the hub gives no checksum for ${entry.path}`);
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
      if (fatal || error instanceof RlptError || attempt >= attempts) {
        if (sizeOf(incomplete) === 0) throw error;
        throw new request.id.Failure(
          `${request.id.name}: ${entry.path} broke off at ${sizeOf(incomplete)} of ${total} bytes (${networkReason(error)}); run again to go on from there`,
          { cause: error },
        );
      }
    }
  }
  const found = await fileChecksum(incomplete, entry.lfs ? "sha256" : "git", total);
  if (found !== checksum) {
    rmSync(incomplete, { force: true });
    throw new request.id.Failure(
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
    repo: { type: id.kind, name: id.name },
    path: entry.path,
    revision: commit,
    xet: false,
  });
  if (!blob) throw new request.id.Failure(`${id.name}: ${entry.path} disappeared from the hub`);
  const stream = blob.slice(done, total).stream() as unknown as AsyncIterable<Uint8Array>;
  for await (const chunk of chunksInTime(stream, limits)) {
    if (done + chunk.length > total) {
      rmSync(incomplete, { force: true });
      throw new request.id.Failure(
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
