/** What a user's reward file consists of: the file and the modules beside it that it imports. */
import { resolve } from "node:path";

/** @returns absolute paths, the file itself among them; packages are left out */
export async function rewardSources(path: string): Promise<string[]> {
  const { build } = await import("esbuild");
  try {
    const { metafile } = await build({
      entryPoints: [path],
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      metafile: true,
      write: false,
      logLevel: "silent",
      absWorkingDir: "/",
    });
    return Object.keys(metafile.inputs)
      .map((name) => resolve("/", name))
      .sort();
  } catch {
    // what is wrong with it is said where it is loaded
    return [resolve(path)];
  }
}
