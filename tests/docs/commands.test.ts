/** Every command of README.md and docs/ is run: markers above a block say what is not, and why. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as setTimeoutAsync } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DocBlock, docBlocks } from "../helpers/doc-commands.ts";
import { addGsm8kAndSmolLM2 } from "../helpers/hub-gsm8k.ts";
import { startHubServer } from "../helpers/hub-server.ts";
import { skipMark } from "../helpers/optional.ts";
import { workspace } from "../helpers/tiny-run.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const space = workspace();
// stands for the Hub: what the pages name there has few rows and few weights
const hub = await startHubServer();
addGsm8kAndSmolLM2(hub);
afterAll(() => {
  hub.close();
  space.remove();
});

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

const PATIENCE_MS = 120_000;

/** Starts a block in a process group of its own. */
function start(folder: string, { script, before, add }: DocBlock) {
  const text = [...before, `export RLPT_DOC_ADD='${add}'`, script].join("\n");
  const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: [shims, process.env["PATH"]].join(delimiter),
      NO_COLOR: "1",
      HF_ENDPOINT: hub.url,
      HF_HUB_CACHE: space.path("hub"),
      HF_TOKEN: "",
      HF_HUB_OFFLINE: "",
    },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const started = { child, output: `${text}\n`, stop: () => process.kill(-child.pid!, "SIGTERM") };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (piece: string) => {
      started.output += piece;
    });
  return started;
}

/** Asynchronous, since this process answers for the Hub. */
async function run(folder: string, block: DocBlock): Promise<{ status: number | null; output: string }> {
  const started = start(folder, block);
  const late = setTimeout(started.stop, PATIENCE_MS);
  const [status] = (await once(started.child, "close")) as [number | null];
  clearTimeout(late);
  return { status, output: started.output };
}

/** Starts a block that goes on, and waits until its address answers; gives what ends it. */
async function startInBackground(folder: string, block: DocBlock): Promise<() => Promise<void>> {
  const started = start(folder, block);
  const { child } = started;
  const closed = once(child, "close");
  for (const end = Date.now() + PATIENCE_MS; ; await setTimeoutAsync(100)) {
    const answer = await fetch(block.background!).catch(() => null);
    if (answer?.ok === true) break;
    if (child.exitCode !== null || Date.now() > end) {
      if (child.exitCode === null) started.stop();
      throw new Error(`${block.background} does not answer\n${started.output}`);
    }
  }
  return async () => {
    started.stop();
    await closed;
  };
}

for (const { name, blocks } of documents) {
  describe(name, () => {
    let folder: string;
    const ends: (() => Promise<void>)[] = [];
    beforeAll(() => {
      folder = clone(name);
    });
    afterAll(async () => {
      for (const end of ends) await end();
    });
    for (const block of blocks) {
      const title = `line ${block.line}: ${block.script.split("\n").find((line) => !line.startsWith("#")) ?? ""}`;
      const missing = block.needs !== null && (process.env[block.needs] ?? "") === "";
      const skip = missing ? `${block.needs} names no model; .ci/run fetches it` : block.skip;
      if (skip !== null) it.skip(`${title} ${skipMark}${skip}]`, () => {});
      else
        it(title, { timeout: 2 * PATIENCE_MS }, async () => {
          if (block.background !== null) ends.push(await startInBackground(folder, block));
          else {
            const { status, output } = await run(folder, block);
            expect(status, output).toBe(0);
          }
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

  it("tells a wrong command from a right one", async () => {
    const folder = clone("wrong");
    const block = { line: 1, skip: null, needs: null, before: [], background: null, add: "" };
    const status = async (script: string) => (await run(folder, { ...block, script })).status;
    expect(await status("npx rlpt recipes ls")).toBe(0);
    expect(await status("npx rlpt recipes sl")).toBe(2);
    expect(await status("npx rlpt train configs/quickstart.yaml --set rollout.group=4")).toBe(2);
    expect(await status("npm install something")).toBe(99);
  });

  it("may say of a block why it is not run, what it needs, and how it gets shorter", () => {
    const page =
      "<!-- test: before: mkdir a -->\n<!-- test: add: --json -->\n```sh\nls a\n```\n<!-- test: skip: needs a GPU -->\n<!-- test: needs: CARD -->\n```sh\nx\n```\n```yaml\na: 1\n```\n";
    expect(docBlocks("page", page)).toEqual([
      {
        line: 3,
        script: "ls a",
        skip: null,
        needs: null,
        before: ["mkdir a"],
        background: null,
        add: "--json",
      },
      { line: 8, script: "x", skip: "needs a GPU", needs: "CARD", before: [], background: null, add: "" },
    ]);
    expect(() => docBlocks("page", "<!-- test: skip: x -->\ntext\n")).toThrow(
      "page:2: a marker must stand above",
    );
    expect(() => docBlocks("page", "```bash\nx\n```\n")).toThrow("page:1: fence commands with ```sh");
    expect(() => docBlocks("page", "```\n$ rlpt train x.yaml\n```\n")).toThrow("page:1: looks like commands");
    expect(() => docBlocks("page", "<!-- test: slip: x -->\n")).toThrow("is no marker");
  });
});
