import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { expect, it } from "vitest";

/**
 * What each folder may import from the others. Held against every import line. The first block is the stages and their nouns, the
 * second what joins them to runs, the third what people start. No folder may import everything.
 */
const ALLOWED: Record<string, readonly string[]> = {
  "types.ts": [],
  lib: [],
  config: ["types.ts", "lib", "options", "recipes"],
  data: ["types.ts", "lib"],
  backend: ["types.ts", "lib"],
  policy: ["types.ts", "lib", "backend"],
  rollouts: ["types.ts", "lib"],
  rewards: ["types.ts", "lib"],
  advantages: ["types.ts", "lib"],
  losses: ["types.ts", "lib", "backend"],
  optim: ["types.ts", "lib", "backend"],
  metrics: ["types.ts", "lib"],
  run: ["types.ts", "lib", "metrics"],
  report: ["types.ts", "lib", "metrics", "run"],
  recipes: ["types.ts", "lib", "options", "rewards"],
  algorithms: [
    "types.ts",
    "lib",
    "options",
    "data",
    "policy",
    "rollouts",
    "rewards",
    "advantages",
    "losses",
    "optim",
    "metrics",
    "run",
  ],

  training: [
    "types.ts",
    "lib",
    "options",
    "config",
    "data",
    "backend",
    "policy",
    "rollouts",
    "rewards",
    "optim",
    "run",
    "algorithms",
  ],
  selection: ["types.ts", "lib", "config", "recipes", "data", "run"],
  processes: ["lib", "options", "config", "backend", "run"],
  experiments: ["lib", "options", "config", "data", "run", "report", "selection", "processes", "terminal"],
  planning: [
    "types.ts",
    "lib",
    "options",
    "config",
    "data",
    "backend",
    "policy",
    "rollouts",
    "optim",
    "run",
    "report",
    "algorithms",
    "training",
    "experiments",
    "processes",
    "terminal",
  ],
  replay: ["lib", "config", "policy", "run", "training", "terminal"],

  terminal: ["lib", "config", "metrics", "run"],
  cli: [
    "lib",
    "options",
    "config",
    "recipes",
    "backend",
    "rewards",
    "run",
    "report",
    "algorithms",
    "training",
    "selection",
    "processes",
    "experiments",
    "planning",
    "replay",
    "terminal",
    "tools/bench",
    "tools/peers",
  ],

  // what is timed: outside of src, since no run needs it
  "tools/bench": [
    "types.ts",
    "lib",
    "options",
    "backend",
    "policy",
    "losses",
    "optim",
    "rollouts",
    "processes",
  ],
  "tools/peers": [
    "types.ts",
    "lib",
    "options",
    "config",
    "backend",
    "data",
    "policy",
    "rollouts",
    "rewards",
    "optim",
    "metrics",
    "run",
    "algorithms",
    "training",
    "processes",
    "tools/bench",
  ],
};

/** Option schemas that others may read, with the declarations that they derive from: free of tensors and heavy packages. */
const isOptions = (path: string) => /(^|\/)(\w+-)?options\.ts$/.test(path);

/** These may load tfjs; everything else must start without it. */
const TENSOR_FOLDERS = new Set([
  "backend",
  "policy",
  "losses",
  "optim",
  "algorithms",
  "training",
  "planning",
  "replay",
  "tools/bench",
  "tools/peers",
]);

interface Import {
  file: string;
  from: string;
  typeOnly: boolean;
  lazy: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "assembly" ? [] : sources(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

const files = ["src", "tools/bench", "tools/peers"].flatMap(sources);
const imports: Import[] = files.flatMap((file) => importsOf(file, readFileSync(file, "utf8")));

function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+"([^"]+)"/gms)) {
    found.push({ file, from: match[2]!, typeOnly: match[1] !== undefined, lazy: false });
  }
  for (const match of text.matchAll(/import\("([^"]+)"\)/g)) {
    found.push({ file, from: match[1]!, typeOnly: false, lazy: true });
  }
  return found;
}

const folderOf = (path: string) =>
  path.startsWith("tools/") ? path.split("/").slice(0, 2).join("/") : relative("src", path).split("/")[0]!;

/** Imports that go through a wall. */
function wallFaults(checked: readonly Import[]): string[] {
  return checked.flatMap(({ file, from }) => {
    if (!from.startsWith(".")) return [];
    const target = normalize(join(dirname(file), from));
    const [own, other] = [folderOf(file), folderOf(target)];
    const allowed = ALLOWED[own]!;
    const ok = own === other || allowed.includes(other) || (allowed.includes("options") && isOptions(target));
    return ok ? [] : [`${file} imports ${target}`];
  });
}

it("sees every source file and its imports", () => {
  expect(files.length).toBeGreaterThan(90);
  expect(imports.length).toBeGreaterThan(300);
  expect(new Set(files.map(folderOf))).toEqual(
    new Set(Object.keys(ALLOWED).filter((folder) => files.some((file) => folderOf(file) === folder))),
  );
});

it("holds the walls between folders", () => {
  expect(wallFaults(imports)).toEqual([]);
});

it("has a row for each folder, none of which may import everything", () => {
  const folders = Object.keys(ALLOWED);
  for (const folder of folders) {
    const forbidden = folders.filter((other) => other !== folder && !ALLOWED[folder]!.includes(other));
    expect(forbidden, folder).not.toEqual([]);
    // a planted wrong import is found, of a type and in a call too
    const root = (name: string) => (name.startsWith("tools/") ? name : join("src", name));
    const file = folder.endsWith(".ts") ? root(folder) : join(root(folder), "planted.ts");
    for (const other of forbidden) {
      const target = other.endsWith(".ts") ? root(other) : join(root(other), "anything.ts");
      const path = relative(dirname(file), target);
      const from = path.startsWith(".") ? path : `./${path}`;
      for (const text of [
        `import { x } from "${from}";`,
        `import type { X } from "${from}";`,
        `const x = await import("${from}");`,
      ]) {
        expect(wallFaults(importsOf(file, text)), `${folder} -> ${other}`).toHaveLength(1);
      }
    }
  }
});

it("no algorithm imports another, and nothing imports cli", () => {
  const loops = new Set(["grpo.ts", "ppo.ts", "sft.ts"].map((name) => join("src/algorithms", name)));
  const faults = imports
    .filter(({ from }) => from.startsWith("."))
    .map(({ file, from }) => [file, normalize(join(dirname(file), from))] as const)
    .filter(
      ([file, target]) =>
        (loops.has(file) && loops.has(target)) || (folderOf(target) === "cli" && folderOf(file) !== "cli"),
    );
  expect(faults).toEqual([]);
});

it("keeps tensors out of option schemas, config, data, rewards, run and the first moments of the command line", () => {
  const loadsTensors = imports.filter(({ from, typeOnly }) => from.startsWith("@tensorflow") && !typeOnly);
  const faults = loadsTensors
    .filter(({ file }) => !TENSOR_FOLDERS.has(folderOf(file)) || isOptions(file))
    .map(({ file }) => file);
  expect(faults).toEqual([]);

  const heavy = (file: string) =>
    [...loadedWith(file)].filter((name) =>
      /^(@tensorflow|zod|yaml|mathjs|esbuild|koffi|@huggingface)/.test(name),
    );
  expect(heavy("src/cli/main.ts")).toEqual([]);
  // option files read the declarations of their stage's kinds: these load nothing but zod either
  const optionFiles = new Set(
    imports.flatMap(({ file, from }) => {
      const target = normalize(join(dirname(file), from));
      return from.startsWith(".") && isOptions(target) && folderOf(target) !== folderOf(file) ? [target] : [];
    }),
  );
  expect(optionFiles).toContain("src/rewards/options.ts");
  for (const file of optionFiles) {
    expect(
      heavy(file).filter((name) => name !== "zod"),
      file,
    ).toEqual([]);
  }
});

/** Files and packages that are loaded with a file, without await import(). */
function loadedWith(start: string): Set<string> {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { from, typeOnly, lazy } of imports.filter((one) => one.file === file)) {
      if (typeOnly || lazy) continue;
      if (from.startsWith(".")) visit(normalize(join(dirname(file), from)));
      else reached.add(from);
    }
  };
  visit(start);
  return reached;
}

it("draws randomness from the counter-based generator only", () => {
  const faults = files.filter((file) => /Math\.random|Date\.now\(\)/.test(readFileSync(file, "utf8")));
  expect(faults).toEqual([]);
});
