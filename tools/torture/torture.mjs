// Damages everything that comes from outside, and asks that nothing crashes, hangs, grows, is lost or lies.
//   npm run torture -- --help
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { root } from "../import-typescript.mjs";

// inside the project, so that packages are found from it
const folder = mkdtempSync(join(root, "tools", "torture", ".bundle-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
await build({
  entryPoints: {
    main: join(root, "tools/torture/main.ts"),
    child: join(root, "tools/torture/child.ts"),
    "math-worker": join(root, "src/rewards/math/worker.ts"),
  },
  outdir: folder,
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "error",
});
const { main } = await import(pathToFileURL(join(folder, "main.js")).href);
process.exitCode = await main(process.argv.slice(2), join(folder, "child.js"), root);
