import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Arena, type NamedValue, openPlugin, readNamedValues } from "../../../src/backend/xla/pjrt/api.ts";
import { pluginsIn } from "../../../src/backend/xla/pjrt/find.ts";
import {
  gpuClientOptions,
  gpuFlags,
  nvidiaLibrariesBeside,
} from "../../../src/backend/xla/pjrt/gpu-settings.ts";
import { cudaPluginMissing, pluginFor } from "../../helpers/engines.ts";
import { optionalPart } from "../../helpers/optional.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-gpu-settings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("takes memory of a card as it is needed, unless JAX's variables say otherwise", () => {
  const fraction = (environment: NodeJS.ProcessEnv) =>
    Number((gpuClientOptions("cuda", undefined, environment)["memory_fraction"] as Float32Array)[0]);
  expect(gpuClientOptions("cuda", undefined, {})).toMatchObject({ preallocate: false });
  expect(fraction({})).toBeCloseTo(0.9);
  const jax = { XLA_PYTHON_CLIENT_PREALLOCATE: "true", XLA_PYTHON_CLIENT_MEM_FRACTION: ".25" };
  expect(gpuClientOptions("rocm", undefined, jax)).toMatchObject({ preallocate: true });
  expect(fraction(jax)).toBe(0.25);
  expect(fraction({ XLA_PYTHON_CLIENT_MEM_FRACTION: "1.0" })).toBe(1);
  expect(fraction({ XLA_PYTHON_CLIENT_MEM_FRACTION: "much" })).toBeCloseTo(0.9);
  expect(gpuClientOptions("cuda", undefined, {})).not.toHaveProperty("visible_devices");
  expect(gpuClientOptions("cuda", 3, {})["visible_devices"]).toEqual(BigInt64Array.of(0n, 1n, 2n));
  // the client for the CPU knows neither
  expect(gpuClientOptions("cpu", 2, jax)).toEqual({});
});

it("keeps the kernels that were found fastest, and leaves to XLA_FLAGS what it sets", () => {
  const plugin = { platform: "cuda", cudaTools: "/opt/cuda" } as const;
  const flags = gpuFlags(plugin, {});
  expect(flags).toMatchObject({ xla_gpu_cuda_data_dir: "/opt/cuda" });
  expect(existsSync(String(flags["xla_gpu_per_fusion_autotune_cache_dir"]))).toBe(true);
  const given = "--xla_gpu_autotune_level=0 --xla_gpu_per_fusion_autotune_cache_dir=/elsewhere";
  expect(Object.keys(gpuFlags(plugin, { XLA_FLAGS: given }))).toEqual(["xla_gpu_cuda_data_dir"]);
  expect(gpuFlags({ platform: "cpu", cudaTools: null }, {})).toEqual({});
});

it("passes options to a plugin with their types: a float that is whole, a list, a flag", () => {
  const arena = new Arena();
  const values: Record<string, NamedValue> = {
    fraction: Float32Array.of(1),
    half: 0.5,
    count: 3,
    devices: BigInt64Array.of(0n, 2n),
    on: true,
    name: "bfc",
  };
  const { at, count } = arena.namedValues(values);
  expect(readNamedValues(at, count)).toEqual({
    fraction: "1",
    half: "0.5",
    count: "3",
    devices: "0,2",
    on: "true",
    name: "bfc",
  });
  arena.release();
});

it("finds a plugin and NVIDIA's libraries as JAX's wheels lay them out", () => {
  const packages = join(folder, "site-packages");
  const touch = (path: string) => {
    mkdirSync(join(packages, path, ".."), { recursive: true });
    writeFileSync(join(packages, path), "");
  };
  for (const cuda of ["xla_cuda12", "xla_cuda13"]) touch(`jax_plugins/${cuda}/xla_cuda_plugin.so`);
  touch("jax_cuda13_pjrt-0.11.2.dist-info/METADATA");
  for (const name of [
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libnvrtc.so.13",
    "libnvrtc-builtins.so.13.0",
  ]) {
    touch(`nvidia/cu13/lib/${name}`);
  }
  touch("nvidia/cudnn/lib/libcudnn.so.9");
  touch("nvidia/cudnn/lib/libcudnn_graph.so.9");
  const found = pluginsIn(packages, "Python environment");
  expect(found.map(({ path, platform, version }) => [basename(join(path, "..")), platform, version])).toEqual(
    [
      ["xla_cuda13", "cuda", "0.11.2"],
      ["xla_cuda12", "cuda", null],
    ],
  );
  expect(nvidiaLibrariesBeside(found[0]!.path).map((path) => basename(path))).toEqual([
    "libnvrtc.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libcudnn.so.9",
  ]);
});

const cuda = pluginFor("cuda");
optionalPart(
  "options of CUDA's client",
  cuda !== null,
  cudaPluginMissing,
)(() => {
  it("are known to the plugin, which then looks for a card", () => {
    const plugin = openPlugin(cuda!.path);
    const create = (options: Record<string, NamedValue>) => {
      const arena = new Arena();
      const { at, count } = arena.namedValues(options);
      try {
        plugin.call("Client_Create", { create_options: at, num_options: count });
      } finally {
        arena.release();
      }
    };
    // where there is a card, a client is made
    const outcome = (options: Record<string, NamedValue>) => {
      try {
        create(options);
        return "a client";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(outcome(gpuClientOptions("cuda", 1, {}))).toMatch(/a client|No visible GPU devices/);
    expect(outcome({ memory_fraction: 1 })).toContain("memory_fraction");
    expect(outcome({ memory_share: 0.5 })).toContain("memory_share");
  });
});
