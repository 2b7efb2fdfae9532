/** The delta rule in chunks against its recurrence in float64, token by token (arXiv:2412.06464 eq. 10). */
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { gatedDeltaRule, unitLowerInverse } from "../../src/policy/delta-rule.ts";
import { chunkOf, reachMask } from "../../src/policy/masks.ts";
import { emptyBatch } from "../helpers/closed-form.ts";
import { expectClose, normals, testBackends, useBackend } from "../helpers/tensors.ts";

interface Rule {
  heads: number;
  length: number;
  keyDim: number;
  valueDim: number;
  query: Float32Array;
  key: Float32Array;
  value: Float32Array;
  strength: Float32Array;
  decay: Float32Array;
  memory: Float32Array;
}

/** Draws as a layer has them: keys and queries of length 1, strength in (0, 1), decay below 0. */
function drawn(heads: number, length: number, keyDim: number, valueDim: number): Rule {
  const unit = (seed: number) => {
    const values = normals(seed, heads * length * keyDim);
    for (let at = 0; at < values.length; at += keyDim) {
      const size = Math.hypot(...values.subarray(at, at + keyDim));
      for (let i = 0; i < keyDim; i++) values[at + i]! /= size;
    }
    return values;
  };
  const numbers = heads * length;
  return {
    ...{ heads, length, keyDim, valueDim },
    query: unit(1),
    key: unit(2),
    value: normals(3, numbers * valueDim),
    strength: normals(4, numbers).map((x) => 1 / (1 + Math.exp(-x))),
    decay: normals(5, numbers).map((x) => -0.2 * Math.abs(x)),
    memory: normals(6, heads * keyDim * valueDim),
  };
}

/** @param anew tokens that begin with an empty memory @returns reads [B, T, Dv] and the last memory, in float64 */
function recurrence(rule: Rule, anew: ReadonlySet<number> = new Set()) {
  const { heads, length, keyDim, valueDim } = rule;
  const read = new Float64Array(heads * length * valueDim);
  const memory = Float64Array.from(rule.memory);
  for (let h = 0; h < heads; h++) {
    const own = memory.subarray(h * keyDim * valueDim, (h + 1) * keyDim * valueDim);
    for (let t = 0; t < length; t++) {
      const at = h * length + t;
      const kept = anew.has(t) ? 0 : Math.exp(rule.decay[at]!);
      for (let i = 0; i < own.length; i++) own[i]! *= kept;
      for (let d = 0; d < valueDim; d++) {
        let expected = 0;
        for (let i = 0; i < keyDim; i++) expected += rule.key[at * keyDim + i]! * own[i * valueDim + d]!;
        const change = rule.strength[at]! * (rule.value[at * valueDim + d]! - expected);
        for (let i = 0; i < keyDim; i++) {
          own[i * valueDim + d]! += rule.key[at * keyDim + i]! * change;
          read[at * valueDim + d]! += rule.query[at * keyDim + i]! * own[i * valueDim + d]!;
        }
      }
    }
  }
  return { read, memory };
}

const NAMES = ["query", "key", "value", "strength", "decay", "memory"] as const;

function tensorsOf({ heads, length, keyDim, valueDim, ...values }: Rule): tf.Tensor[] {
  return [
    tf.tensor3d(values.query, [heads, length, keyDim]),
    tf.tensor3d(values.key, [heads, length, keyDim]),
    tf.tensor3d(values.value, [heads, length, valueDim]),
    tf.tensor2d(values.strength, [heads, length]),
    tf.tensor2d(values.decay, [heads, length]),
    tf.tensor3d(values.memory, [heads, keyDim, valueDim]),
  ];
}

function inChunks(tensors: tf.Tensor[], reach?: tf.Tensor3D) {
  const [query, key, value, strength, decay, memory] = tensors as [
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor3D,
  ];
  return gatedDeltaRule({ query, key, value, strength, decay }, memory, reach);
}

it("chunks are powers of two of at most 64 tokens", () => {
  expect([1, 2, 3, 12, 63, 64, 65, 1000].map(chunkOf)).toEqual([1, 2, 4, 16, 64, 64, 64, 64]);
});

describe.each(testBackends)("the delta rule on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  // one token, part of a chunk, a chunk, and two or three of them
  it.each([1, 2, 11, 64, 70, 150])("%s tokens: what is read, and the memory after them", (length) => {
    const rule = drawn(3, length, 5, 4);
    const expected = recurrence(rule);
    tf.tidy(() => {
      const { read, memory } = inChunks(tensorsOf(rule));
      expectClose(read.dataSync(), expected.read, { atol: 2e-6, rtol: 1e-5, what: "read" });
      expectClose(memory.dataSync(), expected.memory, { atol: 2e-6, rtol: 1e-5, what: "memory" });
    });
  });

  it("one key again and again, written whole: products of the chunk's matrix with itself would overflow", () => {
    const rule = drawn(1, 64, 5, 4);
    for (let t = 1; t < 64; t++) rule.key.copyWithin(t * 5, 0, 5);
    rule.strength.fill(1);
    rule.decay.fill(0);
    const expected = recurrence(rule);
    const read = tf.tidy(() => inChunks(tensorsOf(rule)).read.dataSync());
    expectClose(read, expected.read, { atol: 1e-5, rtol: 1e-5, what: "read" });
  });

  it.each([7, 70])("%s tokens: gradients, along a direction of each argument", (length) => {
    const rule = drawn(2, length, 4, 3);
    const slopeOfRead = normals(20, 2 * length * 3);
    const slopeOfMemory = normals(21, 2 * 4 * 3);
    const loss = (at: Rule) => {
      const { read, memory } = recurrence(at);
      const dot = (a: Float64Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
      return dot(read, slopeOfRead) + dot(memory, slopeOfMemory);
    };
    const tensors = tensorsOf(rule);
    const gradients = tf.grads((...arguments_: tf.Tensor[]) => {
      const { read, memory } = inChunks(arguments_);
      return tf.add(
        tf.sum(tf.mul(read, tf.tensor(slopeOfRead, read.shape))),
        tf.sum(tf.mul(memory, tf.tensor(slopeOfMemory, memory.shape))),
      );
    })(tensors);
    for (const [i, name] of NAMES.entries()) {
      const direction = normals(30 + i, rule[name].length);
      const found = Array.from(gradients[i]!.dataSync()).reduce((sum, x, j) => sum + x * direction[j]!, 0);
      const h = 1e-4;
      // float64 all the way, which Rule's own arrays are not
      const moved = (by: number) =>
        loss({
          ...rule,
          [name]: Float64Array.from(rule[name], (x, j) => x + by * direction[j]!) as unknown as Float32Array,
        });
      const slope = (moved(h) - moved(-h)) / (2 * h);
      expect(Math.abs(found - slope), `${name}: ${found}, ${slope}`).toBeLessThan(
        1e-4 * (1 + Math.abs(slope)),
      );
    }
    tf.dispose([...tensors, ...gradients]);
  });

  it("samples in one row do not reach each other, whatever lies between them", () => {
    const rule = drawn(2, 150, 5, 4);
    rule.memory.fill(0);
    // a second sample within the first chunk, a third in the third, with padding before it
    const batch = emptyBatch(1, 150);
    batch.segments.fill(1, 0, 20).fill(2, 20, 129).fill(3, 131, 150);
    for (const row of [0, 1]) {
      for (const padding of [129, 130]) {
        rule.strength[row * 150 + padding] = 0;
        rule.decay[row * 150 + padding] = 0;
      }
    }
    const expected = recurrence(rule, new Set([20, 131]));
    const { values, slots, columns } = reachMask(batch);
    tf.tidy(() => {
      const { read, memory } = inChunks(tensorsOf(rule), tf.tensor3d(values, [1, slots, columns]));
      expectClose(read.dataSync(), expected.read, { atol: 2e-6, rtol: 1e-5, what: "read" });
      expectClose(memory.dataSync(), expected.memory, { atol: 2e-6, rtol: 1e-5, what: "memory" });
    });
  });

  it.each([2, 8, 64])("the inverse of I + A of %s rows", (size) => {
    const a = normals(9, 2 * size * size, 0.5).map((x, at) =>
      at % size < Math.floor(at / size) % size ? x : 0,
    );
    tf.tidy(() => {
      const given = tf.tensor3d(a, [2, size, size]);
      const inverse = unitLowerInverse(given);
      const whole = tf.add(given, tf.eye(size));
      const identity = tf.matMul(whole, inverse).dataSync();
      const largest = Math.max(...inverse.dataSync().map(Math.abs));
      expectClose(identity, tf.tile(tf.expandDims(tf.eye(size), 0), [2, 1, 1]).dataSync(), {
        atol: 1e-6 * largest,
        rtol: 0,
        what: "(I + A) X",
      });
    });
  });
});
