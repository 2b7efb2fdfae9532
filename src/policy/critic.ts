/**
 * A critic: a second copy of what the policy trains, with one output per token instead of a vocabulary. Full
 * training: a decoder of its own. LoRA: adapters of its own on the policy's frozen weights.
 */
import * as tf from "@tensorflow/tfjs";
import { mark } from "../backend/profile.ts";
import { headWeight } from "./decoder-weights.ts";
import { lossAndGradients } from "./gradients.ts";
import type { TokenBatch, TrainablePolicy, Trainee } from "./interfaces.ts";

export const valueHeadName = "value_head.weight";

export interface Critic extends Trainee {
  /** Value of the state before each scored token, differentiable; inside tf.tidy. [K] */
  values(batch: TokenBatch): tf.Tensor1D;
  dispose(): void;
}

/**
 * Starts at the policy's present weights, with a value head of zeros: every value is 0 until the first update.
 * @param policy trained fully or by LoRA; must outlive the critic
 */
export function createCritic(policy: TrainablePolicy): Critic {
  const trainable = new Map<string, tf.Variable>();
  for (const [name, variable] of policy.trainable) {
    // an update replaces a variable's data, so that the two share memory until the first one
    if (name !== headWeight(policy.config)) trainable.set(name, tf.variable(variable));
  }
  const zeros = tf.zeros([policy.config.hiddenSize, 1]);
  const head = tf.variable(zeros) as tf.Variable<tf.Rank.R2>;
  zeros.dispose();
  trainable.set(valueHeadName, head);

  return {
    trainable,
    values(batch) {
      mark("values");
      return tf.reshape(tf.matMul(policy.hidden(batch, trainable), head), [-1]) as tf.Tensor1D;
    },
    lossAndGradients: (loss) => lossAndGradients(trainable, loss),
    settle: () => policy.settle(),
    dispose() {
      tf.dispose([...trainable.values()]);
    },
  };
}
