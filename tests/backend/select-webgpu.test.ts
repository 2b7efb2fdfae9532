import * as tf from "@tensorflow/tfjs";
import { expect, it } from "vitest";
import { startBackend } from "../../src/backend/select.ts";
import { isSoftwareAdapter } from "../../src/backend/webgpu.ts";
import { optionalPart } from "../helpers/optional.ts";
import { swiftShader, swiftShaderMissing } from "../helpers/swiftshader.ts";

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
    const auto = await startBackend({ kind: "auto" });
    expect(auto.tried.find(({ kind }) => kind === "webgpu")?.reason).toMatch(/no GPU|computes on the CPU/);
  });
});
