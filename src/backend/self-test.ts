/**
 * Does this backend compute what it should? A decoder block of odd sizes, through the same operations as the
 * models, against constants in float64.
 */
import * as tf from "@tensorflow/tfjs";
import { adamwUpdate, embedding, maskedSoftmax, rmsNorm, rope, swiglu, tokenLogprobs } from "./ops.ts";

/** Largest deviation that passes, relative to the size of what is compared; TensorFloat-32 products fit in. */
export const SELF_TEST_TOLERANCE = 1e-3;

const V = 11;
const H = 12;
const HEADS = 2;
const D = 6;
const I = 10;
const ROWS = 2;
const T = 5;

type Summary = readonly [norm: number, projection: number];

/** Printed by tools/self-test-constants.py: PyTorch 2.15.0, float64, autograd. */
const EXPECTED = {
  loss: 4.90424477180154,
  entropy: 1.307155165713332,
  gradients: {
    embedding: [5.743861280706639, -1.7822966530923798],
    norm1: [2.372324871867544, -0.29179045513466717],
    query: [0.5799599239340965, 0.33290612150639726],
    key: [0.33390762669901264, -1.535918826745421],
    value: [6.519062314952504, 1.083553455721146],
    output: [1.4149999214154687, 0.4310359495234185],
    norm2: [1.1537053644302102, 0.21478076812475289],
    gate: [1.0095674736510225, -0.4560937744150937],
    up: [0.5986762732046976, 0.2200866922768997],
    down: [0.32263291475504774, -0.26268345776897184],
    norm3: [1.15409672372102, -0.5435808259435286],
  },
  adamw: [0.17393183011840865, -0.10135985846069079],
} as const satisfies { gradients: Record<string, Summary>; adamw: Summary; loss: number; entropy: number };

type WeightName = keyof typeof EXPECTED.gradients;

/** Shape, scale and offset of each weight, in the order of the script. */
const WEIGHTS: Record<WeightName, { shape: number[]; scale: number; offset: number }> = {
  embedding: { shape: [V, H], scale: 0.6, offset: 0 },
  norm1: { shape: [H], scale: 0.3, offset: 1 },
  query: { shape: [H, HEADS * D], scale: 0.5, offset: 0 },
  key: { shape: [H, HEADS * D], scale: 0.5, offset: 0 },
  value: { shape: [H, HEADS * D], scale: 0.5, offset: 0 },
  output: { shape: [HEADS * D, H], scale: 0.4, offset: 0 },
  norm2: { shape: [H], scale: 0.3, offset: 1 },
  gate: { shape: [H, I], scale: 0.5, offset: 0 },
  up: { shape: [H, I], scale: 0.5, offset: 0 },
  down: { shape: [I, H], scale: 0.4, offset: 0 },
  norm3: { shape: [H], scale: 0.3, offset: 1 },
};

function makeValues(index: number, size: number, scale: number, offset: number): Float32Array {
  return Float32Array.from(
    { length: size },
    (_, i) => scale * Math.sin((index + 1) * 0.37 * (i + 1)) + offset,
  );
}

function makeTensor(index: number, shape: number[], scale: number, offset: number): tf.Tensor {
  const size = shape.reduce((product, each) => product * each, 1);
  return tf.tensor(makeValues(index, size, scale, offset), shape);
}

/** A mask of a constant per row of [T, T]: 0 up to the diagonal, -1e30 above. [1, T, T] */
function causalMask(): tf.Tensor3D {
  const values = Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e30 : 0));
  return tf.tensor3d(values, [1, T, T]);
}

/** cos and sin of position * 10000^(-2i/D). [1, T, D/2] */
function ropeTables(): [tf.Tensor3D, tf.Tensor3D] {
  const angles = Array.from(
    { length: (T * D) / 2 },
    (_, i) => Math.floor(i / (D / 2)) * 10000 ** ((-2 * (i % (D / 2))) / D),
  );
  const shape: [number, number, number] = [1, T, D / 2];
  return [tf.tensor3d(angles.map(Math.cos), shape), tf.tensor3d(angles.map(Math.sin), shape)];
}

function ids(start: number, rowStep: number, step: number): tf.Tensor1D {
  const values = Array.from(
    { length: ROWS * T },
    (_, i) => ((i % T) * step + Math.floor(i / T) * rowStep + start) % V,
  );
  return tf.tensor1d(values, "int32");
}

function score(
  w: Record<WeightName, tf.Tensor>,
  [cos, sin]: readonly [tf.Tensor3D, tf.Tensor3D],
): { logprobs: tf.Tensor1D; entropy: tf.Tensor1D } {
  const heads = (y: tf.Tensor) => tf.reshape(y, [ROWS, T, HEADS, D]) as tf.Tensor4D;
  const x = embedding(w.embedding as tf.Tensor2D, ids(0, 7, 3)); // [ROWS*T, H]
  const h = rmsNorm(x, w.norm1, 1e-5);
  const q = rope(heads(tf.matMul(h, w.query)), cos, sin); // [ROWS, HEADS, T, D]
  const k = rope(heads(tf.matMul(h, w.key)), cos, sin);
  const v = tf.transpose(heads(tf.matMul(h, w.value)), [0, 2, 1, 3]);
  const p = maskedSoftmax(tf.matMul(q, k, false, true), causalMask(), 1 / Math.sqrt(D));
  const attended = tf.reshape(tf.transpose(tf.matMul(p, v), [0, 2, 1, 3]), [ROWS * T, HEADS * D]);
  const middle = tf.add(x, tf.matMul(attended as tf.Tensor2D, w.output)) as tf.Tensor2D;
  const h2 = rmsNorm(middle, w.norm2, 1e-5);
  const mixed = swiglu(tf.matMul(h2, w.gate), tf.matMul(h2, w.up));
  const last = tf.add(middle, tf.matMul(mixed, w.down)) as tf.Tensor2D;
  return tokenLogprobs(rmsNorm(last, w.norm3, 1e-5), w.embedding as tf.Tensor2D, ids(1, 2, 5), {
    layout: "vh",
    temperature: 1,
    weightGradient: true,
  });
}

export interface SelfTestResult {
  passed: boolean;
  /** Largest relative deviation, and of what. */
  deviation: number;
  of: string;
  /** Numbers that were compared. */
  checks: number;
}

/** Runs on the current tfjs backend and leaves no tensor behind. */
export async function selfTest(): Promise<SelfTestResult> {
  const results = tf.tidy(() => {
    const names = Object.keys(WEIGHTS) as WeightName[];
    const weights = names.map((name, index) => {
      const { shape, scale, offset } = WEIGHTS[name];
      return makeTensor(index, shape, scale, offset);
    });
    const byName = (tensors: tf.Tensor[]) =>
      Object.fromEntries(names.map((name, i) => [name, tensors[i]!])) as Record<WeightName, tf.Tensor>;
    const tables = ropeTables();
    const { value, grads } = tf.valueAndGrads((...tensors: tf.Tensor[]) =>
      tf.neg(tf.mean(score(byName(tensors), tables).logprobs)),
    )(weights);
    const query = names.indexOf("query");
    const square = [H, HEADS * D];
    const updated = adamwUpdate(
      weights[query]!,
      makeTensor(20, square, 0.01, 0),
      makeTensor(21, square, 0.001, 0.002),
      grads[query]!,
      { learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.2, step: 3 },
    );
    const entropy = tf.mean(score(byName(weights), tables).entropy);
    return { loss: value, entropy, adamw: tf.sub(updated.w, weights[query]!), gradients: byName(grads) };
  });
  const flat: Record<string, tf.Tensor> = {
    loss: results.loss,
    entropy: results.entropy,
    adamw: results.adamw,
    ...results.gradients,
  };
  try {
    const result = { deviation: 0, of: "nothing", checks: 0 };
    const check = (of: string, actual: number, expected: number, size: number) => {
      result.checks++;
      // a number that is not finite is infinitely far off
      const deviation = Number.isFinite(actual)
        ? Math.abs(actual - expected) / size
        : Number.POSITIVE_INFINITY;
      if (deviation > result.deviation) Object.assign(result, { deviation, of });
    };
    for (const [name, tensor] of Object.entries(flat)) {
      const values = Array.from(await tensor.data());
      if (name === "loss" || name === "entropy") {
        check(name, values[0]!, EXPECTED[name], EXPECTED[name]);
        continue;
      }
      const [norm, projection] = name === "adamw" ? EXPECTED.adamw : EXPECTED.gradients[name as WeightName];
      const label = name === "adamw" ? "AdamW update" : `gradient of ${name}`;
      check(`norm of ${label}`, Math.hypot(...values), norm, norm);
      const along = values.reduce((sum, value, i) => sum + value * Math.cos(i), 0);
      check(`direction of ${label}`, along, projection, norm);
    }
    return { ...result, passed: result.deviation <= SELF_TEST_TOLERANCE };
  } finally {
    tf.dispose(Object.values(flat));
  }
}
