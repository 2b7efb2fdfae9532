/** A small program whose result is known, before an engine is trusted with a run. */
import { BackendError } from "../../lib/errors.ts";
import type { Executor } from "../stablehlo/executor.ts";

const M = 5;
const K = 7;
const N = 3;

const program = `module @self_test {
  func.func public @main(%a: tensor<${M}x${K}xf32>, %b: tensor<${K}x${N}xf32>, %c: tensor<${M}x${N}xf32>) -> (tensor<${M}x${N}xf32>, tensor<f32>) {
    %p = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<${M}x${K}xf32>, tensor<${K}x${N}xf32>) -> tensor<${M}x${N}xf32>
    %s = stablehlo.add %p, %c : tensor<${M}x${N}xf32>
    %t = stablehlo.tanh %s : tensor<${M}x${N}xf32>
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %sum = stablehlo.reduce(%t init: %zero) applies stablehlo.add across dimensions = [0, 1] : (tensor<${M}x${N}xf32>, tensor<f32>) -> tensor<f32>
    return %t, %sum : tensor<${M}x${N}xf32>, tensor<f32>
  }
}`;

/**
 * tanh(a b + c) and its sum against float64, with c donated.
 * @throws BackendError with the first number that is off by more than 2e-3 (a GPU may multiply in TF32)
 */
export function selfTestExecutor(executor: Executor): void {
  const fill = (rows: number, columns: number, phase: number) =>
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(phase + 3 * i) / 2);
  const [a, b, c] = [fill(M, K, 1), fill(K, N, 2), fill(M, N, 3)];
  const square = { type: "f32", shape: [M, N] } as const;
  const compiled = executor.compile(program, [square, { type: "f32", shape: [] }], { donate: [2] });
  const args = [
    executor.upload(a, { type: "f32", shape: [M, K] }),
    executor.upload(b, { type: "f32", shape: [K, N] }),
    executor.upload(c, square),
  ];
  const [result, total] = compiled.run(args);
  const values = Array.from(executor.download(result!), Number);
  const sum = Number(executor.download(total!)[0]);
  for (const buffer of [...args, result!, total!]) buffer.free();
  compiled.free();
  let expectedSum = 0;
  const check = (what: string, actual: number, expected: number) => {
    if (Math.abs(actual - expected) <= 2e-3 * (1 + Math.abs(expected))) return;
    throw new BackendError(`${executor.name} computes wrongly: ${what} is ${actual} instead of ${expected}`);
  };
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let product = c[i * N + j]!;
      for (let k = 0; k < K; k++) product += a[i * K + k]! * b[k * N + j]!;
      expectedSum += Math.tanh(product);
      check(`element ${i},${j}`, values[i * N + j]!, Math.tanh(product));
    }
  }
  check("the sum", sum, expectedSum);
}
