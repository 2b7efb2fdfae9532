import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** SwiftShader, a Vulkan driver on the CPU: Debian's chromium-common has it, or .ci/run unpacks that package here. */
const places = [
  process.env["RLPT_SWIFTSHADER"],
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  fileURLToPath(
    new URL("../../.cache/swiftshader/usr/lib/chromium/vk_swiftshader_icd.json", import.meta.url),
  ),
];

/** The library that opens Vulkan drivers; without it a manifest alone is of no use. */
const loaders = ["x86_64-linux-gnu", "aarch64-linux-gnu", ""].map((folder) =>
  join("/usr/lib", folder, "libvulkan.so.1"),
);

/** Path of its Vulkan manifest, or null. */
export const swiftShader = loaders.some((path) => existsSync(path))
  ? (places.find((path) => path !== undefined && existsSync(path)) ?? null)
  : null;

export const swiftShaderMissing =
  "no SwiftShader; apt-get install chromium-common libvulkan1, or set RLPT_SWIFTSHADER to its vk_swiftshader_icd.json";
