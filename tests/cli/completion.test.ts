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
  for (const file of ["own.yaml", "two words.yaml", "notes.txt", "configs/a.yaml", "configs/b.yml"])
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
    expect(await of("train", "")).toEqual(["configs/", "own.yaml", "runs/", "two words.yaml"]);
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

/** A shell by its name, where this machine has it. */
const shell = (name: string) =>
  ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));

/** A folder with `rlpt` in it, as an installed command would be called. */
function installed(): string {
  const folder = space.path("installed bin");
  mkdirSync(folder, { recursive: true });
  const command = join(packageRoot(), "bin", "rlpt.js");
  writeFileSync(join(folder, "rlpt"), `#!/bin/sh\nexec '${process.execPath}' '${command}' "$@"\n`, {
    mode: 0o755,
  });
  return folder;
}

/** What a shell prints that has `rlpt` on its path, and the workspace as its folder and as its home. */
const said = (path: string, args: readonly string[]) =>
  execFileSync(path, args, {
    encoding: "utf8",
    cwd: space.path("."),
    stdio: ["ignore", "pipe", "ignore"],
    env: {
      PATH: `${installed()}:${process.env["PATH"]}`,
      HOME: space.path("."),
      XDG_CONFIG_HOME: space.path("settings"),
      TERM: "dumb",
      LC_ALL: "C.UTF-8",
    },
  });

const bash = shell("bash");
optionalPart(
  "in bash",
  bash !== undefined,
  "no bash on this machine",
)(() => {
  it("a Tab completes, goes on behind a folder, and quotes blanks", () => {
    const script = `
      compopt() { echo compopt "$@"; }
      source <(rlpt completion bash)
      complete -p rlpt
      try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rlpt rlpt; printf '[%s]' "\${COMPREPLY[@]}"; echo; }
      try rlpt trai
      try rlpt watch runs/
      try rlpt train conf
      try rlpt train 'two\\ w'
      try rlpt train '~/own'`;
    expect(said(bash!, ["-c", script]).trimEnd().split("\n")).toEqual([
      "complete -F _rlpt rlpt",
      "[train]",
      "[runs/first][runs/no-run/][runs/second]",
      "compopt -o nospace",
      "[configs/]",
      "[two\\ words.yaml]",
      "[~/own.yaml]",
    ]);
  });
});

const zsh = shell("zsh");
optionalPart(
  "in zsh",
  zsh !== undefined,
  "no zsh on this machine: apt-get install zsh",
)(() => {
  // a terminal of zsh's own; what the line has become is written by a key of ours
  const typing = (setUp: string) => `
    zmodload zsh/zpty
    zpty line zsh -f -i
    tell() { zpty -w line "$1"; }
    tell 'PS1= RPS1=; unsetopt zle_bracketed_paste beep; ${setUp}'
    tell 'show() { print -r -- "<$LBUFFER>"; LBUFFER=; }; zle -N show; bindkey "^X" show; print READ""Y'
    zpty -r line said '*READY*'
    for typed in "\${(@f)$(<typed.txt)}"; do
      zpty -w -n line "$typed"$'\\t\\x18'
      zpty -r line said $'*<*>*'
      print -r -- "\${\${said##*<}%%>*}"
    done
    zpty -d line`;
  const cases = [
    ["rlpt trai", "rlpt train "],
    ["rlpt recipes show autothink-c", "rlpt recipes show autothink-control "],
    ["rlpt plan --no-s", "rlpt plan --no-search "],
    ["rlpt train conf", "rlpt train configs/"],
    ["rlpt train configs/a", "rlpt train configs/a.yaml "],
    ["rlpt watch runs/f", "rlpt watch runs/first "],
    ["rlpt train --set optimizer.l", "rlpt train --set optimizer.lr="],
    ["rlpt train two\\ w", "rlpt train two\\ words.yaml "],
    ["rlpt train ~/own", "rlpt train ~/own.yaml "],
    ["rlpt train --steps ", "rlpt train --steps "],
  ] as const;

  it.each([
    ["as a file of $fpath", "fpath=(functions $fpath); autoload -Uz compinit; compinit -D -u", cases.length],
    ["sourced", "autoload -Uz compinit; compinit -D -u; source functions/_rlpt", 2],
  ])(
    "a Tab completes from the first on: %s",
    (_, setUp, count) => {
      const tried = cases.slice(0, count);
      mkdirSync(space.path("functions"), { recursive: true });
      writeFileSync(space.path("functions/_rlpt"), said(join(installed(), "rlpt"), ["completion", "zsh"]));
      writeFileSync(space.path("typed.txt"), tried.map(([typed]) => `${typed}\n`).join(""));
      expect(
        said(zsh!, ["-f", "-c", typing(setUp)])
          .trimEnd()
          .split("\n")
          .map((line) => line.trimEnd()),
      ).toEqual(tried.map(([, completed]) => completed.trimEnd()));
    },
    60_000,
  );
});

const fish = shell("fish");
optionalPart(
  "in fish",
  fish !== undefined,
  "no fish on this machine: apt-get install fish",
)(() => {
  it("a Tab completes, also inside quotes", () => {
    mkdirSync(space.path("settings/fish/completions"), { recursive: true });
    const script = said(join(installed(), "rlpt"), ["completion", "fish"]);
    writeFileSync(space.path("settings/fish/completions/rlpt.fish"), script);
    const cases: [string, string[]][] = [
      ["rlpt trai", ["train"]],
      ["rlpt recipes show autothink-c", ["autothink-control"]],
      ["rlpt plan --no-s", ["--no-search"]],
      ["rlpt train conf", ["configs/"]],
      ["rlpt train configs/", ["configs/a.yaml", "configs/b.yml", "configs/deep/"]],
      ["rlpt watch runs/", ["runs/first", "runs/no-run/", "runs/second"]],
      ["rlpt train --set optimizer.l", ["optimizer.lr="]],
      ["rlpt train two\\ w", ["two words.yaml"]],
      ["rlpt train 'two w", ["two words.yaml"]],
      ["rlpt train ~/own", ["~/own.yaml"]],
      ["rlpt train --steps ", []],
    ];
    const tries = cases
      .map(([typed]) => `complete -C '${typed.replace(/[\\']/g, "\\$&")}'; echo ///`)
      .join("\n");
    const found = said(fish!, ["-c", tries]).split("///\n").slice(0, -1);
    expect(found.map((text) => text.split("\n").filter((line) => line !== ""))).toEqual(
      cases.map(([, candidates]) => candidates),
    );
  }, 60_000);
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
