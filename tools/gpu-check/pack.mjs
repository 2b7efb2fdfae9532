/**
 * Packs what `tools/gpu-check/run.sh` needs on a machine with neither Node nor a network: this Node, and the files of
 * node_modules that the check reaches. The sources are not packed: a working tree comes along anyway.
 *
 *   node tools/gpu-check/pack.mjs                 # into .cache/gpu-pack, then unpacked and tried
 *   node tools/gpu-check/pack.mjs --to DIR --tree # a node_modules folder instead of archives, for tests
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const modules = realpathSync(join(root, "node_modules"));
const { values } = parseArgs({
  options: {
    to: { type: "string", default: join(root, ".cache", "gpu-pack") },
    tree: { type: "boolean", default: false },
    "limit-mib": { type: "string", default: "64" },
  },
});
const MiB = 2 ** 20;

/** Packages up to this size are taken whole: an error's path may need a file that no run here has touched. */
const WHOLE_PACKAGE = 3 * MiB;
/** Never needed to run. */
const ballast =
  /\.(map|d\.[cm]?ts|[cm]?ts|md|markdown|flow|html|css)$|(^|\/)(docs?|tests?|examples?|src)\/|\.min\.js$/i;
const licence = /(^|\/)(licen[cs]e|notice|copying)[^/]*$/i;

/** What the check runs, in small: together these touch every package that it needs. */
function traceRuns(folder) {
  const steps = ["--quiet", "--set", "data.eval.size=4", "--set", "rollout.prompts_per_step=2"];
  const train = (config, ...args) => ["train", `configs/${config}.yaml`, "--steps", "1", ...steps, ...args];
  const run = (name) => ["--out", join(folder, name)];
  // the backend that needs nothing; XLA's path takes koffi besides, which `doctor` opens
  return [
    ["--version"],
    train("quickstart", ...run("a"), "--backend", "wasm"),
    ["eval", join(folder, "a"), "--backend", "wasm"],
    ["report", join(folder, "a"), "--out", join(folder, "report.html")],
    ["doctor"],
    ["bench-peers", "--own", "--cases", "lim", "--rounds", "1", "--runs", "1"],
  ];
}

/** Files below node_modules that runs of the program have touched. @returns paths relative to node_modules */
export function traceFiles() {
  const folder = mkdtempSync(join(tmpdir(), "rlpt-trace-"));
  const list = join(folder, "files.txt");
  writeFileSync(list, "");
  try {
    const hook = join(root, "tools", "gpu-check", "trace.cjs");
    const env = { ...process.env, RLPT_TRACE: list, NODE_OPTIONS: `--require "${hook}"` };
    const programs = [
      ...traceRuns(folder).map((args) => [join(root, "bin", "rlpt.js"), ...args]),
      [join(root, "tools", "gpu-check", "part.mjs"), "load"],
    ];
    for (const args of programs) {
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
      if (status !== 0) throw new Error(`${args.join(" ")} failed:\n${stderr}`);
    }
    const paths = new Set(readFileSync(list, "utf8").split("\n").filter(Boolean));
    return [...paths].flatMap((path) => {
      if (!existsSync(path) || !statSync(path).isFile()) return [];
      const inside = relative(modules, realpathSync(path));
      return inside.startsWith("..") ? [] : [inside];
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** "a/b.js" is of "a", "@x/a/b.js" of "@x/a", and a package inside another's node_modules of its own. */
function packageOf(path) {
  const parts = path.split(sep);
  const inner = parts.lastIndexOf("node_modules") + 1;
  return parts.slice(0, inner + (parts[inner].startsWith("@") ? 2 : 1)).join(sep);
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

/** The traced files, small packages whole, and every package's package.json and terms. */
export function completeList(traced) {
  const wanted = new Set(traced);
  for (const name of new Set(traced.map(packageOf))) {
    const files = filesBelow(join(modules, name)).map((path) => relative(modules, path));
    const useful = files.filter((path) => !ballast.test(path.slice(name.length)));
    const size = useful.reduce((sum, path) => sum + statSync(join(modules, path)).size, 0);
    for (const path of size <= WHOLE_PACKAGE ? useful : []) wanted.add(path);
    for (const path of files) {
      if (path === join(name, "package.json") || licence.test(path)) wanted.add(path);
    }
  }
  return [...wanted].sort();
}

function stageModules(to, files) {
  for (const path of files) {
    const target = join(to, path);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(modules, path), target);
  }
}

function run(program, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", ...options });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}

/** Without its symbols, where `strip` is here: a fifth of it. */
function stageNode(to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(process.execPath, to);
  chmodSync(to, 0o755);
  spawnSync("strip", ["--strip-unneeded", to]);
  run(to, ["--version"]);
}

function archive(file, folder) {
  const same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  run("tar", [...same, "-cJf", file, "-C", folder, "."], { env: { ...process.env, XZ_OPT: "-9e -T0" } });
  return statSync(file).size;
}

/** Every program of this machine but Node: a path as on the other machine. */
function pathWithoutNode(folder) {
  mkdirSync(folder);
  for (const place of ["/usr/local/bin", "/usr/bin", "/bin"]) {
    for (const name of existsSync(place) ? readdirSync(place) : []) {
      const link = join(folder, name);
      if (!/^(node|nodejs|npm|npx|corepack)$/.test(name) && !existsSync(link)) {
        try {
          symlinkSync(join(place, name), link);
        } catch {
          // a link that leads nowhere stands there already
        }
      }
    }
  }
  return folder;
}

/** Unpacks as the other machine does, without Node, home or network, and trains a step. */
function tryPack(pack) {
  const folder = mkdtempSync(join(tmpdir(), "rlpt pack "));
  try {
    // a bare copy of the tree, as it travels
    const tree = join(folder, "tree");
    for (const name of ["bin", "src", "configs", "models", "examples", "docs", "tools", "package.json"]) {
      cpSync(join(root, name), join(tree, name), { recursive: true });
    }
    mkdirSync(join(folder, "home"));
    const environment = [
      `PATH=${pathWithoutNode(join(folder, "path"))}`,
      `HOME=${join(folder, "home")}`,
      `TMPDIR=${folder}`,
      `RLPT_GPU_PACK=${pack}`,
      ...(process.env["RLPT_PJRT_PLUGIN"] ? [`RLPT_PJRT_PLUGIN=${process.env["RLPT_PJRT_PLUGIN"]}`] : []),
    ];
    const alone = spawnSync("unshare", ["-n", "true"]).status === 0;
    const part = process.env["RLPT_PJRT_PLUGIN"] ? "doctor,lab" : "doctor";
    const check = ["bash", join(tree, "tools", "gpu-check", "run.sh"), "--dry", "--parts", part];
    const command = ["-i", ...environment, ...check, "--out", join(folder, "out")];
    const { status, stdout, stderr } = spawnSync(
      alone ? "unshare" : "env",
      alone ? ["-n", "env", ...command] : command,
      { encoding: "utf8", cwd: tree },
    );
    if (status !== 0) throw new Error(`the pack does not run:\n${stdout}\n${stderr}`);
    console.log(`unpacked and tried${alone ? " without a network" : ""}: ${part}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function main() {
  const files = completeList(traceFiles());
  if (values.tree) {
    stageModules(join(values.to, "node_modules"), files);
    return;
  }
  const staging = mkdtempSync(join(tmpdir(), "rlpt-pack-"));
  try {
    stageModules(join(staging, "modules", "node_modules"), files);
    stageNode(join(staging, "node", "bin", "node"));
    rmSync(values.to, { recursive: true, force: true });
    mkdirSync(values.to, { recursive: true });
    const archives = {};
    for (const name of ["node", "modules"]) {
      const path = join(values.to, `${name}.tar.xz`);
      const size = archive(path, join(staging, name));
      archives[`${name}.tar.xz`] = {
        size,
        sha256: createHash("sha256").update(readFileSync(path)).digest("hex"),
      };
      console.log(`${path}: ${(size / MiB).toFixed(1)} MiB`);
    }
    const total = Object.values(archives).reduce((sum, { size }) => sum + size, 0);
    const manifest = {
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      archives,
      files,
    };
    writeFileSync(join(values.to, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
    console.log(`${files.length} files of node_modules; ${(total / MiB).toFixed(1)} MiB in all`);
    const limit = Number(values["limit-mib"]);
    if (total > limit * MiB) throw new Error(`the pack is larger than ${limit} MiB`);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  tryPack(values.to);
}

main();
