/** The package as a stranger gets it: packed, installed into an empty folder elsewhere, used from there. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { workspace } from "../helpers/tiny-run.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const space = workspace();
afterAll(space.remove);
const folder = space.path("elsewhere");
const installed = join(folder, "node_modules", "rlpt");

function run(program: string, args: readonly string[], cwd = folder) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: 280_000,
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { status, stdout, stderr, all: `${stdout}${stderr}` };
}
const node = (...args: string[]) => run(process.execPath, args);

/** The installed package, its dependencies those of this checkout: the tarball unpacked, and links. */
function linkInstall(tarball: string): void {
  mkdirSync(installed, { recursive: true });
  const unpacked = run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  expect(unpacked.status, unpacked.all).toBe(0);
  linkDependencies(join(folder, "node_modules"), []);
}

function linkDependencies(target: string, without: readonly string[]): void {
  const modules = join(root, "node_modules");
  for (const name of readdirSync(modules)) {
    if (name.startsWith(".") || without.includes(name)) continue;
    symlinkSync(join(modules, name), join(target, name));
  }
}

/** The fenced programs of docs/library.md. */
function program(language: "js" | "ts"): string {
  const text = readFileSync(join(installed, "docs", "library.md"), "utf8");
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))];
  expect(blocks).toHaveLength(1);
  return blocks[0]![1]!;
}

beforeAll(() => {
  mkdirSync(folder, { recursive: true });
  const packed = run(process.execPath, [join(root, "tools", "pack.mjs"), "--pack", space.path("packed")]);
  expect(packed.status, packed.all).toBe(0);
  const tarball = packed.stdout.trim();
  writeFileSync(join(folder, "package.json"), '{"type":"module","private":true}\n');
  // half a gigabyte of packages: from the registry where the whole gate runs, else those that are here
  if (process.env["RLPT_SLOW"] === "1") {
    const options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
    const done = run("npm", ["install", ...options, tarball]);
    expect(done.status, done.all).toBe(0);
  } else linkInstall(tarball);
}, 300_000);

describe("the installed package", () => {
  it("trains a config that comes with it, by name, and writes into the folder it stands in", () => {
    for (const name of ["quickstart", "quickstart.yaml"]) {
      const done = node(
        join(installed, "bin", "rlpt.js"),
        ...["train", name, "--steps", "1", "--set", "eval.limit=10", "--quiet", "--out", `of ${name}`],
      );
      expect(done.status, done.all).toBe(0);
      expect(existsSync(join(folder, `of ${name}`, "checkpoints", "000001", "model", "config.json"))).toBe(
        true,
      );
    }
  }, 120_000);

  it("takes a new user from a table of their own to a trained model, a report and an export", () => {
    const rlpt = (...args: string[]) => {
      const done = node(join(installed, "bin", "rlpt.js"), ...args);
      expect(done.status, `rlpt ${args.join(" ")}\n${done.all}`).toBe(0);
      return done;
    };
    const words = ["apple", "river", "stone", "cloud", "tiger", "plane", "chair", "bread"];
    const rows = words.flatMap((a) => words.map((b) => `"Which word is last: ${a} ${b}?",${b}`));
    writeFileSync(join(folder, "words.csv"), `question,answer\n${rows.join("\n")}\n`);
    const made = rlpt("new", "mine", "--data", "words.csv");
    expect(made.stdout).toContain("Which word is last: apple ");
    // what it says to do next, word for word
    const next = made.stdout.split("Next\n")[1]!.trim().split("\n");
    expect(next).toHaveLength(3);
    for (const line of next.slice(0, 2)) rlpt(...line.trim().split(" ").slice(1));
    expect(rlpt("reward", "test", "mine/reward.mjs").stdout).toContain("6/6");
    const short = ["--set", "stages.0.steps=60", "--set", "stages.1.steps=4"];
    const trained = rlpt(...next[2]!.trim().split(" ").slice(1), ...short, "--out", "runs/mine");
    // random weights that have read right answers answer some
    expect(Number(/-> ([\d.]+)%/.exec(trained.stdout)![1])).toBeGreaterThan(0);
    rlpt("report", "runs/mine");
    expect(readFileSync(join(folder, "runs", "mine", "report.html"), "utf8")).toContain("Which word is last");
    rlpt("export", "runs/mine", "--out", "exported");
    expect(readdirSync(join(folder, "exported")).sort()).toEqual(
      [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ].sort(),
    );
    expect(rlpt("sample", "exported", "Which word is last: apple river?\\n", "--raw").stdout).toContain(
      "Answer:",
    );
  }, 280_000);

  it("runs the JavaScript program of docs/library.md, which alone prints", () => {
    writeFileSync(join(folder, "program.mjs"), program("js"));
    const done = node("program.mjs");
    expect(done.status, done.all).toBe(0);
    expect(done.stderr).toBe("");
    const lines = done.stdout.trim().split("\n");
    expect(lines.slice(0, 2).map((line) => line.replace(/[\d.]+$/, ""))).toEqual([
      "step 1: reward ",
      "step 2: reward ",
    ]);
    expect(lines[2]).toMatch(/^accuracy [\d.]+ -> [\d.]+$/);
    expect(lines.slice(4, 8).every((line) => line.startsWith('"'))).toBe(true);
    expect(lines.at(-1)).toBe("{ equal: true, status: 'ok' }");
    expect(lines).toHaveLength(9);
  }, 120_000);

  it("type-checks and runs the TypeScript program of docs/library.md", () => {
    writeFileSync(join(folder, "program.ts"), program("ts"));
    const compilerOptions = {
      strict: true,
      target: "es2022",
      module: "nodenext",
      types: ["node"],
      typeRoots: [join(root, "node_modules", "@types")],
      skipLibCheck: true,
      outDir: "compiled",
    };
    const compile = (): ReturnType<typeof run> => {
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({ compilerOptions, files: ["program.ts"] }),
      );
      return node(join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json");
    };
    const checked = compile();
    expect(checked.status, checked.all).toBe(0);
    const done = node(join("compiled", "program.js"));
    expect(done.status, done.all).toBe(0);
    expect(done.stdout).toMatch(/^\[ 1, 0 \] \[ \[ 0\.70\d+, -0\.70\d+ \] \]\n$/);
    // types that are there only by name would let this through
    writeFileSync(
      join(folder, "program.ts"),
      program("ts").replace('loadRecipe("quickstart")', "loadRecipe(1)"),
    );
    expect(compile().all).toContain("'number' is not assignable to parameter of type 'string'");
  }, 120_000);

  it("runs examples/grpo-loop.ts to the rewards and the weights of rlpt train", async () => {
    const example = readFileSync(join(installed, "examples", "grpo-loop.ts"), "utf8");
    expect(example.trimEnd().split("\n").length).toBeLessThanOrEqual(200);
    const { code } = await transform(example, { loader: "ts", format: "esm" });
    writeFileSync(join(folder, "grpo-loop.mjs"), code);
    const loop = node("grpo-loop.mjs", "quickstart", "--steps", "3", "--seed", "2", "--save", "trained");
    expect(loop.status, loop.all).toBe(0);
    const train = node(
      join(installed, "bin", "rlpt.js"),
      ...["train", "quickstart", "--steps", "3", "--seed", "2", "--set", "eval.limit=10", "--quiet"],
      ...["--out", "real"],
    );
    expect(train.status, train.all).toBe(0);
    const rows = parse(readFileSync(join(folder, "real", "metrics.csv")), { columns: true }) as Record<
      string,
      string
    >[];
    const expected = rows.map((row, i) => `step ${i + 1}: reward ${Number(row["reward/mean"]).toFixed(3)}`);
    expect(loop.stdout.match(/^step \d+: reward [\d.]+/gm)).toEqual(expected);
    const weights = (directory: string) => readFileSync(join(folder, directory, "model.safetensors"));
    expect(weights("trained").equals(weights("real/checkpoints/000003/model"))).toBe(true);
  }, 120_000);

  it("trains where nothing native can be called, as after --omit=optional --ignore-scripts", () => {
    const plain = space.path("plain");
    const modules = join(plain, "node_modules");
    cpSync(installed, join(modules, "rlpt"), { recursive: true });
    linkDependencies(modules, ["koffi", "@koromix", "webgpu"]);
    const rlpt = (...args: string[]) =>
      run(process.execPath, [join(modules, "rlpt", "bin", "rlpt.js"), ...args], plain);
    const short = ["--steps", "1", "--set", "eval.limit=10", "--quiet"];
    const done = rlpt("train", "quickstart", ...short);
    expect(done.status, done.all).toBe(0);
    const forced = rlpt("train", "quickstart", "--backend", "xla", ...short);
    expect(forced.status, forced.all).toBe(1);
    expect(forced.stderr).toContain("install rlpt again without --omit=optional");
  }, 120_000);

  it("says what is missing where it was packed without its program", () => {
    const bare = space.path("bare");
    cpSync(join(installed, "bin"), join(bare, "bin"), { recursive: true });
    copyFileSync(join(installed, "package.json"), join(bare, "package.json"));
    const done = run(process.execPath, [join(bare, "bin", "rlpt.js"), "--help"]);
    expect(done.status).toBe(1);
    expect(done.stderr).toContain("npm run pack");
    expect(done.stderr.trim().split("\n")).toHaveLength(1);
    rmSync(bare, { recursive: true });
  });
});
