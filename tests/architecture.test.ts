import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { expect, it } from "vitest";

/** What each folder of src may import from src, besides itself. Held against every import line. */
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
  run: ["types.ts", "lib"],
  report: ["types.ts", "lib"],
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
    "run",
  ],
  cli: ["*"],
};

/** Option schemas and contracts that others may read: free of tensors. */
const isOptions = (path: string) => /(^|\/)(\w+-)?options\.ts$/.test(path);

/** These may load tfjs; everything else must start without it. */
const TENSOR_FOLDERS = new Set(["backend", "policy", "losses", "optim", "algorithms", "cli"]);

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

const files = sources("src");
const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(file, "utf8");
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+"([^"]+)"/gms)) {
    found.push({ file, from: match[2]!, typeOnly: match[1] !== undefined, lazy: false });
  }
  for (const match of text.matchAll(/import\("([^"]+)"\)/g)) {
    found.push({ file, from: match[1]!, typeOnly: false, lazy: true });
  }
  return found;
});

const folderOf = (path: string) => relative("src", path).split("/")[0]!;

it("sees every source file and its imports", () => {
  expect(files.length).toBeGreaterThan(90);
  expect(imports.length).toBeGreaterThan(300);
  expect(new Set(files.map(folderOf))).toEqual(
    new Set(Object.keys(ALLOWED).filter((folder) => files.some((file) => folderOf(file) === folder))),
  );
});

it("holds the walls between stages", () => {
  const faults = imports.flatMap(({ file, from }) => {
    if (!from.startsWith(".")) return [];
    const target = normalize(join(dirname(file), from));
    const [own, other] = [folderOf(file), folderOf(target)];
    const allowed = ALLOWED[own]!;
    const ok =
      own === other ||
      allowed.includes("*") ||
      allowed.includes(other) ||
      (allowed.includes("options") && isOptions(target));
    return ok ? [] : [`${file} imports ${target}`];
  });
  expect(faults).toEqual([]);
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

  // what main.ts loads without await import()
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
  visit("src/cli/main.ts");
  expect(
    [...reached].filter((name) => /^(@tensorflow|zod|yaml|mathjs|esbuild|koffi|@huggingface)/.test(name)),
  ).toEqual([]);
});

it("draws randomness from the counter-based generator only", () => {
  const faults = files.filter((file) => /Math\.random|Date\.now\(\)/.test(readFileSync(file, "utf8")));
  expect(faults).toEqual([]);
});
