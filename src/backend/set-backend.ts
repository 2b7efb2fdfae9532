/** What engines share that run on the processor and come with tfjs. */
import { availableParallelism, cpus } from "node:os";
import * as tf from "@tensorflow/tfjs";
import { BackendUnavailable, firstLine } from "./unavailable.ts";

/** `tf.setBackend` answers false and swallows the reason; this asks the factory for it. */
export async function setBackend(name: string): Promise<void> {
  const reason = `tfjs could not start its ${name} backend`;
  if (await tf.setBackend(name)) return;
  try {
    await tf.findBackendFactory(name)?.();
  } catch (cause) {
    throw new BackendUnavailable(`${reason}: ${firstLine(cause)}`, null, { cause });
  }
  throw new BackendUnavailable(reason, null);
}

export function describeCpu(): string {
  const model = cpus()[0]?.model.trim().replace(/\s+/g, " ") || process.arch;
  const cores = availableParallelism();
  return `${model}, ${cores} ${cores === 1 ? "core" : "cores"}`;
}
