import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { installEngine, sourceOf, wheelsOf } from "../../../src/backend/xla/install.ts";
import { pluginsIn } from "../../../src/backend/xla/pjrt/find.ts";
import { findTensorFlow } from "../../../src/backend/xla/tensorflow/find.ts";
import { libraryNames } from "../../../src/backend/xla/tensorflow/names.ts";
import { zip } from "../../helpers/zip.ts";

const saved = { ...process.env };
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-test-"));
  process.env["RLPT_CACHE"] = join(folder, "cache");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  process.env = { ...saved };
});

function makeWheel(
  name: string,
  files: Record<string, string>,
  altered: Record<string, string> = {},
): string {
  const hash = (text: string) => createHash("sha256").update(text).digest("base64url");
  const record = Object.entries(files).map(([path, text]) => `${path},sha256=${hash(text)},${text.length}`);
  const info = name.split("-").slice(0, 2).join("-");
  const all = { ...files, ...altered, [`${info}.dist-info/RECORD`]: record.join("\n") };
  const path = join(folder, name);
  const entries = Object.entries(all).map(([file, text]) => ({
    name: file,
    data: Buffer.from(text),
    method: 8 as const,
  }));
  writeFileSync(path, zip(entries));
  return path;
}

function put(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
}

const rocm = "jax_rocm7_pjrt-0.12.0-py3-none-any.whl";
const rocmLibrary = "jax_plugins/xla_rocm7/xla_rocm_plugin.so";
const install = (wheel: string) => installEngine("rocm", { wheels: [wheel] });

it("says whose build XLA's plugin for the CPU is, before it is fetched and in install.json", async () => {
  const wheel = makeWheel(rocm, { [rocmLibrary]: "x" });
  const said: string[] = [];
  const onProgress = (line: string) => said.push(line);
  await expect(installEngine("xla-cpu", { wheels: [wheel], onProgress })).rejects.toThrow(
    "is none of the wheels of xla-cpu",
  );
  expect(said[0]).toBe(sourceOf("xla-cpu")!);
  expect(said[0]).toMatch(
    /not made by XLA's own project.*fixed by (its|their) SHA-256.*backend\.library=tensorflow/,
  );
  for (const engine of ["tensorflow", "cuda12", "cuda13", "rocm"] as const) {
    expect(sourceOf(engine)).toBeNull();
  }
});

it("refuses wheels of other packages, damaged files, and paths out of the archive", async () => {
  await expect(install(makeWheel("numpy-1.0-py3-none-any.whl", { "a.so": "x" }))).rejects.toThrow(
    /numpy-1\.0.*is none of the wheels of rocm \(jax-rocm7-pjrt==0\.12\.0\)\. Fix: fetch the wheel/,
  );
  await expect(install(makeWheel(rocm, { "jax_plugins/__init__.py": "" }))).rejects.toThrow(
    "holds none of the files that are wanted here",
  );
  await expect(
    install(makeWheel(rocm, { [rocmLibrary]: "genuine" }, { [rocmLibrary]: "altered" })),
  ).rejects.toThrow(`${rocmLibrary} does not have the SHA-256 that the wheel's RECORD gives`);
  await expect(install(makeWheel(rocm, { "../../evil.so": "x" }))).rejects.toThrow(
    "points outside the archive",
  );
  await expect(install(join(folder, "none.whl"))).rejects.toThrow(/none\.whl: cannot be read: no such file/);
  expect(existsSync(join(folder, "evil.so"))).toBe(false);
});

it("leaves nothing behind when the library does not open, and what was there before as it was", async () => {
  const target = join(folder, "cache", "pjrt", "rocm");
  put(join(target, "old.txt"));
  await expect(install(makeWheel(rocm, { [rocmLibrary]: "no library" }))).rejects.toThrow("cannot be loaded");
  expect(readdirSync(join(folder, "cache", "pjrt"))).toEqual(["rocm"]);
  expect(readdirSync(target)).toEqual(["old.txt"]);
});

it("takes XLA for the CPU only as the file that was tested", async () => {
  const [known] = wheelsOf("xla-cpu");
  const wheel = makeWheel(`${known!.requirement.replaceAll("-", "_").replace("==", "-")}-py3-none-any.whl`, {
    "xla/pjrt_plugin.so": "x",
  });
  await expect(installEngine("xla-cpu", { wheels: [wheel] })).rejects.toThrow(
    new RegExp(`its SHA-256 is [0-9a-f]{64}, not ${known!.sha256}`),
  );
});

it("asks for TensorFlow's build for GPUs when told so", () => {
  expect(wheelsOf("tensorflow", true)[0]!.requirement).toMatch(/^tensorflow==/);
});

it("finds plugins among a Python's packages, with their version and CUDA's tools", () => {
  const root = join(folder, "packages");
  put(join(root, "jax_plugins", "xla_cuda12", "xla_cuda_plugin.so"));
  put(join(root, "jax_plugins", "xla_cuda12", "__init__.py"));
  put(join(root, "jax_cuda12_pjrt-0.12.0.1.dist-info", "METADATA"));
  put(join(root, "jax_plugins", "xla_rocm7", "xla_rocm_plugin.so"));
  put(join(root, "xla_plugins", "xla_cpu_pjrt", "xla_cpu_pjrt.so"));
  put(join(root, "nvidia", "cuda_nvcc", "bin", "ptxas"));
  const found = pluginsIn(root, "Python environment").map(({ platform, version, cudaTools }) => ({
    platform,
    version,
    tools: cudaTools !== null,
  }));
  expect(found).toEqual([
    { platform: "rocm", version: null, tools: false },
    { platform: "cuda", version: "0.12.0.1", tools: true },
    { platform: "cpu", version: null, tools: false },
  ]);
  expect(pluginsIn(join(folder, "nowhere"), "named")).toEqual([]);
});

it("finds TensorFlow in a named folder or one above it, in rlpt's own, and says where it looked", () => {
  const named = join(folder, "site", "tensorflow");
  for (const name of libraryNames) put(join(named, name));
  expect(findTensorFlow(named).found).toEqual({ folder: named, origin: "named" });
  expect(findTensorFlow(join(folder, "site")).found?.folder).toBe(named);
  expect(findTensorFlow(join(folder, "other"))).toEqual({
    found: null,
    looked: [join(folder, "other"), join(folder, "other", "tensorflow")],
  });
  delete process.env["RLPT_TENSORFLOW"];
  const own = join(folder, "cache", "tensorflow", "tensorflow");
  for (const name of libraryNames) put(join(own, name));
  expect(findTensorFlow().found).toEqual({ folder: own, origin: "installed by rlpt" });
  // backend.library: tensorflow
  expect(findTensorFlow("tensorflow").found).toEqual({ folder: own, origin: "installed by rlpt" });
});
