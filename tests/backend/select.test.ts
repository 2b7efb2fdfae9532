import * as tf from "@tensorflow/tfjs";
import { describe, expect, it } from "vitest";
import { autoOrder } from "../../src/backend/options.ts";
import { startBackend } from "../../src/backend/select.ts";
import { findAddon, findPackage } from "../../src/backend/tfjs-node/start.ts";
import { findCblas } from "../../src/backend/wasm/cblas.ts";
import { BackendError } from "../../src/lib/errors.ts";
import { optionalPart } from "../helpers/optional.ts";

const { library } = findCblas();
const hasTensorFlow = (["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const).some((name) => {
  const directory = findPackage(name);
  return directory !== null && findAddon(directory) !== null;
});

describe("startBackend", () => {
  it("starts cpu when asked, with its self-test's result and versions", async () => {
    const info = await startBackend({ kind: "cpu" });
    expect(tf.getBackend()).toBe("cpu");
    expect(info).toMatchObject({ kind: "cpu", tried: [], versions: { tfjs: tf.version_core } });
    expect(info.selfTest.passed).toBe(true);
    expect(info.device).toMatch(/cores?$/);
  });

  it("starts wasm with the built-in matrix product when CBLAS is off", async () => {
    const info = await startBackend({ kind: "wasm", cblas: "off" });
    expect(tf.getBackend()).toBe("wasm");
    expect(info).toMatchObject({ kind: "wasm", matmul: "simd" });
    expect(info.selfTest.deviation).toBeLessThan(1e-4);
  });

  it("refuses a CBLAS path that cannot be used, naming key, value and fix", async () => {
    await expect(startBackend({ kind: "wasm", cblas: "/nowhere/libblas.so" })).rejects.toThrow(
      /^backend\.cblas = \/nowhere\/libblas\.so: .*Fix: /,
    );
  });

  it("never falls back from a forced backend: the error says why and what to do", async () => {
    await startBackend({ kind: "cpu" });
    const error = await startBackend({ kind: "tfjs-node" }).then(
      () => null,
      (reason: unknown) => reason,
    );
    if (findPackage("@tensorflow/tfjs-node") !== null) return;
    expect(error).toBeInstanceOf(BackendError);
    expect((error as Error).message).toBe(
      "backend tfjs-node cannot start: the package @tensorflow/tfjs-node is not installed. Fix: npm install @tensorflow/tfjs-node --ignore-scripts=false; or use --backend auto (rlpt doctor shows what works here).",
    );
    expect(tf.getBackend()).toBe("cpu");
  });

  it("auto goes down its list in order, says why each was passed over, and takes one that passes", async () => {
    const info = await startBackend({ kind: "auto" });
    const order = autoOrder.map(({ kind }) => kind);
    expect(order[info.tried.length]).toBe(info.kind);
    expect(info.tried.map(({ kind }) => kind)).toEqual(order.slice(0, info.tried.length));
    for (const { reason } of info.tried) expect(reason.length).toBeGreaterThan(10);
    expect(info.selfTest.passed).toBe(true);
  });

  it("auto compiles nothing on the CPU for the smallest models", async () => {
    const info = await startBackend({ kind: "auto", parameters: 145_000 });
    expect(info.tried.map(({ kind, reason }) => `${kind}: ${reason}`)).toContain(
      "xla: a model this small is trained op by op before its programs are compiled",
    );
  });

  it("refuses a backend that computes wrongly, and auto goes on to the next", async () => {
    await startBackend({ kind: "wasm", cblas: "off" });
    const neg = tf.getKernel("Neg", "wasm") as { kernelFunc: tf.KernelFunc };
    const right = neg.kernelFunc;
    try {
      neg.kernelFunc = tf.getKernel("Identity", "wasm").kernelFunc;
      await expect(startBackend({ kind: "wasm", cblas: "off" })).rejects.toThrow(
        /^backend wasm cannot start: it computes wrongly: the self-test's .+ is off by [\d.]+e\+\d \(relative\)\. Fix: /,
      );
      neg.kernelFunc = () => {
        throw new Error("out of luck");
      };
      const info = await startBackend({ kind: "auto" });
      if (info.kind !== "cpu") return; // a faster one than wasm is here
      expect(info.tried.at(-1)).toMatchObject({ kind: "wasm", reason: "its self-test stopped: out of luck" });
    } finally {
      neg.kernelFunc = right;
    }
  });
});

optionalPart(
  "startBackend without TensorFlow's add-on",
  !hasTensorFlow,
  "a TensorFlow add-on is installed, so its absence cannot be seen",
)(() => {
  it("tells a missing add-on from a missing package, without loading it", async () => {
    await expect(startBackend({ kind: "tfjs-node-gpu" })).rejects.toThrow(
      /@tensorflow\/tfjs-node-gpu (is there but its TensorFlow add-on is not|is not installed).*Fix: npm /,
    );
  });
});

optionalPart(
  "startBackend with CBLAS",
  library !== null,
  "no CBLAS library; rlpt backend install openblas, or apt-get install libopenblas0-pthread",
)(() => {
  it("multiplies by the library it finds, or the one it is given", async () => {
    expect(await startBackend({ kind: "wasm" })).toMatchObject({ kind: "wasm", matmul: "cblas" });
    const given = await startBackend({ kind: "wasm", cblas: library!.path, threads: 1 });
    expect(given.description).toContain(library!.path);
    expect(given.description).toContain("1 thread");
  });
});
