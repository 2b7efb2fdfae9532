/** docs/environment.md against every place that reads an environment variable. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const PAGE = "docs/environment.md";

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return ["fixtures", "golden", "node_modules"].includes(entry.name) ? [] : filesBelow(path);
    return /\.(ts|js|mjs|cjs|py|sh)$/.test(entry.name) ? [path] : [];
  });
}

const files = ["src", "bin", "tools", "tests"]
  .flatMap(filesBelow)
  .concat(".ci/run")
  .filter((path) => path !== "tests/docs/environment.test.ts");

/** `process.env["X"]`, `env.X`, `environ.get("X"`, `environ.setdefault("X"`, the shell's `export X=`, and our own prefix anywhere. */
const READS = [
  /\b(?:env|environment|environ)(?:\.|\[\s*["'])([A-Z_][A-Z0-9_]*)\b/g,
  /\benviron\.\w+\(\s*["']([A-Z_][A-Z0-9_]*)["']/g,
  /^export ([A-Z_][A-Z0-9_]*)=/gm,
  /\b(RLPT_[A-Z0-9_]*[A-Z0-9])\b/g,
];

function variablesOf(text: string): string[] {
  return READS.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!));
}

/** A variable that is read by a computed name: which file, and where its names come from. */
const COMPUTED: Record<string, string> = {
  "src/cli/commands/label.ts": "--key-variable",
  "src/training/judges.ts": "judge.key_variable",
  "src/training/preflight.ts": "judge.key_variable",
  "src/processes/one-heap.ts": "MALLOC_ARENA_MAX",
  "tests/docs/commands.test.ts": "RLPT_SMOLLM2_GGUF",
};

/** Read by what rlpt loads, or named in a list that a computed read goes through. */
const READ_ELSEWHERE = new Set(
  (
    "HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_HOME OPENAI_API_KEY XZ_OPT MALLOC_ARENA_MAX MALLOC_TRIM_THRESHOLD_ " +
    "MALLOC_MMAP_THRESHOLD_ MALLOC_MMAP_MAX_ MALLOC_TOP_PAD_ GLIBC_TUNABLES"
  ).split(" "),
);

const page = readFileSync(PAGE, "utf8");
/** Names in the first cell of the page's tables. */
const documented = new Set(
  page
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...line.split(" | ")[0]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)),
);
const mentioned = new Set([...page.matchAll(/`([A-Z_][A-Z0-9_]*)`/g)].map((match) => match[1]!));

it("has a row for every environment variable that is read", () => {
  const read = new Map<string, string>();
  for (const file of files) for (const name of variablesOf(readFileSync(file, "utf8"))) read.set(name, file);
  expect(read.size).toBeGreaterThan(30);
  const missing = [...read]
    .filter(([name]) => !mentioned.has(name))
    .map(([name, file]) => `${name} (${file})`);
  expect(missing).toEqual([]);
  const gone = [...documented].filter((name) => !read.has(name) && !READ_ELSEWHERE.has(name));
  expect(gone, "rows that nothing reads").toEqual([]);
});

it("knows every place that reads a variable by a computed name", () => {
  const computed = files.filter((file) =>
    /\b(?:process\.env|env|environment)\[[^"'\s\]]/.test(readFileSync(file, "utf8")),
  );
  expect(computed.sort()).toEqual(Object.keys(COMPUTED).sort());
  for (const hint of Object.values(COMPUTED)) expect(page).toContain(hint);
});

it("sees a variable in each of the ways in which it can be read", () => {
  const ways = `process.env["AAA"]; env.BBB; environment["CCC"]; os.environ.setdefault("DDD", "1")\nexport EEE=1\n"RLPT_FFF"`;
  expect(variablesOf(ways).sort()).toEqual(["AAA", "BBB", "CCC", "DDD", "EEE", "RLPT_FFF"]);
});
