import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { expect, it } from "vitest";

/**
 * What each folder may import from the others. Held against every import line. The first block is the stages and their nouns, the
 * second what joins them to runs, the third what people start or program against. No folder may import everything.
 */
const ALLOWED: Record<string, readonly string[]> = {
  "types.ts": [],
  lib: [],
  config: ["types.ts", "lib", "options", "recipes"],
  // tasks with a verifier, which data draw from and rewards ask
  bootcamps: ["lib"],
  data: ["types.ts", "lib", "bootcamps"],
  // image files to pixels, and pixels to what a model's tower reads
  pictures: ["types.ts", "lib"],
  backend: ["types.ts", "lib"],
  policy: ["types.ts", "lib", "backend", "pictures"],
  samplers: ["types.ts", "lib"],
  rollouts: ["types.ts", "lib", "pictures"],
  // what a policy talks to turn by turn
  environments: ["types.ts", "lib"],
  rewards: ["types.ts", "lib", "bootcamps"],
  advantages: ["types.ts", "lib"],
  losses: ["types.ts", "lib", "backend"],
  optim: ["types.ts", "lib", "backend"],
  metrics: ["types.ts", "lib"],
  // what a reply is worth is what a reward says of it
  benchmarks: ["types.ts", "lib", "rewards"],
  // a run keeps small copies of the pictures that its samples show
  run: ["types.ts", "lib", "metrics", "pictures"],
  report: ["types.ts", "lib", "metrics", "run"],
  // what shows a run's files elsewhere
  trackers: ["lib", "metrics", "run"],
  recipes: ["types.ts", "lib", "options", "rewards"],
  algorithms: [
    "types.ts",
    "lib",
    "options",
    "data",
    "policy",
    "samplers",
    "rollouts",
    "rewards",
    "advantages",
    "losses",
    "optim",
    "metrics",
    "pictures",
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
    "pictures",
    "rollouts",
    "environments",
    "rewards",
    "optim",
    "run",
    "algorithms",
    "benchmarks",
    "trackers",
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
  // compares losses at the updates of a step
  replay: ["lib", "config", "policy", "losses", "run", "algorithms", "training", "terminal"],
  // losses and estimators against their equations
  conformance: ["lib", "losses", "advantages"],
  project: ["types.ts", "lib", "options", "config", "data", "rollouts", "training"],
  // what talks to a policy: a person, or programs over HTTP
  serving: ["types.ts", "lib", "policy", "rollouts"],

  library: [
    "types.ts",
    "lib",
    "options",
    "config",
    "backend",
    "policy",
    "samplers",
    "rollouts",
    "rewards",
    "run",
    "algorithms",
    "training",
    "planning",
  ],
  // a list of what a program may use, and nothing else
  "index.ts": [
    "types.ts",
    "lib",
    "options",
    "config",
    "policy",
    "rollouts",
    "advantages",
    "losses",
    "optim",
    "run",
    "algorithms",
    "training",
    "library",
  ],

  terminal: ["lib", "config", "metrics", "run"],
  cli: [
    "lib",
    "options",
    "config",
    "recipes",
    "backend",
    "benchmarks",
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
    "conformance",
    "project",
    "serving",
    "trackers",
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
const isOptions = (path: string) => /(^|\/)(\w+-)?(options|kinds|declaration)\.ts$/.test(path);

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
  "conformance",
  "project",
  "library",
  "index.ts",
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

/** What files and folders of src/backend may import of its other folders; without a row nothing. */
const BACKEND_FOLDERS: Record<string, readonly string[]> = {
  // the library runs compiled programs too, and its kernels' JavaScript is that of tfjs-node
  tensorflow: ["xla", "tfjs-node"],
  xla: ["stablehlo"],
};

/** Code that learns, whatever computes: it asks src/backend's own files, and only what stands in such a folder writes StableHLO. */
const LEARNING = new Set(["policy", "losses", "optim", "algorithms", "config"]);

/** The folder of an engine, or of StableHLO, that a path leads into; null for the files that all engines share. */
const engineFolder = (path: string) => /^src\/backend\/([^/]+)\//.exec(path)?.[1] ?? null;

function engineFaults(all: readonly { file: string; from: string }[]): string[] {
  return all.flatMap(({ file, from }) => {
    if (!from.startsWith(".")) return [];
    const target = normalize(join(dirname(file), from));
    const folder = engineFolder(target);
    if (folder === null) return [];
    const own = engineFolder(file);
    const inBackend =
      folder === own ||
      (BACKEND_FOLDERS[own ?? relative("src/backend", file)] ?? []).includes(folder) ||
      (file === "src/backend/engines.ts" && target === `src/backend/${folder}/declaration.ts`);
    const writesProgram = file.includes("/stablehlo/") && folder === "stablehlo";
    const ok = folderOf(file) === "backend" ? inBackend : !LEARNING.has(folderOf(file)) || writesProgram;
    return ok ? [] : [`${file} imports ${target}`];
  });
}

it("asks engines by their interface", () => {
  expect(engineFaults(imports)).toEqual([]);
  const planted = [
    { file: "src/backend/profile.ts", from: "./xla/start.ts" },
    { file: "src/backend/ops.ts", from: "./stablehlo/hlo.ts" },
    { file: "src/backend/engines.ts", from: "./xla/start.ts" },
    { file: "src/backend/stablehlo/graph.ts", from: "../xla/pjrt/api.ts" },
    { file: "src/backend/wasm/heap.ts", from: "../xla/native.ts" },
    { file: "src/policy/policy.ts", from: "../backend/stablehlo/lazy-backend.ts" },
    { file: "src/policy/stablehlo/forward.ts", from: "../../backend/xla/start.ts" },
  ];
  expect(engineFaults(planted).length).toBe(planted.length);
});

it("lists every engine that declares itself", () => {
  const declared = files.filter((file) => /^src\/backend\/[^/]+\/declaration\.ts$/.test(file));
  const listed = imports
    .filter(({ file, typeOnly }) => file === "src/backend/engines.ts" && !typeOnly)
    .map(({ file, from }) => normalize(join(dirname(file), from)));
  expect(listed.sort()).toEqual(declared.sort());
  expect(declared.length).toBeGreaterThanOrEqual(6);
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

/** What ends the process, or writes where people read. */
const SPEAKS = /\bprocess\.(exit|exitCode|stdout|stderr|stdin|abort)\b|\bconsole\.\w/;

/** Files that a file may ever load, in a call too. */
function everReached(start: string): Set<string> {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { from, typeOnly } of imports.filter((one) => one.file === file)) {
      if (!typeOnly && from.startsWith(".")) visit(normalize(join(dirname(file), from)));
    }
  };
  visit(start);
  return reached;
}

it("has nothing in the library that prints or ends the process", () => {
  const speaking = (start: string) =>
    [...everReached(start)].filter((file) => SPEAKS.test(readFileSync(file, "utf8")));
  expect(everReached("src/index.ts").size).toBeGreaterThan(150);
  expect(speaking("src/index.ts")).toEqual([]);
  // the rule sees what it is about
  expect(speaking("src/cli/main.ts")).toContain("src/terminal/output.ts");
});

it("draws randomness from the counter-based generator only", () => {
  const faults = files.filter((file) => /Math\.random|Date\.now\(\)/.test(readFileSync(file, "utf8")));
  expect(faults).toEqual([]);
});

/** Where an algorithm's name may stand outside of its own folder: the list, recipes, which choose one, and what writes configs. */
const NAMES_ALGORITHMS = new Set(["src/algorithms/kinds.ts", "src/project/config-text.ts"]);

/** The name as a text, as a folder, or in a function's name; a metric's name, such as sft/loss, is none. */
const named = (kind: string) =>
  new RegExp(
    `["'\`]${kind}["'\`]|/${kind}/|/${kind}\\.ts|\\b${kind}\\b(?!/)|(?:train|open)${kind[0]!.toUpperCase()}${kind.slice(1)}`,
  );

function algorithmNames(file: string, text: string, kinds: readonly string[]): string[] {
  const owner = /^src\/algorithms\/([^/]+)\//.exec(file)?.[1];
  if (folderOf(file) === "recipes" || file.startsWith("tools/") || NAMES_ALGORITHMS.has(file)) return [];
  return kinds.filter((kind) => kind !== owner && named(kind).test(text)).map((kind) => `${file}: ${kind}`);
}

it("an algorithm's name stands in its own folder, in the list of algorithms, in configs and in recipes", () => {
  const kinds = readdirSync("src/algorithms", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(kinds).toEqual(expect.arrayContaining(["dpo", "grpo", "ppo", "sft"]));
  expect(files.flatMap((file) => algorithmNames(file, readFileSync(file, "utf8"), kinds))).toEqual([]);
  for (const planted of [
    'if (kind === "grpo")',
    'import { x } from "../grpo/train.ts";',
    "// as grpo does",
    "trainGrpo()",
  ])
    expect(algorithmNames("src/planning/planted.ts", planted, kinds), planted).toHaveLength(1);
  expect(algorithmNames("src/algorithms/ppo/planted.ts", 'import "../grpo/train.ts"', kinds)).toHaveLength(1);
});
