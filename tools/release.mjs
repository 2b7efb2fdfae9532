/**
 * node tools/release.mjs VERSION [--dry-run] [--out FOLDER]: makes a release of the repository that it is started in.
 * Everything that is wrong is said at once, before anything runs. Then the whole gate, the packed file, the tag, in this
 * order: a tag stands for what has passed. Nothing is pushed and nothing is published.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** Without these an installed package does not start, or may not be used. */
const NEEDED = ["package.json", "README.md", "LICENSE", "bin/rlpt.js", "dist/release/cli.js"];

const { values: flags, positionals } = parseArgs({
  options: { "dry-run": { type: "boolean", default: false }, out: { type: "string", default: "dist" } },
  allowPositionals: true,
});
const [version] = positionals;

function output(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (error) stop(`${program} cannot be started: ${error.message}`);
  return { ok: status === 0, text: stdout.trim(), said: stderr.trim() };
}

function stop(...reasons) {
  for (const reason of reasons) console.error(`release: ${reason}`);
  process.exit(1);
}

/** What the changelog says of a version, without its heading; null: it has no such heading. */
function changelogEntry(text, name) {
  const headings = [...text.matchAll(/^## .*$/gm)];
  const at = headings.findIndex(([line]) => line === `## ${name}` || line.startsWith(`## ${name} `));
  if (at < 0) return null;
  const { index, 0: line } = headings[at];
  const entry = text.slice(index + line.length, headings[at + 1]?.index).trim();
  return { line, entry, newest: headings.slice(0, at).every(([other]) => other === "## Unreleased") };
}

function faults(tag) {
  const found = [];
  const changed = output("git", ["status", "--porcelain"]).text;
  if (changed !== "") found.push(`the tree has changes; commit or remove them:\n${changed}`);
  if (output("git", ["tag", "--list", tag]).text !== "") found.push(`the tag ${tag} is there already`);
  for (const file of ["package.json", "package-lock.json"]) {
    const said = JSON.parse(readFileSync(file, "utf8")).version;
    if (said !== version)
      found.push(`${file} says version ${said}; set it: npm version ${version} --no-git-tag-version`);
  }
  const entry = changelogEntry(readFileSync("CHANGELOG.md", "utf8"), version);
  if (entry === null)
    found.push(`CHANGELOG.md has no "## ${version} - <date>"; write it from "## Unreleased"`);
  else {
    if (!/^## \S+ - \d{4}-\d{2}-\d{2}$/.test(entry.line))
      found.push(`CHANGELOG.md: "${entry.line}" has no date; write "## ${version} - 2026-01-31"`);
    if (entry.entry === "") found.push(`CHANGELOG.md says nothing of ${version}`);
    if (!entry.newest) found.push(`CHANGELOG.md: ${version} stands below another version`);
  }
  return found;
}

/** Packs, or says what would be packed. @returns its name and how many files it has */
function pack(dry) {
  // .npmrc keeps npm from running prepack, so the bundle is made here
  const built = output(process.execPath, ["tools/pack.mjs"]);
  if (!built.ok) stop(`node tools/pack.mjs failed: ${built.said}`);
  mkdirSync(flags.out, { recursive: true });
  const packed = output("npm", [
    "pack",
    "--json",
    ...(dry ? ["--dry-run"] : ["--pack-destination", flags.out]),
  ]);
  if (!packed.ok) stop(`npm pack failed: ${packed.said}`);
  const said = JSON.parse(packed.text);
  const { filename, files } = Array.isArray(said) ? said[0] : Object.values(said)[0];
  const names = new Set(files.map(({ path }) => path));
  const missing = NEEDED.filter((name) => !names.has(name));
  if (missing.length > 0) stop(`the packed file lacks ${missing.join(", ")}; see "files" of package.json`);
  return { path: join(flags.out, filename), count: names.size };
}

if (positionals.length !== 1 || !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version))
  stop("say which version, such as: node tools/release.mjs 0.2.0 --dry-run");
const root = output("git", ["rev-parse", "--show-toplevel"]);
if (!root.ok) stop("this is no git repository");
process.chdir(root.text);

const tag = `v${version}`;
const found = faults(tag);
if (found.length > 0) stop(...found);

if (flags["dry-run"]) {
  console.log(`would run .ci/run, pack ${pack(true).count} files into ${flags.out}, and tag ${tag}`);
} else {
  const gate = spawnSync("bash", [".ci/run"], { stdio: "inherit" });
  if (gate.status !== 0) stop("the gate did not pass; nothing was packed or tagged");
  const { path, count } = pack(false);
  const tagged = output("git", ["tag", "--annotate", tag, "--message", `rlpt ${version}`]);
  if (!tagged.ok) stop(`git tag failed: ${tagged.said}`);
  console.log(`${path}: ${count} files`);
  console.log(`tagged ${tag}. Next: git push --tags, then npm publish ${path}`);
}
