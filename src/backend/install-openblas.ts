/**
 * Brings OpenBLAS from PyPI: pip downloads the wheel `scipy-openblas32` (nothing is installed into Python), its
 * shared library is unpacked into our cache folder, checked against the wheel's own hashes, and tested.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize } from "node:path";
import { BackendError, describeSystemError } from "../lib/errors.ts";
import { syncDirectory, writeFileSynced } from "../lib/files.ts";
import { readZip, type ZipEntry } from "../lib/zip.ts";
import { openblasCacheFolder, openCblas } from "./wasm/cblas.ts";

const PACKAGE = "scipy-openblas32";
const manual = `fetch the wheel ${PACKAGE} for this platform from PyPI on any machine and run: rlpt backend install openblas --wheel FILE`;

export interface InstallOpenblasOptions {
  /** A wheel that is already here, instead of pip. */
  wheel?: string;
  /** Python to use; default $RLPT_PYTHON, python3, python. */
  python?: string;
  /** One line for each thing that goes on. */
  onProgress?(line: string): void;
}

export interface OpenblasInstallation {
  /** The shared library's path. */
  library: string;
  /** Its SHA-256, hexadecimal. */
  sha256: string;
  wheel: string;
  wheelSha256: string;
  version: string;
}

/** @throws BackendError that says which step failed and what to do; what was installed before is then untouched */
export async function installOpenblas(options: InstallOpenblasOptions = {}): Promise<OpenblasInstallation> {
  const note = options.onProgress ?? (() => {});
  const downloads = mkdtempSync(join(tmpdir(), "rlpt-openblas-"));
  try {
    const wheel = options.wheel ?? (await downloadWheel(downloads, options.python, note));
    return unpackWheel(wheel, note);
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
}

async function downloadWheel(
  folder: string,
  named: string | undefined,
  note: (line: string) => void,
): Promise<string> {
  const python = await findPython(named);
  note(`downloading ${PACKAGE} (about 8 MB) with ${python} -m pip`);
  const args = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"];
  args.push("--disable-pip-version-check", "--progress-bar", "off", "--dest", folder, PACKAGE);
  const { status, output } = await capture(python, args, note);
  const wheel = readdirSync(folder).find((name) => name.endsWith(".whl"));
  if (status === 0 && wheel !== undefined) return join(folder, wheel);
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
    throw new BackendError(
      `pip found no ${PACKAGE} for ${process.platform}-${process.arch}: ${said}. Fix: install OpenBLAS from the system's packages, or ${manual}.`,
    );
  }
  throw new BackendError(`pip download ${PACKAGE} failed with status ${status}: ${said}. Fix: ${manual}.`);
}

/** The first Python that has pip. */
async function findPython(named: string | undefined): Promise<string> {
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

function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

/** The BLAS itself, libraries it needs (delocated wheels keep them beside it), and the licence. */
function isWanted(name: string): boolean {
  const library = /\.(so(\.\d+)*|dylib|dll)$/.test(name);
  const licence = /\.dist-info\/(.*\/)?LICENSE[^/]*$/.test(name);
  return library || licence;
}

/** Hashes by path from the wheel's RECORD file (PyPA binary distribution format). */
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
 * Unpacks a wheel into the cache folder: written aside, tested there, then renamed into place.
 * @throws BackendError when it is no such wheel, is damaged, or computes wrongly
 */
export function unpackWheel(wheel: string, note: (line: string) => void = () => {}): OpenblasInstallation {
  const target = openblasCacheFolder();
  let archive: Buffer;
  let entries: ZipEntry[];
  try {
    archive = readFileSync(wheel);
  } catch (cause) {
    throw new BackendError(`${wheel}: cannot be read: ${describeSystemError(cause)}. Fix: ${manual}.`, {
      cause,
    });
  }
  try {
    entries = readZip(archive);
  } catch (cause) {
    throw new BackendError(`${wheel}: ${(cause as Error).message}. Fix: download it again; ${manual}.`, {
      cause,
    });
  }
  const wanted = entries.filter(({ name }) => isWanted(name));
  const main = wanted.find(({ name }) => /(^|\/)lib[^/]*openblas[^/]*\.(so|dylib|dll)$/.test(name));
  if (main === undefined) {
    throw new BackendError(`${wheel}: holds no OpenBLAS library. Fix: ${manual}.`);
  }
  const aside = `${target}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const old = `${aside}.old`;
  try {
    const record = readRecord(entries);
    for (const entry of wanted) {
      const bytes = readChecked(entry, record, wheel);
      const path = normalize(join(aside, entry.name));
      if (!path.startsWith(join(aside, "/")))
        throw new BackendError(`${wheel}: ${entry.name} points outside the archive`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSynced(path, [bytes]);
    }
    const installation: OpenblasInstallation = {
      library: join(target, main.name),
      sha256: sha256(readFileSync(join(aside, main.name))).toString("hex"),
      wheel: basename(wheel),
      wheelSha256: sha256(archive).toString("hex"),
      version: /^[^-]+-([^-]+)-/.exec(basename(wheel))?.[1] ?? "unknown",
    };
    note(`unpacked ${main.name} (${(statSync(join(aside, main.name)).size / 1e6).toFixed(0)} MB)`);
    // a loaded library cannot be renamed under Windows: there it is tested in place
    if (process.platform !== "win32") openCblas(join(aside, main.name));
    writeFileSynced(join(aside, "install.json"), [
      new TextEncoder().encode(JSON.stringify(installation, null, 2)),
    ]);
    mkdirSync(dirname(target), { recursive: true });
    if (existsSync(target)) renameSync(target, old);
    renameSync(aside, target);
    syncDirectory(dirname(target));
    if (process.platform === "win32") openCblas(installation.library);
    note("sgemm agrees with float64");
    return installation;
  } catch (cause) {
    if (!existsSync(target) && existsSync(old)) renameSync(old, target);
    if (cause instanceof BackendError) throw cause;
    throw new BackendError(
      `${target}: OpenBLAS cannot be installed there: ${describeSystemError(cause)}. Fix: free or choose another cache folder with RLPT_CACHE.`,
      { cause },
    );
  } finally {
    rmSync(aside, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}

function readChecked(entry: ZipEntry, record: ReadonlyMap<string, string>, wheel: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = entry.read();
  } catch (cause) {
    throw new BackendError(`${wheel}: ${(cause as Error).message}; it is damaged. Fix: download it again.`, {
      cause,
    });
  }
  if (record.get(entry.name) !== sha256(bytes).toString("base64url")) {
    throw new BackendError(
      `${wheel}: ${entry.name} does not have the SHA-256 that the wheel's RECORD gives; it is damaged. Fix: download it again.`,
    );
  }
  return bytes;
}

/** What `rlpt backend install openblas` left, or null. */
export function installedOpenblas(): OpenblasInstallation | null {
  try {
    const text = readFileSync(join(openblasCacheFolder(), "install.json"), "utf8");
    const found = JSON.parse(text) as OpenblasInstallation;
    return existsSync(found.library) ? found : null;
  } catch {
    return null;
  }
}
