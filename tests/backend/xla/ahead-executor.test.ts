import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as hlo from "../../../src/backend/stablehlo/hlo.ts";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { AheadExecutor } from "../../../src/backend/xla/ahead-executor.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";

let executor: AheadExecutor;
let backend: LazyBackend;

beforeAll(async () => {
  executor = new AheadExecutor({ device: "a card", numbers: ({ type }) => (type === "i32" ? 7 : 0) });
  backend = await startLazyBackend(executor);
});

afterAll(() => {
  tf.removeBackend("xla");
});

it("records a program with its donations and the memory in use, and reads give the numbers that were asked for", async () => {
  const weight = tf.tidy(() => tf.variable(tf.zeros([512, 1024])));
  const held = executor.bytes;
  expect(held).toBe(512 * 1024 * 4);
  executor.phase = "training";
  const norm = tf.tidy(() => {
    weight.assign(tf.sub(weight, tf.mul(weight, tf.scalar(0.5))));
    return tf.sum(weight);
  });
  expect(await norm.data()).toEqual(Float32Array.of(0));
  const [program] = executor.programs;
  expect(program!.runs).toEqual([{ phase: "training", inUse: held, turns: 1, scalars: [null] }]);
  expect(program!.options.donate).toEqual([0]);
  expect(program!.text).toContain("tensor<512x1024xf32>");
  // the new weight took the old one's place
  expect(executor.bytes).toBe(held + 4);
  const ids = tf.tidy(() => tf.range(0, 5, 1, "int32").add(tf.scalar(1, "int32")));
  expect([...(await ids.data())]).toEqual([7, 7, 7, 7, 7]);
  tf.dispose([norm, ids, weight]);
});

it("lets a loop's counter end at its bound, so that the host goes on as if the loop had turned", async () => {
  const [counter, other] = tf.tidy(() => {
    const [count] = hlo.whileLoop(
      [backend.changingInteger(3), hlo.constant("f32", 0, [8])],
      ([n]) => hlo.compare("LT", n!, backend.changingInteger(20)),
      ([n, x]) => [hlo.shift(n!, 1), hlo.shift(x!, 1)],
    );
    // one of fixed length, which the compiler counts itself
    const [, counted] = hlo.whileLoop(
      [hlo.constant("i32", 0), count!],
      ([n]) => hlo.compare("LT", n!, hlo.constant("i32", 100)),
      ([n, x]) => [hlo.shift(n!, 1), x!],
    );
    return [backend.tensor(count!), backend.tensor(counted!)] as [tf.Tensor, tf.Tensor];
  });
  expect([...(await counter.data())]).toEqual([20]);
  expect(executor.programs.at(-1)!.runs[0]!.turns).toBe(17);
  tf.dispose([counter, other]);
});

it("says when a buffer is used that was given away", () => {
  const program = executor.compile("", [], { donate: [0] });
  const buffer = executor.upload(new Float32Array(4), { type: "f32", shape: [4] });
  program.run([buffer]);
  expect(() => program.run([buffer])).toThrow("argument 0 of a program was freed or donated before");
});
