import { BackendUnavailable, firstLine } from "./unavailable.ts";

/**
 * For engines that are native libraries, before anything of theirs is loaded.
 * @throws BackendUnavailable where koffi, which calls them, has no binary: another platform, or an install without optional packages
 */
export async function requireNativeCalls(): Promise<void> {
  try {
    await import("koffi");
  } catch (cause) {
    throw new BackendUnavailable(
      `native libraries cannot be called here: ${firstLine(cause)}`,
      "install rlpt again without --omit=optional",
      { cause },
    );
  }
}
