import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** SwiftShader, a Vulkan driver on the CPU: Debian's chromium-common has it, or .ci/run unpacks that package here. */
const places = [
  process.env["RLPT_SWIFTSHADER"],
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  fileURLToPath(
    new URL("../../.cache/swiftshader/usr/lib/chromium/vk_swiftshader_icd.json", import.meta.url),
  ),
];

/** Path of its Vulkan manifest, or null. */
export const swiftShader = places.find((path) => path !== undefined && existsSync(path)) ?? null;

export const swiftShaderMissing =
  "no SwiftShader; apt-get install chromium-common libvulkan1, or set RLPT_SWIFTSHADER to its vk_swiftshader_icd.json";
