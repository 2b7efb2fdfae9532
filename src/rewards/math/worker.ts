/** Entry of the math thread, built as dist/math-worker.js. Speaks the protocol of deadline-worker.ts. */
import { parentPort } from "node:worker_threads";
import type { MathPair } from "./fast.ts";
import { gradeMath } from "./grade.ts";

parentPort?.on("message", ({ index, task }: { index: number; task: MathPair }) => {
  try {
    parentPort?.postMessage({ index, value: gradeMath(task) });
  } catch (error) {
    parentPort?.postMessage({ index, failure: error instanceof Error ? error.message : String(error) });
  }
});
parentPort?.postMessage({ ready: null });
