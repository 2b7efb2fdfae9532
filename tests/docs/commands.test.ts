/** Every command of README.md and docs/ is run: markers above a block say what is not, and why. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DocBlock, docBlocks } from "../helpers/doc-commands.ts";
import { skipMark } from "../helpers/optional.ts";
import { workspace } from "../helpers/tiny-run.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const space = workspace();
afterAll(space.remove);

const files = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const documents = files
  .map((name) => ({ name, blocks: docBlocks(name, readFileSync(join(root, name), "utf8")) }))
  .filter(({ blocks }) => blocks.length > 0);

const shims = space.path("shims");
beforeAll(() => {
  mkdirSync(shims);
  const shim = fileURLToPath(new URL("../helpers/doc-shim.mjs", import.meta.url));
  for (const name of ["npm", "npx"]) {
    const path = join(shims, name);
    writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${shim}" ${name} "$@"\n`);
    chmodSync(path, 0o755);
  }
});

/** A folder like a clone, in which a document's blocks run one after another. */
function clone(name: string): string {
  const folder = space.path(name.replaceAll(/\W/g, "-"));
  mkdirSync(join(folder, "runs"), { recursive: true });
  for (const part of ["configs", "models", "examples", "docs", "package.json", "README.md"])
    symlinkSync(join(root, part), join(folder, part));
  return folder;
}

function run(folder: string, { script, before, add }: DocBlock): { status: number | null; output: string } {
  const text = [...before, `export RLPT_DOC_ADD='${add}'`, script].join("\n");
  const done = spawnSync("bash", ["-euo", "pipefail", "-c", text], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, PATH: [shims, process.env["PATH"]].join(delimiter), NO_COLOR: "1" },
    timeout: 120_000,
    input: "",
  });
  return { status: done.status, output: `${text}\n${done.stdout}${done.stderr}` };
}

for (const { name, blocks } of documents) {
  describe(name, () => {
    let folder: string;
    beforeAll(() => {
      folder = clone(name);
    });
    for (const block of blocks) {
      const title = `line ${block.line}: ${block.script.split("\n").find((line) => !line.startsWith("#")) ?? ""}`;
      const missing = block.needs !== null && (process.env[block.needs] ?? "") === "";
      const skip = missing ? `${block.needs} names no model; .ci/run fetches it` : block.skip;
      if (skip !== null) it.skip(`${title} ${skipMark}${skip}]`, () => {});
      else
        it(title, () => {
          const { status, output } = run(folder, block);
          expect(status, output).toBe(0);
        });
    }
  });
}

describe("the documentation", () => {
  it("has its commands where this test finds them", () => {
    expect(documents.length).toBeGreaterThanOrEqual(8);
    expect(documents.flatMap(({ blocks }) => blocks).length).toBeGreaterThanOrEqual(28);
  });

  it("links to files that exist, and docs/README.md to every page", () => {
    const dead: string[] = [];
    const decisions = readdirSync(join(root, "docs", "decisions")).map((name) => `docs/decisions/${name}`);
    for (const name of [...files, ...decisions, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]) {
      const text = readFileSync(join(root, name), "utf8");
      for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^(https?:|#|mailto:)/.test(target!)) continue;
        const path = fileURLToPath(new URL(target!.replace(/#.*/, ""), new URL(name, `file://${root}`)));
        try {
          readdirSync(path);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOTDIR") dead.push(`${name}: ${target}`);
        }
      }
    }
    expect(dead).toEqual([]);
    const index = readFileSync(join(root, "docs", "README.md"), "utf8");
    const pages = files.filter((name) => name.startsWith("docs/") && name !== "docs/README.md");
    expect(pages.filter((name) => !index.includes(`(${name.slice("docs/".length)})`))).toEqual([]);
  });

  it("tells a wrong command from a right one", () => {
    const folder = clone("wrong");
    const block = { line: 1, skip: null, needs: null, before: [], add: "" };
    expect(run(folder, { ...block, script: "npx rlpt recipes ls" }).status).toBe(0);
    expect(run(folder, { ...block, script: "npx rlpt recipes sl" }).status).toBe(2);
    expect(
      run(folder, { ...block, script: "npx rlpt train configs/quickstart.yaml --set rollout.group=4" })
        .status,
    ).toBe(2);
    expect(run(folder, { ...block, script: "npm install something" }).status).toBe(99);
  });

  it("may say of a block why it is not run, what it needs, and how it gets shorter", () => {
    const page =
      "<!-- test: before: mkdir a -->\n<!-- test: add: --json -->\n```sh\nls a\n```\n<!-- test: skip: needs a GPU -->\n<!-- test: needs: CARD -->\n```sh\nx\n```\n```yaml\na: 1\n```\n";
    expect(docBlocks("page", page)).toEqual([
      { line: 3, script: "ls a", skip: null, needs: null, before: ["mkdir a"], add: "--json" },
      { line: 8, script: "x", skip: "needs a GPU", needs: "CARD", before: [], add: "" },
    ]);
    expect(() => docBlocks("page", "<!-- test: skip: x -->\ntext\n")).toThrow(
      "page:2: a marker must stand above",
    );
    expect(() => docBlocks("page", "```bash\nx\n```\n")).toThrow("page:1: fence commands with ```sh");
    expect(() => docBlocks("page", "```\n$ rlpt train x.yaml\n```\n")).toThrow("page:1: looks like commands");
    expect(() => docBlocks("page", "<!-- test: slip: x -->\n")).toThrow("is no marker");
  });
});
