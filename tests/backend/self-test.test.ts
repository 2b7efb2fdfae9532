import * as tf from "@tensorflow/tfjs";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { SELF_TEST_TOLERANCE, selfTest } from "../../src/backend/self-test.ts";

function scale(output: Float32Array, by: number): void {
  output.set(output.map((x) => x * by));
}

describe("selfTest", () => {
  let restore = () => {};
  beforeAll(async () => {
    await tf.setBackend("cpu");
  });
  afterEach(() => restore());

  /** Replaces one cpu kernel by one that computes something else. */
  function spoil(kernelName: string, wrong: (output: Float32Array) => void): void {
    const kernel = tf.getKernel(kernelName, "cpu");
    tf.unregisterKernel(kernelName, "cpu");
    tf.registerKernel({
      ...kernel,
      kernelFunc: (params) => {
        const output = kernel.kernelFunc(params) as tf.TensorInfo;
        wrong((params.backend as unknown as { readSync(id: object): Float32Array }).readSync(output.dataId));
        return output;
      },
    });
    restore = () => {
      tf.unregisterKernel(kernelName, "cpu");
      tf.registerKernel(kernel);
      restore = () => {};
    };
  }

  it("passes on the reference backend far below its tolerance, and leaves no tensor", async () => {
    const before = tf.memory().numTensors;
    const result = await selfTest();
    expect(result.passed).toBe(true);
    expect(result.deviation).toBeLessThan(1e-5);
    expect(result.checks).toBe(2 + 2 * 12);
    expect(tf.memory().numTensors).toBe(before);
    expect(SELF_TEST_TOLERANCE).toBeLessThanOrEqual(1e-3);
  });

  it.each<[string, (output: Float32Array) => void]>([
    ["BatchMatMul", (output) => scale(output, 1.01)],
    ["BatchMatMul", (output) => output.set([Number.NaN], output.length - 1)],
    ["BatchMatMul", (output) => output.reverse()],
    ["Sigmoid", (output) => output.fill(0.5)],
    ["Transpose", (output) => output.set([output[0]! + 0.5])],
    ["Sqrt", (output) => scale(output, 1.05)],
  ])("fails when %s computes something else", async (kernel, wrong) => {
    spoil(kernel, wrong);
    const result = await selfTest();
    expect(result.passed).toBe(false);
    expect(result.of).not.toBe("nothing");
  });
});
