// Writes docs/config.md from the option schemas. Run from anywhere: node tools/write-config-docs.mjs
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
// inside the project, so that packages are found from it
const bundle = join(root, "tools", `.config-docs-${process.pid}.mjs`);
try {
  await build({
    entryPoints: [join(root, "tools", "config-docs.ts")],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  const { configDocs } = await import(pathToFileURL(bundle).href);
  writeFileSync(join(root, "docs", "config.md"), configDocs());
} finally {
  rmSync(bundle, { force: true });
}
