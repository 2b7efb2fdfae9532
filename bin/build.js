/**
 * Bundles src/, and what is timed beside it, into dist/<signature>/, where the signature says which sources it was made of.
 * A checkout builds itself on first use (a fraction of a second), so no build step has to be documented
 * and none can be forgotten; a published package carries dist/release/ and no src/ (`npm run pack` makes it).
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(root, "src");
/** Everything that a bundle is made of. */
const sources = [source, join(root, "tools", "bench"), join(root, "tools", "peers")];
const dist = join(root, "dist");
const release = join(dist, "release");

/** Entry points: the command line, the library, and files that run in worker threads. */
const ENTRIES = {
  cli: "cli/main.ts",
  index: "index.ts",
  "math-worker": "rewards/math/worker.ts",
  "tracker-worker": "trackers/worker.ts",
};

function signature() {
  const hash = createHash("sha256");
  const walk = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else {
        const { mtimeMs, size } = statSync(path);
        hash.update(`${relative(root, path)}\0${mtimeMs}\0${size}\n`);
      }
    }
  };
  for (const folder of sources) walk(folder);
  return hash.digest("hex").slice(0, 12);
}

/** @returns packages that the bundle loads */
async function build(folder) {
  const { build } = await import("esbuild");
  const aside = `${folder}.${process.pid}.tmp`;
  const entryPoints = Object.fromEntries(
    Object.entries(ENTRIES)
      .map(([name, file]) => [name, join(source, file)])
      .filter(([, file]) => existsSync(file)),
  );
  mkdirSync(dist, { recursive: true });
  const { metafile } = await build({
    entryPoints,
    outdir: aside,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    sourcemap: true,
    metafile: true,
    logLevel: "error",
  });
  writeFileSync(join(aside, "package.json"), '{"type":"module"}\n');
  try {
    renameSync(aside, folder);
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // otherwise another process built the same first
  }
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return new Set(imports.filter(({ external }) => external).map(({ path }) => path));
}

/** The bundle of a package, made anew. @returns its folder, and the packages that it loads */
export async function buildRelease() {
  rmSync(release, { recursive: true, force: true });
  return { folder: release, packages: await build(release) };
}

/** Removes builds of older sources but the newest two: a running process may still load from its own. */
function removeOldBuilds(current) {
  readdirSync(dist)
    .map((name) => join(dist, name))
    .filter((path) => path !== current && path !== release)
    .map((path) => ({ path, time: statSync(path).mtimeMs }))
    .sort((a, b) => b.time - a.time)
    .slice(2)
    .forEach(({ path }) => {
      rmSync(path, { recursive: true, force: true });
    });
}

/** The URL of the bundle of the present sources. @throws Error where there is neither a bundle nor sources */
export async function bundleUrl() {
  let folder = release;
  if (existsSync(source)) {
    folder = join(dist, signature());
    if (!existsSync(folder)) {
      await build(folder);
      removeOldBuilds(folder);
    }
  } else if (!existsSync(join(release, "cli.js"))) {
    throw new Error(
      `rlpt: ${release} is not in this package: it was packed without its program. ` +
        "Pack it again with `npm run pack` in the sources (a plain `npm pack` builds nothing), and install that file.",
    );
  }
  return pathToFileURL(join(folder, "cli.js")).href;
}
