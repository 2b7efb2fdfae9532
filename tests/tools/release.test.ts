import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { workspace } from "../helpers/tiny-run.ts";

const script = resolve("tools/release.mjs");
const space = workspace();
afterAll(space.remove);

let folder = "";
let count = 0;

function write(name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

function git(...args: string[]): string {
  const identity = ["-c", "user.name=Tester", "-c", "user.email=tester@localhost"];
  return spawnSync("git", [...identity, ...args], { cwd: folder, encoding: "utf8" }).stdout.trim();
}

function commit(): void {
  git("add", "--all");
  git("commit", "--quiet", "--message", "as it is");
}

function release(...args: string[]): { status: number | null; said: string } {
  const env = {
    ...process.env,
    GIT_COMMITTER_NAME: "Tester",
    GIT_COMMITTER_EMAIL: "tester@localhost",
    npm_config_update_notifier: "false",
  };
  const done = spawnSync(process.execPath, [script, ...args], { cwd: folder, encoding: "utf8", env });
  return { status: done.status, said: done.stdout + done.stderr };
}

const packed = () => (existsSync(join(folder, "dist")) ? readdirSync(join(folder, "dist")) : []);

/** A repository that may be released as 0.2.0. */
beforeEach(() => {
  folder = space.path(`repository-${count++}`);
  mkdirSync(folder);
  write("package.json", JSON.stringify({ name: "small", version: "0.2.0", files: ["bin", "dist/release"] }));
  write("package-lock.json", JSON.stringify({ name: "small", version: "0.2.0" }));
  write(
    "CHANGELOG.md",
    "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-01-31\n\n- more\n\n## 0.1.0 - 2026-01-01\n\n- some\n",
  );
  write("README.md", "small\n");
  write("LICENSE", "free\n");
  write(".gitignore", "dist/\ngate.log\n");
  write("bin/rlpt.js", "");
  write(
    "tools/pack.mjs",
    'import { mkdirSync, writeFileSync } from "node:fs";\nmkdirSync("dist/release", { recursive: true });\nwriteFileSync("dist/release/cli.js", "");\n',
  );
  write(".ci/run", "echo gate > gate.log\n");
  git("init", "--quiet");
  commit();
});

it("runs the gate, packs and tags", () => {
  const { status, said } = release("0.2.0");
  expect(said).toContain("tagged v0.2.0");
  expect(status).toBe(0);
  expect(git("tag")).toBe("v0.2.0");
  expect(packed()).toContain("small-0.2.0.tgz");
  expect(existsSync(join(folder, "gate.log"))).toBe(true);
  expect(release("0.2.0").said).toContain("the tag v0.2.0 is there already");
});

it("--dry-run checks and counts, and leaves no tag, no packed file and no gate", () => {
  const { status, said } = release("0.2.0", "--dry-run");
  expect(said).toMatch(/would run \.ci\/run, pack \d+ files into dist, and tag v0\.2\.0/);
  expect(status).toBe(0);
  expect(git("tag")).toBe("");
  expect(packed()).not.toContain("small-0.2.0.tgz");
  expect(existsSync(join(folder, "gate.log"))).toBe(false);
});

it("says everything that is wrong at once", () => {
  write("README.md", "changed\n");
  const { status, said } = release("0.3.0", "--dry-run");
  expect(status).toBe(1);
  for (const part of [
    "the tree has changes",
    "package.json says version 0.2.0",
    "package-lock.json says version 0.2.0",
    'CHANGELOG.md has no "## 0.3.0',
  ]) {
    expect(said).toContain(part);
  }
});

it.each([
  ["## 0.2.0\n\n- more\n", "has no date"],
  ["## 0.2.0 - 2026-01-31\n\n## 0.1.0 - 2026-01-01\n\n- some\n", "says nothing of 0.2.0"],
  ["## 0.9.0 - 2026-02-01\n\n- x\n\n## 0.2.0 - 2026-01-31\n\n- more\n", "stands below another version"],
])("refuses the changelog %j", (text, reason) => {
  write("CHANGELOG.md", `# Changelog\n\n## Unreleased\n\n${text}`);
  commit();
  const { status, said } = release("0.2.0");
  expect(said).toContain(reason);
  expect(status).toBe(1);
  expect(git("tag")).toBe("");
});

it("tags nothing when the gate fails, or when what is packed would not start", () => {
  write(".ci/run", "exit 3\n");
  commit();
  expect(release("0.2.0")).toMatchObject({
    status: 1,
    said: expect.stringContaining("the gate did not pass"),
  });
  write(".ci/run", "true\n");
  rmSync(join(folder, "LICENSE"));
  commit();
  expect(release("0.2.0")).toMatchObject({ status: 1, said: expect.stringContaining("lacks LICENSE") });
  expect(git("tag")).toBe("");
});

it("asks for a version", () => {
  for (const args of [[], ["next"], ["0.2.0", "0.3.0"]]) {
    expect(release(...args)).toMatchObject({ status: 1, said: expect.stringContaining("say which version") });
  }
});
