import * as tf from "@tensorflow/tfjs";
import { expect, it } from "vitest";
import { startBackend } from "../../../src/backend/select.ts";
import { isSoftwareAdapter, watchDevice } from "../../../src/backend/webgpu/start.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { swiftShader, swiftShaderMissing } from "../../helpers/swiftshader.ts";

it("knows adapters that compute on the CPU", () => {
  const info = { vendor: "", architecture: "", device: "", description: "" };
  expect(isSoftwareAdapter({ ...info, vendor: "google", architecture: "swiftshader" })).toBe(true);
  expect(isSoftwareAdapter({ ...info, description: "llvmpipe (LLVM 15.0.6, 256 bits)" })).toBe(true);
  expect(isSoftwareAdapter({ ...info, description: "Microsoft Basic Render Driver" })).toBe(true);
  expect(isSoftwareAdapter({ ...info, isFallbackAdapter: true })).toBe(true);
  expect(
    isSoftwareAdapter({ ...info, vendor: "nvidia", architecture: "hopper", description: "NVIDIA H100" }),
  ).toBe(false);
  expect(isSoftwareAdapter({ ...info, vendor: "apple", description: "Apple M3" })).toBe(false);
});

it("a fault stops the start, or the run once it has started", async () => {
  let report: (event: { error: { message: string } }) => void = () => {};
  let lose: (info: { reason: string; message: string }) => void = () => {};
  const lost = new Promise<{ reason: string; message: string }>((resolve) => {
    lose = resolve;
  });
  const raised: string[] = [];
  const open = () =>
    watchDevice(
      {
        addEventListener: (_, listener) => {
          report = listener;
        },
        lost,
      },
      (error) => raised.push(error.message),
    );
  const failed = open();
  report({ error: { message: "too many buffers" } });
  expect(() => failed.arm()).toThrow("WebGPU refused a program: too many buffers");
  const watch = open();
  watch.arm();
  expect(raised).toEqual([]);
  report({ error: { message: "out of memory" } });
  lose({ reason: "unknown", message: "unplugged" });
  await lost;
  await Promise.resolve();
  expect(raised).toEqual(["WebGPU: out of memory", "WebGPU: the device was lost: unplugged"]);
});

optionalPart(
  "WebGPU on SwiftShader",
  swiftShader !== null,
  swiftShaderMissing,
)(() => {
  it("starts when forced and computes right; auto passes it over and says why", async () => {
    process.env["VK_ICD_FILENAMES"] = swiftShader!;
    const info = await startBackend({ kind: "webgpu" });
    expect(tf.getBackend()).toBe("webgpu");
    expect(info.device).toMatch(/swiftshader.*\(software\)/i);
    expect(info.selfTest.deviation).toBeLessThan(1e-4);
    const before = tf.memory().numTensors;
    for (const addends of [1, 7, 8, 30]) {
      const sum = tf.tidy(() => tf.addN(Array.from({ length: addends }, (_, i) => tf.tensor1d([i, 2 * i]))));
      expect(Array.from(await sum.data())).toEqual([(addends * (addends - 1)) / 2, addends * (addends - 1)]);
      sum.dispose();
    }
    expect(tf.memory().numTensors).toBe(before);
    const auto = await startBackend({ kind: "auto" });
    expect(auto.tried.find(({ kind }) => kind === "webgpu")?.reason).toMatch(/no GPU|computes on the CPU/);
  });
});
