import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { complete } from "../../src/cli/completion.ts";
import { createProgram } from "../../src/cli/main.ts";
import { packageRoot } from "../../src/lib/version.ts";
import { optionalPart } from "../helpers/optional.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const of = (...words: string[]) => complete(createProgram(), words);
const home = process.cwd();

beforeAll(() => {
  for (const folder of ["runs/first", "runs/second", "runs/no-run", "configs/deep", ".hidden"]) {
    mkdirSync(space.path(folder), { recursive: true });
  }
  for (const run of ["first", "second"]) space.write(`runs/${run}/recipe.yaml`, tinyGrpo);
  for (const file of ["own.yaml", "notes.txt", "configs/a.yaml", "configs/b.yml"])
    writeFileSync(space.path(file), "");
  process.chdir(space.path("."));
});
afterAll(() => process.chdir(home));

describe("candidates", () => {
  it("are commands first, without the hidden ones, then the commands of commands", async () => {
    const all = await of("");
    expect(all).toEqual(
      expect.arrayContaining([
        "train",
        "plan",
        "replay",
        "watch",
        "recipes",
        "completion",
        "help",
      ]) as unknown,
    );
    expect(await of("re")).toEqual(all.filter((name) => name.startsWith("re")));
    expect(await of("runs", "")).toEqual(["help", "ls", "rm"]);
    expect(await of("completion", "ca")).toEqual([]);
    expect(await of("train", "own.yaml", "")).toEqual([]);
  });

  it("are the flags of the command and of rlpt", async () => {
    const flags = await of("train", "own.yaml", "--");
    expect(flags).toEqual(
      expect.arrayContaining(["--set", "--resume", "--plan", "--quiet", "--no-color"]) as unknown,
    );
    expect(flags).not.toContain("--sweep");
    expect(await of("plan", "--p")).toEqual([]); // --probe-into is ours
  });

  it("are configs and folders to go on into", async () => {
    expect(await of("train", "")).toEqual(["configs/", "own.yaml", "runs/"]);
    expect(await of("train", "configs/")).toEqual(["configs/a.yaml", "configs/b.yml", "configs/deep/"]);
    expect(await of("train", "./o")).toEqual(["./own.yaml"]);
    expect(await of("train", "--set", "seed=2", "ow")).toEqual(["own.yaml"]);
    expect(await of("validate", "own.yaml", "configs/a")).toEqual(["configs/a.yaml"]);
    expect(await of("train", "nowhere/")).toEqual([]);
  });

  it("are runs, also by the path that leads to them", async () => {
    expect((await of("watch", "")).filter((one) => one.startsWith("runs/"))).toEqual([
      "runs/",
      "runs/first",
      "runs/second",
    ]);
    expect(await of("replay", "runs/f")).toEqual(["runs/first"]);
    expect(await of("train", "--resume", "runs/")).toEqual(["runs/first", "runs/no-run/", "runs/second"]);
    expect(await of("report", "runs/first", "runs/s")).toEqual(["runs/second"]);
    expect(await of("eval", "o")).toEqual(["own.yaml"]);
  });

  it("are recipes, choices of an option, and the keys of a config", async () => {
    expect(await of("recipes", "show", "autothink-c")).toEqual(["autothink-control"]);
    expect(await of("plan", "--format", "")).toEqual(["json", "text"]);
    expect(await of("train", "--backend", "w")).toEqual(["wasm", "webgpu"]);
    expect(await of("completion", "")).toEqual(expect.arrayContaining(["bash", "fish", "zsh"]) as unknown);
    expect(await of("train", "--set", "optimizer.l")).toEqual(["optimizer.lr="]);
    expect(await of("train", "--set", "algorithm.gae.")).toContain("algorithm.gae.lambda=");
    expect(await of("train", "--set", "optimizer.lr=")).toEqual([]);
    expect(await of("train", "--steps", "")).toEqual([]);
  });
});

const bash = ["/bin/bash", "/usr/bin/bash"].find((path) => existsSync(path));
optionalPart(
  "in bash",
  bash !== undefined,
  "no bash on this machine",
)(() => {
  it("a Tab completes, and goes on behind a folder", () => {
    const command = join(packageRoot(), "bin", "rlpt.js");
    // a function, as an installed command would be called
    const script = `
      rlpt() { ${JSON.stringify(process.execPath)} ${JSON.stringify(command)} "$@"; }
      compopt() { echo compopt "$@"; }
      source <(rlpt completion bash)
      complete -p rlpt
      try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rlpt rlpt; printf '[%s]' "\${COMPREPLY[@]}"; echo; }
      try rlpt tra
      try rlpt watch runs/
      try rlpt train conf`;
    const out = execFileSync(bash!, ["-c", script], { encoding: "utf8", cwd: space.path(".") });
    expect(out.trimEnd().split("\n")).toEqual([
      "complete -F _rlpt rlpt",
      "[train]",
      "[runs/first][runs/no-run/][runs/second]",
      "compopt -o nospace",
      "[configs/]",
    ]);
  });
});

it("prints a script for each shell, and knows no other", async () => {
  const out = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  const err = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    for (const shell of ["bash", "zsh", "fish"]) {
      await createProgram().parseAsync(["node", "rlpt", "completion", shell]);
      expect(String(out.mock.lastCall?.[0])).toContain("completion candidates --");
    }
    await expect(createProgram().parseAsync(["node", "rlpt", "completion", "csh"])).rejects.toThrow(
      "bash, zsh, fish",
    );
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
});
