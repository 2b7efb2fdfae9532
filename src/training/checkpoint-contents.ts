/** What a training run puts into a checkpoint, and how it is taken up again. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PpoController } from "../algorithms/ppo.ts";
import { CheckpointError } from "../lib/errors.ts";
import type { AdamW, OptimizerTensor } from "../optim/adamw.ts";
import type { Critic } from "../policy/critic.ts";
import { saveAdapter } from "../policy/files/adapter-files.ts";
import { saveModel } from "../policy/files/model-directory.ts";
import { openSafetensors } from "../policy/files/safetensors.ts";
import { writeSafetensors } from "../policy/files/safetensors-write.ts";
import type { ModelFiles, NamedTensor, TrainablePolicy, Trainee } from "../policy/interfaces.ts";
import type { AlarmHistory } from "../run/alarms.ts";
import type { Checkpoint } from "../run/checkpoint.ts";
import * as parts from "./assemble.ts";

/** What a checkpoint's state.json holds. */
export interface TrainingState {
  /** Index of the stage that goes on, or of the last one. */
  stage: number;
  /** Steps of earlier stages. */
  offset: number;
  stepsDone: number;
  /** The stage ended before its last step (`until`). */
  ended: boolean;
  optimizerSteps: number;
  /** Values that the stage's `until` watches. */
  watched: number[];
  /** Absent where run.alarms is off. */
  alarms?: AlarmHistory;
  /** Of PPO's KL controller; absent outside of it. */
  controller?: PpoController;
  /** Steps of the critic's optimizer; absent outside of PPO. */
  criticOptimizerSteps?: number;
  /** At the run's first evaluation: a resumed run still knows where it began. */
  first: Record<string, number> | null;
}

/** Weights `<name>.w` and moments `<name>.m`, `<name>.v` of what is trained. */
export const STATE_TENSORS = "training-state.safetensors";
const REFERENCE_TENSORS = "reference.safetensors";
/** As STATE_TENSORS, of the critic. */
export const CRITIC_TENSORS = "critic.safetensors";

type Writer = (directory: string) => Promise<void>;

/** What is trained, and the optimizer of each. */
export interface Learners {
  policy: TrainablePolicy;
  optimizer: AdamW;
  /** Made by the first stage of PPO, and kept by the stages behind it. */
  critic: Critic | null;
  /** null outside of PPO. */
  criticOptimizer: AdamW | null;
}

/**
 * model/ is what other tools load; the training state is what a resume needs, exact in float32. With LoRA the
 * adapter is in every checkpoint, and the merged model in the last one only: it is as large as the base.
 */
export function checkpointFiles(
  { policy, optimizer, critic, criticOptimizer }: Learners,
  files: ModelFiles,
  { isEnd, usesReference }: { isEnd: boolean; usesReference: boolean },
): Record<string, Writer> {
  const adapter = policy.exportAdapter();
  const reference = usesReference ? policy.exportReference() : null;
  const written: Record<string, Writer> = {
    [STATE_TENSORS]: async (directory) => {
      writeSafetensors(directory, STATE_TENSORS, stateTensors(policy, optimizer));
    },
  };
  if (reference !== null) {
    written[REFERENCE_TENSORS] = async (directory) => {
      writeSafetensors(directory, REFERENCE_TENSORS, reference);
    };
  }
  if (critic !== null) {
    written[CRITIC_TENSORS] = async (directory) => {
      writeSafetensors(directory, CRITIC_TENSORS, stateTensors(critic, criticOptimizer));
    };
  }
  if (adapter !== null) {
    written["adapter"] = async (directory) => saveAdapter(join(directory, "adapter"), adapter);
  }
  if (adapter === null || isEnd) {
    written["model"] = async (directory) => {
      await saveModel(join(directory, "model"), {
        config: files.config,
        generationConfig: files.generationConfig,
        tokenizerFiles: files.tokenizerFiles,
        weights: policy.exportWeights(),
      });
    };
  }
  return written;
}

export function hasCritic({ directory }: Checkpoint): boolean {
  return existsSync(join(directory, CRITIC_TENSORS));
}

/** Weights as `<name>.w`, and moments where there is an optimizer. */
function* stateTensors({ trainable }: Trainee, optimizer: AdamW | null): Iterable<NamedTensor> {
  for (const [name, variable] of trainable) {
    yield { name: `${name}.w`, shape: variable.shape, data: variable.dataSync<"float32">() };
  }
  if (optimizer !== null) yield* optimizer.exportState();
}

/**
 * Puts weights and, unless the stage is over, moments back.
 * @throws CheckpointError when they do not fit
 */
export function restore(
  checkpoint: Checkpoint,
  file: string,
  { trainable }: Trainee,
  moments: { optimizer: AdamW; steps: number } | null,
): void {
  const source = openSafetensors(join(checkpoint.directory, file));
  const read = (key: string): OptimizerTensor => ({
    name: key,
    shape: source.shape(key),
    data: source.read(key),
  });
  try {
    const names = [...trainable.keys()];
    moments?.optimizer.importState(
      names.flatMap((name) => [read(`${name}.m`), read(`${name}.v`)]),
      moments.steps,
    );
    for (const [name, variable] of trainable) {
      const { data, shape } = read(`${name}.w`);
      parts.assignVariable(variable, data, shape);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      `${checkpoint.directory} does not fit this recipe: ${reason}. Were the model's or LoRA's settings changed?`,
      { cause: error },
    );
  } finally {
    source.close();
  }
}

/** The policy at the start of the stage becomes the reference; a resumed stage reads it from its checkpoint. */
export function freezeReference(policy: TrainablePolicy, from: Checkpoint | null): void {
  const path = from === null ? null : join(from.directory, REFERENCE_TENSORS);
  if (path === null || !existsSync(path)) {
    policy.freezeReference();
    return;
  }
  const source = openSafetensors(path);
  try {
    policy.importReference(
      source.names.map((name) => ({ name, shape: source.shape(name), data: source.read(name) })),
    );
  } finally {
    source.close();
  }
}
