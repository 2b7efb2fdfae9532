/** The conformance kit: do losses and estimators compute their equations, on the tensor backend that is running? */
import type { Check } from "./check.ts";
import { estimatorChecks } from "./estimator-checks.ts";
import { lossChecks } from "./loss-checks.ts";

export type { Check } from "./check.ts";

/** @param batches random batches of each check */
export async function conformance({ seed, batches }: { seed: number; batches: number }): Promise<Check[]> {
  return [...(await lossChecks(seed, batches)), ...estimatorChecks(seed, batches)];
}
