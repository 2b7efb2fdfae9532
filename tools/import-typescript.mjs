import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

/** The project's folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What a TypeScript module exports, on every Node. @param path relative to the project */
export async function importTypeScript(path) {
  // inside the project, so that packages are found from it
  const bundle = join(root, "tools", `.bundle-${process.pid}.mjs`);
  try {
    await build({
      entryPoints: [join(root, path)],
      outfile: bundle,
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      logLevel: "error",
    });
    return await import(pathToFileURL(bundle).href);
  } finally {
    rmSync(bundle, { force: true });
  }
}
