/**
 * Brings OpenBLAS from PyPI: pip downloads the wheel `scipy-openblas32` (nothing is installed into Python), its
 * shared library is unpacked into our cache folder, checked against the wheel's own hashes, and tested.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize } from "node:path";
import { BackendError, describeSystemError } from "../lib/errors.ts";
import { syncDirectory, writeFileSynced } from "../lib/files.ts";
import type { ZipEntry } from "../lib/zip.ts";
import { openblasCacheFolder, openCblas } from "./wasm/cblas.ts";
import { downloadWheel, openWheel } from "./wheels.ts";

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
    const request = { requirement: PACKAGE, megabytes: 8, keep: /./ };
    const otherwise = "install OpenBLAS from the system's packages";
    const source = { python: options.python, note, manual, otherwise };
    const wheel = options.wheel ?? (await downloadWheel(request, downloads, source));
    return unpackWheel(wheel, note);
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
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

/**
 * Unpacks a wheel into the cache folder: written aside, tested there, then renamed into place.
 * @throws BackendError when it is no such wheel, is damaged, or computes wrongly
 */
export function unpackWheel(wheel: string, note: (line: string) => void = () => {}): OpenblasInstallation {
  const target = openblasCacheFolder();
  const { entries, record, version, sha256: wheelSha256 } = openWheel(wheel, manual);
  const wanted = entries.filter(({ name }) => isWanted(name));
  const main = wanted.find(({ name }) => /(^|\/)lib[^/]*openblas[^/]*\.(so|dylib|dll)$/.test(name));
  if (main === undefined) {
    throw new BackendError(`${wheel}: holds no OpenBLAS library. Fix: ${manual}.`);
  }
  const aside = `${target}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const old = `${aside}.old`;
  try {
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
      wheelSha256,
      version,
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
