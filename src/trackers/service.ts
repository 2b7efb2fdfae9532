/** What a tracker that is reached by HTTP does. It runs outside of the training's thread. */
import type { TrackedStep } from "./follow-run.ts";

/** How a run stands when nobody writes it any more. */
export type RunEnd = "finished" | "interrupted" | "failed";

/**
 * A run in a service. It knows what it has by asking, so that what is told twice is there once: after a failed request it is opened
 * again before anything else is sent.
 */
export interface Service {
  /** Finds the run or begins it, and asks what it has. */
  open(): Promise<void>;
  /** Sends what it lacks of these steps, which follow those of the last call. At most {@link STEPS_AT_ONCE}. */
  send(steps: readonly TrackedStep[]): Promise<void>;
  /** Says that the run is still there, though it had nothing to tell; services that need none leave it out. */
  alive?(): Promise<void>;
  end(how: RunEnd): Promise<void>;
  /** Where people look; once it is open. */
  address(): string;
}

/** A service, or why it cannot be used. */
export type Setting<Settings> = { settings: Settings } | { reason: string; fix: string };

export const STEPS_AT_ONCE = 50;

/** A run as services know it. */
export interface TrackedRun {
  directory: string;
  /** 16 hexadecimal digits, the same however often the run is resumed; another one where it went on with other inputs. */
  id: string;
  name: string;
  /** Seconds since 1970. */
  began: number;
  /** Text of recipe.yaml. */
  recipe: string;
  /** What it says. */
  values: Readonly<Record<string, unknown>>;
  /** The same by path: "optimizer.lr", "stages.0.steps". */
  config: ReadonlyMap<string, string | number | boolean>;
}

/** Figures of the machine, which services show apart from what is learnt. */
export const isSystemFigure = (name: string): boolean =>
  name.startsWith("time/") || name.startsWith("memory/");

/** Every number that a step tells. */
export function scalarsOf({ evaluation, metrics }: TrackedStep): Map<string, number> {
  return new Map([...(evaluation?.scalars ?? []), ...(metrics?.scalars ?? []), ...(metrics?.measured ?? [])]);
}

export const sampleColumns = ["step", "prompt", "completion", "reward", "correct"] as const;
