/** Optional fused kernels: what an operation of ops.ts asks the current backend for before it composes generic ones. */
import * as tf from "@tensorflow/tfjs";

/**
 * Runs a fused kernel when the current backend has one registered.
 *
 * Kernels are registered with `tf.registerKernel({ kernelName, backendName, kernelFunc })`; their names all
 * start with `Rlpt`, and inputs, attributes, outputs and shapes are stated at each operation of ops.ts and
 * token-logprobs.ts. All tensors are float32 unless said otherwise, contiguous and row-major. A kernel never
 * writes into its inputs. Not recorded on the tape: callers give the gradient.
 * @returns the kernel's outputs, always as a list, or null when there is none
 */
export function runFused(
  name: string,
  inputs: Record<string, tf.Tensor>,
  attrs: Record<string, number | boolean>,
): tf.Tensor[] | null {
  if (!fusedEnabled || tf.getKernel(name, tf.getBackend()) == null) return null;
  const outputs = tf.engine().runKernel(name, inputs, attrs) as tf.Tensor | tf.Tensor[];
  return Array.isArray(outputs) ? outputs : [outputs];
}

let fusedEnabled = true;

/** Runs `fn` with generic kernels only: how tests and the benchmark compare the two. */
export function withoutFused<T>(fn: () => T): T {
  const before = fusedEnabled;
  fusedEnabled = false;
  try {
    return fn();
  } finally {
    fusedEnabled = before;
  }
}

/** tfjs's own entry for operations with a gradient; the class declares it private, `tf.customGrad` wraps it. */
interface KernelFunctionRunner {
  runKernelFunc(params: {
    inputs: Record<string, tf.Tensor>;
    forwardFunc: (backend: unknown, save: (tensors: tf.Tensor[]) => void) => tf.Tensor;
    backwardsFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => Record<string, () => tf.Tensor>;
  }): tf.Tensor;
}

/**
 * An operation with its own gradient. Unlike `tf.customGrad`, gradients are functions that are called only
 * for inputs that lead to a differentiated tensor, so frozen weights cost nothing in the backward pass.
 * @param inputs what may be differentiated; anything else is closed over
 * @param forward computes the value and passes to `save` what the backward pass needs; runs in a tidy
 * @param gradients one function per input, each run in its own tidy
 */
export function differentiable(
  inputs: Record<string, tf.Tensor>,
  forward: (save: (tensors: tf.Tensor[]) => void) => tf.Tensor,
  gradients: (dy: tf.Tensor, saved: tf.Tensor[]) => Record<string, () => tf.Tensor>,
): tf.Tensor {
  return (tf.engine() as unknown as KernelFunctionRunner).runKernelFunc({
    inputs,
    forwardFunc: (_backend, save) => forward(save),
    backwardsFunc: gradients,
  });
}

/**
 * Gradients that are computed together, for use inside `differentiable`. What is not asked for is freed when
 * the backward pass ends.
 * @param compute one tensor per name
 */
export function together(
  names: readonly string[],
  compute: () => tf.Tensor[],
): Record<string, () => tf.Tensor> {
  const results = tf.tidy(compute);
  return Object.fromEntries(
    names.map((name, i) => [
      name,
      () => {
        const mine = results[i]!.clone();
        results[i]!.dispose();
        return mine;
      },
    ]),
  );
}
