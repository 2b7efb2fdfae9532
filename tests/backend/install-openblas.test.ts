import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findCblas } from "../../src/backend/wasm/cblas.ts";
import { installOpenblas, unpackWheel } from "../../src/backend/wasm/install-openblas.ts";
import { BackendError } from "../../src/lib/errors.ts";
import { optionalPart } from "../helpers/optional.ts";
import { zip } from "../helpers/zip.ts";

const saved = { ...process.env };
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-test-"));
  process.env["RLPT_CACHE"] = join(folder, "cache");
  delete process.env["RLPT_CBLAS"];
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  process.env = { ...saved };
});

/** A wheel of these files with a true RECORD. */
function makeWheel(files: Record<string, Buffer>, record = recordOf(files)): string {
  const all = { ...files, "scipy_openblas32-1.2.3.dist-info/RECORD": Buffer.from(record) };
  const path = join(folder, "scipy_openblas32-1.2.3-py3-none-any.whl");
  writeFileSync(path, zip(Object.entries(all).map(([name, data]) => ({ name, data, method: 8 }))));
  return path;
}

function recordOf(files: Record<string, Buffer>): string {
  const line = ([name, data]: [string, Buffer]) =>
    `${name},sha256=${createHash("sha256").update(data).digest("base64url")},${data.length}`;
  return Object.entries(files).map(line).join("\n");
}

const libraryName = "scipy_openblas32/lib/libscipy_openblas.so";
const cacheFiles = () => {
  const cache = join(folder, "cache");
  return existsSync(cache) ? readdirSync(cache) : [];
};

describe("unpackWheel", () => {
  it("refuses what is no wheel of OpenBLAS, naming the file and the fix", async () => {
    const text = join(folder, "a.whl");
    writeFileSync(text, "hello");
    await expect(unpackWheel(text)).rejects.toThrow(`${text}: the archive is damaged, or is none (`);
    await expect(unpackWheel(join(folder, "none.whl"))).rejects.toThrow(
      /none\.whl: cannot be read: no such file.*Fix: fetch/,
    );
    await expect(unpackWheel(makeWheel({ "numpy/core.py": Buffer.from("x") }))).rejects.toThrow(
      "holds no OpenBLAS library",
    );
  });

  it("refuses a library that is not the one in RECORD", async () => {
    const files = { [libraryName]: Buffer.from("genuine") };
    const wheel = makeWheel({ [libraryName]: Buffer.from("altered") }, recordOf(files));
    await expect(unpackWheel(wheel)).rejects.toThrow(`${libraryName} does not have the SHA-256`);
    expect(cacheFiles()).toEqual([]);
  });

  it("refuses paths that leave the archive", async () => {
    const files = { "../../evil.so": Buffer.from("x"), [libraryName]: Buffer.from("y") };
    await expect(unpackWheel(makeWheel(files))).rejects.toThrow("points outside the archive");
    expect(cacheFiles()).toEqual([]);
  });

  it("leaves nothing behind when the library cannot be loaded", async () => {
    await expect(unpackWheel(makeWheel({ [libraryName]: Buffer.from("not ELF") }))).rejects.toThrow(
      /cannot be loaded/,
    );
    expect(cacheFiles()).toEqual([]);
  });
});

const posix = process.platform !== "win32";

optionalPart(
  "downloading with pip",
  posix,
  "the stand-in for Python is a shell script",
)(() => {
  /** A program that answers `-m pip --version`, and to a download does what `body` says ($dest is the folder). */
  function fakePython(body: string): string {
    const path = join(folder, "python");
    const dest = 'while [ "$1" != --dest ]; do shift; done; dest="$2"';
    writeFileSync(
      path,
      `#!/bin/sh\nif [ "$3" = --version ]; then echo pip 23; exit 0; fi\n${dest}\n${body}\n`,
    );
    chmodSync(path, 0o755);
    return path;
  }
  const failure = async (python: string): Promise<string> => {
    const error = await installOpenblas({ python }).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(BackendError);
    return (error as Error).message;
  };

  it("says that there is no Python, or no pip in it", async () => {
    expect(await failure(join(folder, "nothing"))).toMatch(
      /^no Python with pip was found \(.*no such file.*Fix: /,
    );
    const python = join(folder, "bare");
    writeFileSync(python, "#!/bin/sh\necho No module named pip >&2\nexit 1\n");
    chmodSync(python, 0o755);
    expect(await failure(python)).toContain("bare: No module named pip");
  });

  it("tells a missing network from a platform without a wheel and from other failures", async () => {
    const offline = fakePython(
      "echo 'WARNING: NewConnectionError(x)'; echo 'ERROR: No matching distribution'; exit 1",
    );
    expect(await failure(offline)).toMatch(/^pip cannot reach its package index: ERROR: .*--wheel FILE\.$/);
    const none = fakePython("echo 'ERROR: No matching distribution found for scipy-openblas32' >&2; exit 1");
    expect(await failure(none)).toMatch(/^pip found no scipy-openblas32 for .*system's packages/);
    expect(await failure(fakePython("echo boom; exit 7"))).toMatch(/failed with status 7: boom/);
  });

  it("passes on what pip says, and hands the wheel on to be checked", async () => {
    const wheel = makeWheel({ [libraryName]: Buffer.from("not ELF") });
    const python = fakePython(`echo Saved it; cp '${wheel}' "$dest"`);
    const said: string[] = [];
    await expect(installOpenblas({ python, onProgress: (line) => said.push(line) })).rejects.toThrow(
      /cannot be loaded/,
    );
    expect(said).toContain("Saved it");
  });
});

const wheels = fileURLToPath(new URL("../../.cache/wheels", import.meta.url));
const fetched = existsSync(wheels)
  ? readdirSync(wheels).find((name) => /^scipy_openblas32-.*\.whl$/.test(name))
  : undefined;
const wheel = process.env["RLPT_OPENBLAS_WHEEL"] ?? (fetched && join(wheels, fetched));

optionalPart(
  "a real OpenBLAS wheel",
  wheel !== undefined,
  "no wheel; python3 -m pip download --no-deps --only-binary=:all: -d .cache/wheels scipy-openblas32",
)(() => {
  it("is installed, recorded, found, and survives a second, failing installation", async () => {
    const installation = await installOpenblas({ wheel: wheel! });
    const recorded = () =>
      JSON.parse(readFileSync(join(folder, "cache", "openblas", "install.json"), "utf8"));
    expect(recorded()).toEqual(installation);
    const bytes = readFileSync(installation.library);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(installation.sha256);
    expect(findCblas().library?.path).toBe(installation.library);
    await expect(unpackWheel(makeWheel({ [libraryName]: Buffer.from("not ELF") }))).rejects.toThrow(
      /cannot be loaded/,
    );
    expect(recorded()).toEqual(installation);
    expect(cacheFiles()).toEqual(["openblas"]);
    expect(await installOpenblas({ wheel: wheel! })).toEqual(installation);
    expect(cacheFiles()).toEqual(["openblas"]);
  });
});
