/**
 * The fused kernels that ops.ts and token-logprobs.ts ask for: names, inputs, attributes and equations are
 * stated there. Each runs one function of the compiled module on the heap; outputs are allocated before
 * addresses are taken, because allocating may move the heap's buffer (never its addresses).
 */
import type { KernelFunc, TensorInfo } from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import type { WasmHeap } from "./heap.ts";

type Inputs = Record<string, TensorInfo>;
type Attributes = Record<string, number | boolean>;
type Kernel = (inputs: Inputs, attributes: Attributes) => TensorInfo | TensorInfo[];

const sizeOf = (tensor: TensorInfo): number => tensor.shape.reduce((product, size) => product * size, 1);

/** @returns kernel functions by registered name */
export function fusedKernels(heap: WasmHeap): Record<string, KernelFunc> {
  const run = (name: string, ...args: (number | boolean)[]) => {
    heap.kernels[name]!(...args);
  };
  /** For kernels that index with ids: the module checks them and says which one is outside. */
  const runChecked = (
    name: string,
    kernel: string,
    ids: TensorInfo,
    limit: number,
    ...args: (number | boolean)[]
  ) => {
    const bad = heap.kernels[name]!(...args);
    if (bad === 0) return;
    const id = heap.ints()[heap.at(ids) / 4 + bad - 1];
    throw new BackendError(`${kernel}: id ${id} at index ${bad - 1} is outside [0, ${limit})`);
  };
  const at = (tensor: TensorInfo) => heap.at(tensor);

  const kernels: Record<string, Kernel> = {
    RlptRmsNorm: ({ x, w }, { epsilon }) => {
      const y = heap.output(x!.shape);
      run("rmsNorm", at(x!), at(w!), at(y), x!.shape[0]!, x!.shape[1]!, epsilon!);
      return y;
    },

    RlptRmsNormGrad: ({ x, w, dy }, { epsilon }) => {
      const dx = heap.output(x!.shape);
      run("rmsNormGrad", at(x!), at(w!), at(dy!), at(dx), x!.shape[0]!, x!.shape[1]!, epsilon!);
      return dx;
    },

    RlptRmsNormWeightGrad: ({ x, dy }, { epsilon }) => {
      const [rows, width] = x!.shape as [number, number];
      const dw = heap.output([width]);
      const partial = heap.scratch(4 * width);
      run("rmsNormWeightGrad", at(x!), at(dy!), at(dw), partial, rows, width, epsilon!);
      return dw;
    },

    RlptRope: ({ x, cos, sin }, { inverse }) => {
      const [rows, second, third, width] = x!.shape as [number, number, number, number];
      const [tokens, heads] = inverse ? [third, second] : [second, third];
      const y = heap.output([rows, third, second, width]);
      run(
        "rope",
        at(x!),
        at(cos!),
        at(sin!),
        at(y),
        rows,
        tokens,
        heads,
        width / 2,
        cos!.shape[0]!,
        inverse!,
      );
      return y;
    },

    RlptSwiGlu: ({ gate, up }) => {
      const y = heap.output(gate!.shape);
      run("swiglu", at(gate!), at(up!), at(y), sizeOf(y));
      return y;
    },

    RlptSwiGluGrad: ({ gate, up, dy }) => {
      const dgate = heap.output(gate!.shape);
      const dup = heap.output(gate!.shape);
      run("swigluGrad", at(gate!), at(up!), at(dy!), at(dgate), at(dup), sizeOf(dgate));
      return [dgate, dup];
    },

    RlptMaskedSoftmax: ({ scores, mask }, { scale }) => {
      const [rows, heads, queries, keys] = scores!.shape as [number, number, number, number];
      const p = heap.output(scores!.shape);
      const [maskRows, tokens] = mask ? (mask.shape as [number, number]) : [1, queries];
      run(
        "maskedSoftmax",
        at(scores!),
        mask ? at(mask) : 0,
        at(p),
        rows,
        heads * queries,
        tokens,
        keys,
        maskRows,
        scale!,
      );
      return p;
    },

    RlptMaskedSoftmaxGrad: ({ p, dy }, { scale }) => {
      const dscores = heap.output(p!.shape);
      const keys = p!.shape[p!.shape.length - 1]!;
      run("maskedSoftmaxGrad", at(p!), at(dy!), at(dscores), keys ? sizeOf(p!) / keys : 0, keys, scale!);
      return dscores;
    },

    RlptEmbeddingGrad: ({ ids, dy }, { rows }) => {
      const width = dy!.shape[1]!;
      const table = heap.output([rows as number, width]);
      runChecked(
        "embeddingGrad",
        "RlptEmbeddingGrad",
        ids!,
        rows as number,
        at(ids!),
        at(dy!),
        at(table),
        sizeOf(ids!),
        rows!,
        width,
      );
      return table;
    },

    RlptTokenStats: ({ logits, targets }, { temperature }) => {
      const [rows, vocabulary] = logits!.shape as [number, number];
      const stats = heap.output([rows, 3]);
      runChecked(
        "tokenStats",
        "RlptTokenStats",
        targets!,
        vocabulary,
        at(logits!),
        at(targets!),
        at(stats),
        rows,
        vocabulary,
        temperature!,
      );
      return stats;
    },

    RlptTokenLogprobGrad: ({ logits, targets, lse, dy }, { temperature }) => {
      const [rows, vocabulary] = logits!.shape as [number, number];
      const dlogits = heap.output(logits!.shape);
      runChecked(
        "tokenLogprobGrad",
        "RlptTokenLogprobGrad",
        targets!,
        vocabulary,
        at(logits!),
        at(targets!),
        at(lse!),
        at(dy!),
        at(dlogits),
        rows,
        vocabulary,
        temperature!,
      );
      return dlogits;
    },

    RlptAdamW: ({ w, m, v, g }, { decay, stepSize, beta1, beta2, secondScale, epsilon }) => {
      const outputs = [w!, w!, w!].map((like) => heap.output(like.shape));
      run(
        "adamw",
        ...[w!, m!, v!, g!, ...outputs].map(at),
        sizeOf(w!),
        decay!,
        stepSize!,
        beta1!,
        beta2!,
        secondScale!,
        epsilon!,
      );
      return outputs;
    },
  };
  return Object.fromEntries(
    Object.entries(kernels).map(([name, kernel]) => [
      name,
      ({ inputs, attrs }) => kernel(inputs as Inputs, attrs as unknown as Attributes),
    ]),
  );
}
