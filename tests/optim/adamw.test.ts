import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { beforeAll, expect, it } from "vitest";
import { createAdamW } from "../../src/optim/adamw.ts";
import { optimizerOptions } from "../../src/optim/options.ts";

interface Golden {
  lr: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weight_decay: number;
  clip_norm: number;
  start: [number[][], number[]];
  steps: { gradients: [number[][], number[]]; norm: number; weights: [number[][], number[]] }[];
}
const golden = (JSON.parse(readFileSync("tests/golden/losses.json", "utf8")) as { adamw: Golden }).adamw;
const { lr, beta1, beta2, epsilon, weight_decay, clip_norm } = golden;
const options = optimizerOptions.parse({ lr, beta1, beta2, epsilon, weight_decay, clip_norm });

const variables = () =>
  new Map<string, tf.Variable>([
    ["w", tf.variable(tf.tensor2d(golden.start[0]))],
    ["b", tf.variable(tf.tensor1d(golden.start[1]))],
  ]);
const gradients = (step: number) =>
  new Map<string, tf.Tensor>([
    ["b", tf.tensor1d(golden.steps[step]!.gradients[1])],
    ["w", tf.tensor2d(golden.steps[step]!.gradients[0])],
  ]);

beforeAll(async () => {
  await tf.setBackend("cpu");
});

function expectWeights(actual: ReadonlyMap<string, tf.Variable>, step: number) {
  const expected = golden.steps[step]!.weights;
  const flat = [...expected[0].flat(), ...expected[1]];
  const got = [...actual.get("w")!.dataSync(), ...actual.get("b")!.dataSync()];
  for (const [i, value] of flat.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(2e-6);
}

it("follows torch.optim.AdamW with clip_grad_norm_, keyed by name, and leaks nothing", () => {
  const weights = variables();
  const optimizer = createAdamW(weights, options);
  const before = tf.memory().numTensors;
  for (const [t, step] of golden.steps.entries()) {
    const g = gradients(t);
    const norm = optimizer.step(g, lr);
    expect(norm.dataSync()[0]).toBeCloseTo(step.norm, 5);
    tf.dispose([norm, ...g.values()]);
    expectWeights(weights, t);
  }
  expect(tf.memory().numTensors).toBe(before);
});

it("goes on exactly after its state was exported and imported", () => {
  const run = (interrupt: boolean) => {
    const weights = variables();
    let optimizer = createAdamW(weights, options);
    for (let t = 0; t < 4; t++) {
      if (t === 2 && interrupt) {
        const state = [...optimizer.exportState()].map((s) => ({ ...s, data: s.data.slice() }));
        const { steps } = optimizer;
        optimizer.dispose();
        optimizer = createAdamW(weights, options);
        optimizer.importState(state.reverse(), steps);
      }
      optimizer.step(gradients(t), lr);
    }
    return [...weights.values()].map((v) => [...v.dataSync()]);
  };
  expect(run(true)).toEqual(run(false));
});

it("names state that does not fit", () => {
  const optimizer = createAdamW(variables(), options);
  expect(() => optimizer.importState([], 1)).toThrow("optimizer state lacks w.m");
  expect(() => optimizer.importState([{ name: "w.m", shape: [2, 3], data: new Float32Array(6) }], 1)).toThrow(
    "optimizer state w.m is [2,3], the weight is [3,2]",
  );
});
