/**
 * Makes what a package carries: the bundle of the sources and the library's types, in dist/release/.
 *
 *   node tools/pack.mjs                  builds
 *   node tools/pack.mjs --pack [folder]  builds, packs into the folder (the working directory), and checks the tarball
 *
 * `.npmrc` has npm run no scripts of packages, and so no `prepack` either: `npm run pack` is the way to a tarball.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildRelease } from "../bin/build.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What no tarball may lack: the program, the library, its types, and what the README's first command reads. */
const REQUIRED = [
  "package.json",
  "README.md",
  "bin/rlpt.js",
  "bin/build.js",
  "dist/release/cli.js",
  "dist/release/index.js",
  "dist/release/math-worker.js",
  "dist/release/tracker-worker.js",
  "dist/release/types/index.d.ts",
  "configs/quickstart.yaml",
  "models/lab-small/model.safetensors",
  "examples/grpo-loop.ts",
  "docs/library.md",
];

/** Declarations of src/index.ts and of what they name, in `folder`. @returns packages that they name */
export function emitTypes(folder) {
  const all = mkdtempSync(join(tmpdir(), "rlpt-types-"));
  try {
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
    const project = join(root, "tools", "release.tsconfig.json");
    const done = spawnSync(process.execPath, [compiler, "-p", project, "--outDir", all], {
      encoding: "utf8",
    });
    if (done.status !== 0) throw new Error(`tsc -p ${project}\n${done.stdout}${done.stderr}`);
    const packages = new Set();
    const reached = new Set();
    const visit = (file) => {
      if (reached.has(file)) return;
      reached.add(file);
      // files import each other as .ts, which a package does not hold
      const named = (from) => {
        if (!from.startsWith(".")) packages.add(from);
        else visit(resolve(dirname(file), from.replace(/\.ts$/, ".d.ts")));
        return from.startsWith(".") ? from.replace(/\.ts$/, ".js") : from;
      };
      const text = readFileSync(file, "utf8")
        .replaceAll(
          /^((?:import|export)\b[^;]*?\bfrom )"([^"]+)"/gm,
          (_, before, from) => `${before}"${named(from)}"`,
        )
        .replaceAll(/\bimport\("([^"]+)"\)/g, (_, from) => `import("${named(from)}")`);
      const target = join(folder, relative(all, file));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, text);
    };
    visit(join(all, "index.d.ts"));
    return packages;
  } finally {
    rmSync(all, { recursive: true, force: true });
  }
}

async function build() {
  const { folder, packages } = await buildRelease();
  for (const name of emitTypes(join(folder, "types"))) packages.add(name);
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const named = new Set([...Object.keys(dependencies), ...Object.keys(optionalDependencies)]);
  const packageOf = (path) =>
    path
      .split("/")
      .slice(0, path.startsWith("@") ? 2 : 1)
      .join("/");
  const missing = [...packages]
    .filter((path) => !path.startsWith("node:") && !builtinModules.includes(path))
    .map(packageOf)
    .filter((name) => !named.has(name));
  if (missing.length > 0)
    throw new Error(`package.json does not depend on ${[...new Set(missing)].join(", ")}`);
}

/** @returns path of the tarball */
function pack(folder) {
  mkdirSync(folder, { recursive: true });
  const npm = process.env.npm_execpath;
  const [program, ...before] = npm === undefined ? ["npm"] : [process.execPath, npm];
  const done = spawnSync(
    program,
    [...before, "pack", "--json", "--ignore-scripts", "--pack-destination", folder],
    { cwd: root, encoding: "utf8", shell: npm === undefined && process.platform === "win32" },
  );
  if (done.status !== 0) throw new Error(`npm pack: ${done.stderr}${done.error?.message ?? ""}`);
  const [{ filename, files, size, unpackedSize }] = Object.values(JSON.parse(done.stdout));
  const packed = new Set(files.map(({ path }) => path));
  const faults = [
    ...REQUIRED.filter((path) => !packed.has(path)).map((path) => `it lacks ${path}`),
    ...readdirSync(join(root, "dist", "release"))
      .filter((name) => name.endsWith(".js") && !packed.has(`dist/release/${name}`))
      .map((name) => `it lacks dist/release/${name}`),
    ...[...packed]
      .filter((path) => path.startsWith("dist/") && !path.startsWith("dist/release/"))
      .map((path) => `it holds ${path}, a build of this checkout`),
  ];
  const path = join(folder, filename);
  if (faults.length > 0) {
    rmSync(path, { force: true });
    throw new Error(`the tarball is wrong:\n  ${faults.join("\n  ")}`);
  }
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  process.stderr.write(
    `${files.length} files, ${megabytes(size)} MB packed, ${megabytes(unpackedSize)} MB unpacked\n`,
  );
  return path;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!existsSync(join(root, "src"))) throw new Error("this is a package, not the sources");
  await build();
  const at = process.argv.indexOf("--pack");
  if (at > 0) process.stdout.write(`${pack(resolve(process.argv[at + 1] ?? "."))}\n`);
}
