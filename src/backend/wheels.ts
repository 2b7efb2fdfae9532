/** Python wheels as a source of shared libraries: pip downloads, files are checked against RECORD and unpacked. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { BackendError, describeSystemError } from "../lib/errors.ts";
import { syncDirectory } from "../lib/files.ts";
import { readZip, type ZipEntry } from "../lib/zip.ts";

export interface WheelRequest {
  /** What pip is asked for: "tensorflow-cpu==2.21.0". */
  readonly requirement: string;
  /** Megabytes of the download, for the one who waits. */
  readonly megabytes?: number;
  /** Further arguments of `pip download`: the tag of a wheel that is bound to one Python. */
  readonly pipArguments?: readonly string[];
  /** Files of the wheel that are unpacked. */
  readonly keep: RegExp;
}

export interface WheelSource {
  /** Python to use; default $RLPT_PYTHON, python3, python. */
  python?: string | undefined;
  /** One line for each thing that goes on. */
  note(line: string): void;
  /** What to do by hand when it does not work; a sentence without a full stop. */
  manual: string;
  /** What else helps where pip has no wheel for this platform; default `manual` alone. */
  otherwise?: string;
}

/** @returns the wheel's path. @throws BackendError that tells a missing network from a missing wheel */
export async function downloadWheel(
  request: WheelRequest,
  folder: string,
  { python: named, note, manual, otherwise }: WheelSource,
): Promise<string> {
  const python = await findPython(named, manual);
  const { requirement, megabytes, pipArguments = [] } = request;
  const size = megabytes === undefined ? "" : ` (about ${megabytes} MB)`;
  note(`downloading ${requirement}${size} with ${python} -m pip`);
  const own = join(folder, randomBytes(4).toString("hex"));
  mkdirSync(own, { recursive: true });
  const args = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"];
  args.push(
    "--disable-pip-version-check",
    "--progress-bar",
    "off",
    ...pipArguments,
    "--dest",
    own,
    requirement,
  );
  const { status, output } = await capture(python, args, note);
  const wheel = readdirSync(own).find((name) => name.endsWith(".whl"));
  if (status === 0 && wheel !== undefined) return join(own, wheel);
  const lines = output.split("\n").map((line) => line.trim());
  const said =
    lines.findLast((line) => line.startsWith("ERROR")) ?? lines.findLast((line) => line !== "") ?? "";
  const offline =
    /NewConnectionError|ConnectionError|Temporary failure|Name or service|Network is|ProxyError|timed out/i;
  if (offline.test(output)) {
    throw new BackendError(
      `pip cannot reach its package index: ${said}. Fix: check the network, or ${manual}.`,
    );
  }
  if (/No matching distribution/.test(output)) {
    const fix = otherwise === undefined ? manual : `${otherwise}, or ${manual}`;
    throw new BackendError(
      `pip found no ${requirement} for ${process.platform}-${process.arch}: ${said}. Fix: ${fix}.`,
    );
  }
  throw new BackendError(
    `pip download ${requirement} failed with status ${status}: ${said}. Fix: ${manual}.`,
  );
}

/** The first Python that has pip. */
async function findPython(named: string | undefined, manual: string): Promise<string> {
  const wanted = named ?? process.env["RLPT_PYTHON"];
  const candidates = wanted ? [wanted] : ["python3", "python"];
  const failures: string[] = [];
  for (const python of candidates) {
    try {
      const { status, output } = await capture(python, ["-m", "pip", "--version"], () => {});
      if (status === 0) return python;
      failures.push(`${python}: ${output.trim().split("\n").at(-1)}`);
    } catch (error) {
      failures.push(`${python}: ${describeSystemError(error)}`);
    }
  }
  const install =
    process.platform === "linux" ? "apt-get install python3-pip" : "install Python from python.org";
  throw new BackendError(
    `no Python with pip was found (${failures.join("; ")}). Fix: ${install}, or ${manual}.`,
  );
}

/** Both streams together; lines are passed on as they come. Rejects when the program cannot be started. */
function capture(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let rest = "";
    const take = (chunk: Buffer) => {
      output += chunk;
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") onLine(line.trim());
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status: status ?? (signal ? 128 : 1), output }));
  });
}

export interface Wheel {
  readonly path: string;
  /** "jax_cuda13_pjrt" and "0.12.0.1", from the file's name. */
  readonly distribution: string;
  readonly version: string;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  readonly entries: readonly ZipEntry[];
  /** SHA-256 by path in base64url, from the wheel's RECORD file (PyPA binary distribution format). */
  readonly record: ReadonlyMap<string, string>;
}

/** @throws BackendError when it cannot be read or is no zip archive */
export function openWheel(path: string, manual: string): Wheel {
  let archive: Buffer;
  try {
    archive = readFileSync(path);
  } catch (cause) {
    throw new BackendError(`${path}: cannot be read: ${describeSystemError(cause)}. Fix: ${manual}.`, {
      cause,
    });
  }
  let entries: ZipEntry[];
  try {
    entries = readZip(archive);
  } catch (cause) {
    throw new BackendError(`${path}: ${(cause as Error).message}. Fix: download it again; ${manual}.`, {
      cause,
    });
  }
  const [, distribution = "unknown", version = "unknown"] = /^([^-]+)-([^-]+)-/.exec(basename(path)) ?? [];
  const sha256 = createHash("sha256").update(archive).digest("hex");
  return { path, distribution, version, sha256, entries, record: readRecord(entries) };
}

function readRecord(entries: readonly ZipEntry[]): Map<string, string> {
  const record = entries.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  const hashes = new Map<string, string>();
  for (const line of record?.read().toString("utf8").split("\n") ?? []) {
    const [path, hash] = line.split(",");
    if (path && hash?.startsWith("sha256=")) hashes.set(path, hash.slice(7).trim());
  }
  return hashes;
}

/**
 * Unpacks one file below a folder in pieces, so that a library of a gigabyte is never held in memory.
 * @param progress bytes of the file that are done
 * @throws BackendError when the file is damaged, is not the one in RECORD, or points outside the folder
 */
export async function unpackEntry(
  wheel: Wheel,
  entry: ZipEntry,
  folder: string,
  progress: (done: number) => void = () => {},
): Promise<string> {
  const path = normalize(join(folder, entry.name));
  if (!path.startsWith(join(folder, "/"))) {
    throw new BackendError(`${wheel.path}: ${entry.name} points outside the archive`);
  }
  mkdirSync(dirname(path), { recursive: true });
  const hash = createHash("sha256");
  const handle = openSync(path, "w", 0o755);
  try {
    let done = 0;
    try {
      for await (const chunk of entry.stream()) {
        hash.update(chunk);
        for (let at = 0; at < chunk.length; ) at += writeSync(handle, chunk, at);
        done += chunk.length;
        progress(done);
      }
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new BackendError(`${wheel.path}: ${cause.message}; it is damaged. Fix: download it again.`, {
        cause,
      });
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  if (wheel.record.get(entry.name) !== hash.digest("base64url")) {
    throw new BackendError(
      `${wheel.path}: ${entry.name} does not have the SHA-256 that the wheel's RECORD gives; it is damaged. Fix: download it again.`,
    );
  }
  return path;
}

/**
 * Fills a folder and puts it in the place of the old one: written aside, tested there, then renamed.
 * @param fill writes into the folder it is given and tests what it wrote
 * @throws BackendError; the old folder is then as it was
 */
export async function replaceFolder(
  target: string,
  what: string,
  fill: (aside: string) => Promise<void>,
): Promise<void> {
  const aside = `${target}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const old = `${aside}.old`;
  try {
    mkdirSync(aside, { recursive: true });
    await fill(aside);
    if (existsSync(target)) renameSync(target, old);
    renameSync(aside, target);
    syncDirectory(dirname(target));
  } catch (cause) {
    if (!existsSync(target) && existsSync(old)) renameSync(old, target);
    if (cause instanceof BackendError) throw cause;
    throw new BackendError(
      `${target}: ${what} cannot be installed there: ${describeSystemError(cause)}. Fix: free or choose another cache folder with RLPT_CACHE.`,
      { cause },
    );
  } finally {
    rmSync(aside, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}
