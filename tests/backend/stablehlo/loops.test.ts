/** What loops inside programs are for: gradients as without them, in less memory. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rematerialise, tokenLogprobs } from "../../../src/backend/ops.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { expectClose, normals } from "../../helpers/tensors.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../../helpers/xla.ts";

let watch: Watched | null = null;
afterAll(() => watch?.executor.close());

/** Loss and gradients, and the program's temporary bytes; null where the library does not say. */
async function gradients(loss: () => tf.Scalar, variables: tf.Variable[]) {
  const { value, grads } = tf.variableGrads(loss, variables);
  const lists = [value, ...variables.map(({ name }) => grads[name]!)];
  const numbers = lists.map((tensor) => tensor.dataSync() as Float32Array);
  tf.dispose(lists);
  return { numbers, temporary: watch?.last().memory?.temporary ?? null };
}

const variable = (shape: [number, number], seed: number, scale: number) =>
  tf.variable(tf.tensor2d(normals(seed, shape[0] * shape[1], scale), shape));

optionalPart(
  "loops in programs",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    await startLazyBackend(watch.executor);
  });

  it("a rematerialised layer is computed again, not kept", async () => {
    const [rows, width, inner, layers] = [512, 16, 256, 6];
    const a = Array.from({ length: layers }, (_, n) => variable([width, inner], n, 0.2));
    const b = Array.from({ length: layers }, (_, n) => variable([inner, width], 10 + n, 0.2));
    const start = variable([rows, width], 20, 1);
    const shift = tf.scalar(0.1);
    const layer = ([x, p, q]: tf.Tensor[], [c]: tf.Tensor[]) =>
      tf.add(x!, tf.matMul(tf.tanh(tf.add(tf.matMul(x!, p!), c!)), q!));
    const through = (wrapped: boolean) => () => {
      let x: tf.Tensor = start;
      for (let n = 0; n < layers; n++) {
        const inputs = [x, a[n]!, b[n]!];
        x = wrapped ? rematerialise(layer, inputs, [shift]) : layer(inputs, [shift]);
      }
      return tf.mean(tf.square(x)) as tf.Scalar;
    };
    const variables = [start, ...a, ...b];
    const kept = await gradients(through(false), variables);
    const again = await gradients(through(true), variables);
    for (const [i, numbers] of kept.numbers.entries()) {
      expectClose(again.numbers[i]!, numbers, { atol: 1e-6, rtol: 1e-5, what: `gradient ${i}` });
    }
    // one layer's activations stand at a time instead of six
    if (kept.temporary !== null) expect(again.temporary!).toBeLessThan(0.5 * kept.temporary);
    tf.dispose([...variables, shift]);
  });

  it.each([
    { layout: "hv" as const, entropyGradient: false },
    { layout: "vh" as const, entropyGradient: true },
  ])(
    "logits of $layout stand for one slice at a time, entropy's gradient $entropyGradient",
    async (options) => {
      const [tokens, width, vocabulary] = [330, 8, 2000];
      const hidden = variable([tokens, width], 1, 1);
      const shape: [number, number] = options.layout === "hv" ? [width, vocabulary] : [vocabulary, width];
      const weight = variable(shape, 2, 0.5);
      const targets = tf.tensor1d(
        Int32Array.from({ length: tokens }, (_, i) => (i * 37) % vocabulary),
        "int32",
      );
      const slopes = tf.tensor1d(normals(3, tokens));
      const loss = (sliceTokens: number) => () => {
        const common = { ...options, temperature: 0.8, weightGradient: true, sliceTokens };
        const { logprobs, entropy } = tokenLogprobs(
          hidden as tf.Tensor2D,
          weight as tf.Tensor2D,
          targets,
          common,
        );
        const own = tf.sum(tf.mul(logprobs, slopes));
        return (options.entropyGradient ? tf.add(own, tf.sum(tf.mul(entropy, slopes))) : own) as tf.Scalar;
      };
      const whole = await gradients(loss(tokens), [hidden, weight]);
      // 330 = 3 x 96 + 42: the last slice is filled up
      const sliced = await gradients(loss(96), [hidden, weight]);
      for (const [i, numbers] of whole.numbers.entries()) {
        expectClose(sliced.numbers[i]!, numbers, { atol: 1e-4, rtol: 1e-5, what: `gradient ${i}` });
      }
      if (whole.temporary !== null) expect(sliced.temporary!).toBeLessThan(0.5 * whole.temporary);
      tf.dispose([hidden, weight, targets, slopes]);
    },
  );
});
