/** What a training run puts into a checkpoint, and how it is taken up again. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type SavedSlots, type SavedTensors, Slots } from "../algorithms/slots.ts";
import { CheckpointError } from "../lib/errors.ts";
import { saveAdapter } from "../policy/files/adapter-files.ts";
import { savedGenerationConfig, saveModel } from "../policy/files/model-directory.ts";
import { openSafetensors } from "../policy/files/safetensors.ts";
import { writeSafetensors } from "../policy/files/safetensors-write.ts";
import type { ModelFiles, NamedTensor, TrainablePolicy } from "../policy/interfaces.ts";
import type { Checkpoint } from "../run/checkpoint.ts";

/** What a checkpoint's state.json holds. */
export interface TrainingState {
  /** Index of the stage that goes on, or of the last one. */
  stage: number;
  /** Steps of earlier stages. */
  offset: number;
  stepsDone: number;
  /** The stage ended before its last step (`until`). */
  ended: boolean;
  slots: SavedSlots;
}

type Writer = (directory: string) => Promise<void>;

/** Folder of a checkpoint with the slots' tensors, a file each. */
const STATE_FOLDER = "state";

export function stateFile(slot: string): string {
  return `${STATE_FOLDER}/${slot}.safetensors`;
}

export function isStateFile(name: string): boolean {
  return name.startsWith(`${STATE_FOLDER}/`);
}

/** The slot of what the policy trains. */
export const WEIGHTS = "weights";

/** Files of the slots. */
export function slotFiles(files: ReadonlyMap<string, () => Iterable<NamedTensor>>): Record<string, Writer> {
  return Object.fromEntries(
    [...files].map(([slot, tensors]) => [
      stateFile(slot),
      async (directory: string) => {
        const folder = join(directory, STATE_FOLDER);
        mkdirSync(folder, { recursive: true });
        writeSafetensors(folder, `${slot}.safetensors`, tensors());
      },
    ]),
  );
}

/**
 * model/ is what other tools load. With LoRA the adapter is in every checkpoint, and the merged model in the last one only: it
 * is as large as the base.
 */
export function modelFiles(
  policy: TrainablePolicy,
  files: ModelFiles,
  { isEnd }: { isEnd: boolean },
): Record<string, Writer> {
  const adapter = policy.exportAdapter();
  const written: Record<string, Writer> = {};
  if (adapter !== null) {
    written["adapter"] = async (directory) => saveAdapter(join(directory, "adapter"), adapter);
  }
  if (adapter === null || isEnd) {
    written["model"] = async (directory) => {
      await saveModel(join(directory, "model"), {
        config: files.config,
        generationConfig: savedGenerationConfig(files),
        tokenizerFiles: files.tokenizerFiles,
        weights: policy.exportWeights(),
      });
    };
  }
  return written;
}

/** The state that a checkpoint holds. */
export function trainingState({ directory, state }: Checkpoint): TrainingState {
  const found = state as Partial<TrainingState>;
  if (found.slots === undefined || typeof found.stage !== "number") {
    throw new CheckpointError(
      `${directory} was written by an older rlpt, whose state this one cannot take up. Its model/ can be trained on as model.path.`,
    );
  }
  return found as TrainingState;
}

/** Slots as a checkpoint has them, or new ones. */
export function openSlots(from: Checkpoint | null): Slots {
  if (from === null) return new Slots();
  return new Slots(trainingState(from).slots, (slot) => openTensors(from, slot));
}

function openTensors({ directory }: Checkpoint, slot: string): SavedTensors {
  const path = join(directory, stateFile(slot));
  if (!existsSync(path)) throw new CheckpointError(`${directory} lacks ${stateFile(slot)}`);
  const source = openSafetensors(path);
  return {
    names: source.names,
    read: (name) => ({ name, shape: source.shape(name), data: source.read(name) }),
    close: () => source.close(),
  };
}

/** @throws CheckpointError in the place of what does not fit */
export function fitting<T>(from: Checkpoint | null, load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (from === null || error instanceof CheckpointError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      `${from.directory} does not fit this recipe: ${reason}. Were the model's or LoRA's settings changed?`,
      { cause: error },
    );
  }
}
