// The laboratory's comparison on task `items`: arms x datasets x seeds, as a table, a matrix and a CSV.
//   node tools/items-table.mjs --out runs/items [--arms cls-rl,no-thinking] [--datasets 0,1,2] [--seeds 1,2,3]
// Finished runs are not run again. With --table-only nothing is run.
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
// inside the project, so that packages are found from it
const bundle = join(root, "tools", `.items-table-${process.pid}.mjs`);
try {
  await build({
    entryPoints: [join(root, "tools", "items-table.ts")],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  const { main } = await import(pathToFileURL(bundle).href);
  process.exitCode = await main(process.argv.slice(2), root);
} finally {
  rmSync(bundle, { force: true });
}
