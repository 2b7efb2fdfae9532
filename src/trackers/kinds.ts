/** The trackers that `run.track` and `rlpt track` know. */
import { join } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import type { TrackerName } from "../run/tracker-names.ts";
import { mlflowService, mlflowSettings } from "./mlflow.ts";
import type { Service, Setting, TrackedRun } from "./service.ts";
import { openTensorBoard } from "./tensorboard.ts";
import type { Tracker } from "./tracker.ts";
import { trackioService, trackioSettings } from "./trackio.ts";
import { wandbService, wandbSettings } from "./wandb.ts";

/** Files beside the run's own. */
export interface FileTracker {
  kind: "files";
  /** @param began seconds since 1970 */
  open(runDir: string, began: number): Tracker;
  /** How a person looks at it. */
  look(runDir: string): string;
}

/** A server, as the environment says. */
export interface ServiceTracker {
  kind: "service";
  setting(env: NodeJS.ProcessEnv): Setting<(run: TrackedRun) => Service>;
}

const service = <Settings>(
  read: (env: NodeJS.ProcessEnv) => Setting<Settings>,
  make: (run: TrackedRun, settings: Settings) => Service,
): ServiceTracker => ({
  kind: "service",
  setting(env) {
    const found = read(env);
    return "reason" in found ? found : { settings: (run) => make(run, found.settings) };
  },
});

export const trackers: Readonly<Record<TrackerName, FileTracker | ServiceTracker>> = {
  tensorboard: {
    kind: "files",
    open: (runDir, began) => openTensorBoard(join(runDir, "tensorboard"), began),
    look: (runDir) => `tensorboard --logdir ${runDir}`,
  },
  mlflow: service(mlflowSettings, mlflowService),
  trackio: service(trackioSettings, trackioService),
  wandb: service(wandbSettings, wandbService),
};

/** What is wrong with the environment for this tracker; null: nothing that can be known without asking its server. */
export function trackerFault(
  name: TrackerName,
  env: NodeJS.ProcessEnv,
): { reason: string; fix: string } | null {
  const tracker = trackers[name];
  if (tracker.kind === "files") return null;
  const found = tracker.setting(env);
  return "reason" in found ? found : null;
}

/** @throws ConfigError with what is wrong with the environment */
export function serviceFor(tracker: ServiceTracker, name: TrackerName, run: TrackedRun): Service {
  const found = tracker.setting(process.env);
  if ("reason" in found) throw new ConfigError(`${name}: ${found.reason}; ${found.fix}.`);
  return found.settings(run);
}
