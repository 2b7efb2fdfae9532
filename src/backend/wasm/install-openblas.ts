/**
 * Brings OpenBLAS from PyPI: pip downloads the wheel `scipy-openblas32` (nothing is installed into Python), its
 * shared library is unpacked into our cache folder, checked against the wheel's own hashes, and tested.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { BackendError } from "../../lib/errors.ts";
import { writeFileSynced } from "../../lib/files.ts";
import { unpackEntry, type Wheel, withWheel } from "../wheel-archive.ts";
import { downloadWheel, replaceFolder } from "../wheels.ts";
import { openblasCacheFolder, openCblas } from "./cblas.ts";

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
    return await unpackWheel(wheel, note);
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
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
export function unpackWheel(
  wheel: string,
  note: (line: string) => void = () => {},
): Promise<OpenblasInstallation> {
  return withWheel(wheel, manual, (opened) => installFrom(opened, note));
}

async function installFrom(wheel: Wheel, note: (line: string) => void): Promise<OpenblasInstallation> {
  const target = openblasCacheFolder();
  const wanted = wheel.entries.filter(({ name }) => isWanted(name));
  const main = wanted.find(({ name }) => /(^|\/)lib[^/]*openblas[^/]*\.(so|dylib|dll)$/.test(name));
  if (main === undefined) {
    throw new BackendError(`${wheel.path}: holds no OpenBLAS library. Fix: ${manual}.`);
  }
  const installation = {
    library: join(target, main.name),
    sha256: "",
    wheel: basename(wheel.path),
    wheelSha256: wheel.sha256,
    version: wheel.version,
  };
  await replaceFolder(target, "OpenBLAS", async (aside) => {
    for (const entry of wanted) await unpackEntry(wheel, entry, aside);
    const library = join(aside, main.name);
    const bytes = readFileSync(library);
    note(`unpacked ${main.name} (${(bytes.length / 1e6).toFixed(0)} MB)`);
    // a loaded library cannot be renamed under Windows: there it is tested in place
    if (process.platform !== "win32") openCblas(library);
    installation.sha256 = createHash("sha256").update(bytes).digest("hex");
    writeFileSynced(join(aside, "install.json"), [
      new TextEncoder().encode(JSON.stringify(installation, null, 2)),
    ]);
  });
  if (process.platform === "win32") openCblas(installation.library);
  note("sgemm agrees with float64");
  return installation;
}
