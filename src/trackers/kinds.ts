/** The trackers that `run.track` and `rlpt track` know. */
import { join } from "node:path";
import type { TrackerName } from "../run/tracker-names.ts";
import { openTensorBoard } from "./tensorboard.ts";
import type { Tracker } from "./tracker.ts";

export interface TrackerKind {
  /** @param began seconds since 1970 */
  open(runDir: string, began: number): Tracker;
  /** How a person looks at it. */
  look(runDir: string): string;
}

export const trackers: Readonly<Record<TrackerName, TrackerKind>> = {
  tensorboard: {
    open: (runDir, began) => openTensorBoard(join(runDir, "tensorboard"), began),
    look: (runDir) => `tensorboard --logdir ${runDir}`,
  },
};
