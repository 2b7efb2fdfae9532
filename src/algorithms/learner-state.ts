/** Weights and moments of what is trained, as slots of the state. */
import * as tf from "@tensorflow/tfjs";
import type { AdamW } from "../optim/adamw.ts";
import type { Trainee } from "../policy/interfaces.ts";
import type { Slots, TensorSlot } from "./slots.ts";

/** The weights, by their names; exact in float32. @param prepare brings them to the host */
export function weightsSlot({ trainable }: Trainee, prepare?: () => Promise<void>): TensorSlot {
  return {
    ...(prepare === undefined ? {} : { prepare }),
    // one after the other: all of them at once would be the model again
    *save() {
      for (const [weight, variable] of trainable) {
        yield { name: weight, shape: variable.shape, data: variable.dataSync<"float32">() };
      }
    },
    load({ read }) {
      for (const [weight, variable] of trainable) {
        const { data, shape } = read(weight);
        assignVariable(variable, data, shape);
      }
    },
  };
}

/** The optimizer's moments, `<weight>.m` and `<weight>.v`, and its steps. A new stage begins with new ones. */
export function saveMoments(slots: Slots, name: string, { trainable }: Trainee, optimizer: AdamW): void {
  const steps = slots.cell(`${name}/steps`, 0);
  slots.tensors(name, {
    async prepare() {
      steps.value = optimizer.steps;
      await optimizer.prepareExport();
    },
    save: () => optimizer.exportState(),
    load({ read }) {
      optimizer.importState(
        [...trainable.keys()].flatMap((weight) => [read(`${weight}.m`), read(`${weight}.v`)]),
        steps.value,
      );
    },
  });
}

/** @throws Error when the shape differs */
export function assignVariable(variable: tf.Variable, data: Float32Array, shape: readonly number[]): void {
  if (variable.shape.join() !== shape.join()) {
    throw new Error(`${variable.name} is [${variable.shape}], the checkpoint has [${shape}]`);
  }
  tf.tidy(() => {
    variable.assign(tf.tensor(data, [...shape]));
  });
}
