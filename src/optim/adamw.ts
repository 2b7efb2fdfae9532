/** AdamW over named variables: state keyed by weight name, so that it can be saved and put back. */
import * as tf from "@tensorflow/tfjs";
import { adamwUpdate } from "../backend/ops.ts";
import { mark } from "../backend/profile.ts";
import { prefetch } from "../backend/read.ts";
import type { OptimizerOptions } from "./options.ts";

export interface OptimizerTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

export interface AdamW {
  /** Optimizer steps taken. */
  readonly steps: number;
  /**
   * Clips the global norm, then updates every variable in place. The gradients stay the caller's.
   * @param gradients one for each variable, by name
   * @returns the norm before clipping, a scalar tensor that the caller disposes
   */
  step(gradients: ReadonlyMap<string, tf.Tensor>, learningRate: number): tf.Scalar;
  /** Brings the moments to the host where the backend cannot be read synchronously; before `exportState`. */
  prepareExport(): Promise<void>;
  /** Moments as `<name>.m` and `<name>.v`. */
  exportState(): Iterable<OptimizerTensor>;
  /** @throws Error naming what is missing or has another shape */
  importState(tensors: Iterable<OptimizerTensor>, steps: number): void;
  dispose(): void;
}

/** sqrt(sum of squares over all gradients). */
export function globalNorm(gradients: Iterable<tf.Tensor>): tf.Scalar {
  return tf.tidy(() => {
    const squares = [...gradients].map((gradient) => tf.sum<tf.Scalar>(tf.square(gradient)));
    return tf.sqrt(tf.sum<tf.Scalar>(tf.stack(squares)));
  });
}

/**
 * AdamW (arXiv:1711.05101) with PyTorch's update; weight decay acts on matrices alone. Its moments take twice the variables' memory.
 * @param variables such as a policy's `trainable`; updated in place
 */
export function createAdamW(variables: ReadonlyMap<string, tf.Variable>, options: OptimizerOptions): AdamW {
  const zeros = () => new Map([...variables].map(([name, { shape }]) => [name, tf.zeros(shape)]));
  const first = zeros();
  const second = zeros();
  let steps = 0;

  return {
    get steps() {
      return steps;
    },
    step(gradients, learningRate) {
      mark("AdamW");
      steps += 1;
      const norm = globalNorm(gradients.values());
      // as torch.nn.utils.clip_grad_norm_: never scaled up
      const scale =
        options.clip_norm === null
          ? null
          : tf.tidy(() => tf.minimum(tf.div(options.clip_norm!, tf.add(norm, 1e-6)), 1));
      for (const [name, variable] of variables) {
        const gradient = gradients.get(name);
        if (gradient === undefined) throw new Error(`no gradient for ${name}`);
        const clipped = scale === null ? gradient : tf.mul(gradient, scale);
        const updated = adamwUpdate<tf.Tensor>(variable, first.get(name)!, second.get(name)!, clipped, {
          learningRate,
          beta1: options.beta1,
          beta2: options.beta2,
          epsilon: options.epsilon,
          weightDecay: variable.rank >= 2 ? options.weight_decay : 0,
          step: steps,
        });
        first.get(name)!.dispose();
        second.get(name)!.dispose();
        first.set(name, updated.m);
        second.set(name, updated.v);
        variable.assign(updated.w);
        updated.w.dispose();
        if (scale !== null) clipped.dispose();
      }
      scale?.dispose();
      return norm;
    },
    prepareExport: () => prefetch([...first.values(), ...second.values()]),
    *exportState() {
      for (const name of variables.keys()) {
        for (const [suffix, moments] of [
          ["m", first],
          ["v", second],
        ] as const) {
          const tensor = moments.get(name)!;
          yield { name: `${name}.${suffix}`, shape: tensor.shape, data: tensor.dataSync<"float32">() };
        }
      }
    },
    importState(tensors, stepsTaken) {
      const given = new Map([...tensors].map((tensor) => [tensor.name, tensor]));
      for (const [name, { shape }] of variables) {
        for (const [suffix, moments] of [
          ["m", first],
          ["v", second],
        ] as const) {
          const tensor = given.get(`${name}.${suffix}`);
          if (tensor === undefined) throw new Error(`optimizer state lacks ${name}.${suffix}`);
          if (tensor.shape.join() !== shape.join()) {
            throw new Error(
              `optimizer state ${name}.${suffix} is [${tensor.shape}], the weight is [${shape}]`,
            );
          }
          moments.get(name)!.dispose();
          moments.set(name, tf.tensor(tensor.data, [...shape]));
        }
      }
      steps = stepsTaken;
    },
    dispose() {
      tf.dispose([...first.values(), ...second.values()]);
    },
  };
}
