/** What stands after the = of --set is one value; `~` begins in the user's home. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-set-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function config(text: string): string {
  const path = join(folder, "c.yaml");
  writeFileSync(path, text);
  return path;
}

const base = join(process.cwd(), "tests/fixtures/bad-configs/parts/grpo.yaml");

const rows = `extends: ${base}
data: { train: { kind: file, path: ${join(process.cwd(), "tests/fixtures/bad-configs/parts/rows.jsonl")}, chat: true } }
`;

describe("--set", () => {
  const train = (set: string[]) =>
    loadRecipe(config(rows), { set }).recipe.data.train as unknown as Record<string, unknown>;

  it("takes a text whole, where YAML would see a comment, a map or a number", () => {
    expect(train(["data.train.system=Use #hashtags"])["system"]).toBe("Use #hashtags");
    expect(train(["data.train.prompt=Solve {q} # step by step"])["prompt"]).toBe("Solve {q} # step by step");
    expect(train(["data.train.prompt={q}"])["prompt"]).toBe("{q}");
    expect(train(["data.train.system=yes: {q}"])["system"]).toBe("yes: {q}");
    expect(train(["data.train.system=2024"])["system"]).toBe("2024");
    expect(train(["data.train.system=true"])["system"]).toBe("true");
    expect(train(["data.train.system=# only"])["system"]).toBe("# only");
    expect(train(['data.train.system="a: b"'])["system"]).toBe("a: b");
    expect(loadRecipe(config(rows), { set: ["run.name=2024"] }).recipe.run.name).toBe("2024");
  });

  it("still reads what is no text as YAML", () => {
    expect(train(["data.train.on_bad_row=skip", "data.train.limit=9"])).toMatchObject({
      on_bad_row: "skip",
      limit: 9,
    });
    expect(() => train(["data.train.system=null"])).toThrow("data.train.system: this is empty");
    for (const list of ['data.train.system=["a"]', 'data.train.system={"a": 1}', "data.train.system={}"]) {
      expect(() => train([list]), list).toThrow("data.train.system");
    }
  });
});

it("expands ~ in run.root as in other paths", () => {
  expect(loadRecipe(base, { set: ["run.root=~/runs"] }).recipe.run.root).toBe(join(homedir(), "runs"));
});

it("steps: null takes away the steps of an extended file where there are stages", () => {
  const stages = "stages: [{ name: a, steps: 2 }, { name: b, steps: 3 }]\n";
  const loaded = loadRecipe(config(`extends: ${base}\nsteps: null\n${stages}`));
  expect(loaded.stages.map(({ recipe }) => recipe.steps)).toEqual([2, 3]);
  expect(() => loadRecipe(config(`extends: ${base}\n${stages}`))).toThrow("each stage has steps of its own");
});

describe("a config that is no file", () => {
  it.skipIf(process.platform === "win32")(
    "is refused at once: pipes, devices, folders, links to themselves",
    () => {
      const pipe = join(folder, "pipe.yaml");
      expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
      expect(() => loadRecipe(pipe)).toThrow("pipe.yaml:1  it is a pipe, not a file;");
      expect(() => loadRecipe(config(`extends: ${pipe}\n`))).toThrow("it is a pipe, not a file");
      expect(() => loadRecipe("/dev/zero")).toThrow("it is a device, not a file");
      expect(() => loadRecipe(folder)).toThrow("it is a directory");
    },
  );

  it("or is too large to be one", { timeout: 10_000 }, () => {
    const keys = Array.from({ length: 400_000 }, (_, i) => `key${i}: 1`).join("\n");
    expect(() => loadRecipe(config(keys))).toThrow(/bytes, and at most 131,072 are read/);
    const fewer = keys.slice(0, 50_000);
    expect(() => loadRecipe(config(fewer.slice(0, fewer.lastIndexOf("\n"))))).toThrow("key");
  });
});
