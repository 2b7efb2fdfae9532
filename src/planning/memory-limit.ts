/** backend.memory_limit: the batches that fit, found before a run loads anything. */
import { currentLazyBackend } from "../backend/stablehlo/lazy-backend.ts";
import type { RecipeStage } from "../config/load.ts";
import { ConfigError } from "../lib/errors.ts";
import { machineMemory } from "../lib/machine-memory.ts";
import type { ModelFiles } from "../policy/interfaces.ts";

/**
 * Stages with the sizes that they leave open. Called when the backend has started and holds nothing yet; it is a new one
 * afterwards, with the same executor.
 * @throws RlptError where not even one row fits
 */
export async function fitToMemory(
  stages: readonly RecipeStage[],
  files: ModelFiles,
  kind: string,
  note: (text: string, level?: "info" | "warning") => void,
): Promise<readonly RecipeStage[]> {
  if (kind === "wasm") {
    const { heapWarnings } = await import("./wasm-heap.ts");
    for (const text of await heapWarnings(stages, files)) note(text, "warning");
  }
  const limit = stages[0]!.recipe.backend.memory_limit;
  if (limit === "off") return stages;
  const backend = currentLazyBackend();
  if (backend === null) {
    if (limit === "auto") return stages;
    throw new ConfigError(
      `backend.memory_limit = ${limit}: the ${kind} backend does not say what memory its kernels will take. ` +
        "Fix: backend.kind xla (rlpt doctor shows what works here), or leave the limit out and set algorithm.micro_batch_rows.",
    );
  }
  // what compiles calls native libraries, which need not be callable where another engine computes
  const { startLazyBackend } = await import("../backend/xla/start.ts");
  const { fitStage, memoryBudget } = await import("./device/fit.ts");
  const { precision } = backend;
  const executor = backend.release();
  try {
    const budget = memoryBudget(limit, executor, machineMemory());
    if (budget === null) return stages;
    const fitted: RecipeStage[] = [];
    for (const stage of stages) {
      const { stage: own, note: words } = await fitStage(stage, files, executor, budget);
      if (words !== null) note(stages.length === 1 ? words : `stage ${stage.name}: ${words}`);
      fitted.push(own);
    }
    return fitted;
  } finally {
    (await startLazyBackend(executor)).precision = precision;
  }
}
