import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Executor } from "../../src/backend/stablehlo/executor.ts";
import { type FoundPlugin, findPlugins, pluginsIn } from "../../src/backend/xla/pjrt/find.ts";
import { findTensorFlow } from "../../src/backend/xla/tensorflow/find.ts";

/** `.ci/run` installs engines here; where it did not, a person's own are used. */
const installed = fileURLToPath(new URL("../../.cache/engines", import.meta.url));

/** Folder with TensorFlow's libraries, or null. */
export function tensorflowFolder(): string | null {
  const own = join(installed, "tensorflow", "tensorflow");
  return existsSync(own) ? own : (findTensorFlow().found?.folder ?? null);
}

/** A PJRT plugin for this platform, or null: $RLPT_PJRT_PLUGIN, what `.ci/run` installed, a person's own. */
export function pluginFor(platform: "cpu" | "cuda"): FoundPlugin | null {
  const folder = platform === "cpu" ? "xla-cpu" : "cuda13";
  const fits = (plugin: FoundPlugin) => plugin.platform === platform;
  const named = process.env["RLPT_PJRT_PLUGIN"] ? findPlugins().find(fits) : undefined;
  const own = () => pluginsIn(join(installed, "pjrt", folder), "installed by rlpt").find(fits);
  return named ?? own() ?? findPlugins().find(fits) ?? null;
}

export const tensorflowMissing =
  "no TensorFlow library; rlpt backend install tensorflow, or set RLPT_TENSORFLOW to a folder with it";
export const cpuPluginMissing = "no PJRT plugin for the CPU; rlpt backend install xla-cpu";
export const cudaPluginMissing =
  "no CUDA plugin with ptxas and libdevice; rlpt backend install cuda13 (the card itself is not needed)";

/** Executors on the CPU by name; null where the library is missing. */
export async function cpuExecutor(name: "tensorflow" | "pjrt"): Promise<Executor> {
  if (name === "tensorflow") {
    const { openTensorFlowExecutor } = await import("../../src/backend/xla/tensorflow/executor.ts");
    return openTensorFlowExecutor({ folder: tensorflowFolder()! });
  }
  const { openPjrtExecutor } = await import("../../src/backend/xla/pjrt/executor.ts");
  return openPjrtExecutor({ plugin: pluginFor("cpu")!.path });
}
