import { describe, expect, it } from "vitest";
import type { BackendKind } from "../../src/backend/options.ts";
import type { BackendInfo } from "../../src/backend/select.ts";
import { advise } from "../../src/cli/doctor.ts";
import { autoChoice, type ProbeResult } from "../../src/processes/probe.ts";

function works(kind: BackendKind, more: Partial<BackendInfo> = {}): ProbeResult {
  const selfTest = { passed: true, deviation: 1e-6, of: "loss", checks: 26 };
  const info = { kind, device: "a machine", description: "it", tried: [], versions: {}, selfTest, ...more };
  return { kind, usable: true, seconds: 0.1, info };
}
const fails = (kind: BackendKind, reason = "no luck"): ProbeResult => ({
  kind,
  usable: false,
  reason,
  fix: null,
});

describe("autoChoice", () => {
  it("takes the first that works, but no WebGPU adapter in software", () => {
    const gpu = works("webgpu", { device: "a GPU" });
    const software = works("webgpu", { device: "SwiftShader (software)" });
    expect(autoChoice([fails("tfjs-node-gpu"), gpu, works("wasm")])).toBe(gpu);
    expect(autoChoice([software, works("wasm"), works("cpu")])?.kind).toBe("wasm");
    expect(autoChoice([fails("wasm"), fails("cpu")])).toBeUndefined();
    const onCpu = [works("xla", { platform: "cpu" }), works("tensorflow", { platform: "cpu" }), gpu];
    expect(autoChoice(onCpu)).toBe(gpu);
    expect(autoChoice(onCpu.slice(0, 2))).toBe(onCpu[0]);
    const card = works("tensorflow", { platform: "cuda" });
    expect(autoChoice([onCpu[0]!, card, gpu])).toBe(card);
  });
});

describe("advise", () => {
  const simd = works("wasm", { matmul: "simd" });
  const cblas = works("wasm", { matmul: "cblas" });

  it("offers OpenBLAS with its factor where wasm multiplies by itself", () => {
    const advice = advise(simd, [fails("webgpu"), simd], []);
    expect(advice.command).toBe("rlpt backend install openblas");
    expect(advice.text).toMatch(/\d.* times/);
  });

  it("names the unused GPU before anything else", () => {
    const advice = advise(simd, [fails("webgpu", "libvulkan.so.1 is not installed"), simd], ["NVIDIA H100"]);
    expect(advice.text).toContain("NVIDIA H100");
    expect(advice.text).toContain("libvulkan.so.1 is not installed");
  });

  it("has nothing to offer where the fastest runs already", () => {
    expect(advise(cblas, [fails("webgpu"), cblas], []).command).toBeNull();
    const gpu = works("webgpu");
    expect(advise(gpu, [gpu, simd], ["NVIDIA H100"]).command).toBeNull();
    expect(advise(undefined, [], []).text).toContain("npm ci");
  });
});
