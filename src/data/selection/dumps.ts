/** Another tool's rollouts: step_1.json, step_2.json, ... as LIMR's OpenRLHF fork writes them. */
import type { EpochValue } from "./curves.ts";

export interface DumpRecord {
  prompt: string;
  response?: string;
  reward: number;
  response_length?: number;
}

/** reward: mean of the raw rewards; accuracy: share of completions whose reward is exactly 1 (the published script). */
export type Signal = "reward" | "accuracy";

/** Number in step_12.json, or null. */
export function dumpStep(fileName: string): number | null {
  const match = /^step_(\d+)\.json$/.exec(fileName);
  return match === null ? null : Number(match[1]);
}

/** Steps count from 1; an epoch is this many consecutive ones. */
export function dumpEpoch(step: number, stepsPerEpoch: number): number {
  return Math.floor((step - 1) / stepsPerEpoch);
}

/** Each prompt (white space around it stripped, as the script does) with its value in one step. */
export function dumpValues(records: readonly DumpRecord[], epoch: number, signal: Signal): EpochValue[] {
  const groups = new Map<string, { sum: number; count: number }>();
  for (const { prompt, reward } of records) {
    const id = prompt.trim();
    const group = groups.get(id) ?? { sum: 0, count: 0 };
    group.sum += signal === "reward" ? reward : Number(reward === 1);
    group.count += 1;
    groups.set(id, group);
  }
  return [...groups].map(([promptId, { sum, count }]) => ({
    promptId,
    epoch,
    value: sum / count,
    completions: count,
  }));
}
