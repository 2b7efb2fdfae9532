/**
 * tests/fixtures/bad-configs: NN-name.yaml is wrong, NN-name.txt is what must be said of it. Lists that grow with every kind
 * are written as {rewards}, {algorithms} and {methods}, or {rewards or} where the last one is joined by "or".
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { algorithms } from "../../src/algorithms/kinds.ts";
import { validate } from "../../src/cli/commands/validate.ts";
import { ConfigFaultsError, type Fault } from "../../src/config/faults.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { methods } from "../../src/recipes/index.ts";
import { rewardKinds } from "../../src/rewards/kinds.ts";

const folder = "tests/fixtures/bad-configs";
const configs = readdirSync(folder)
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => join(folder, file));

/** Flags that a fixture needs stand in its first line: `# args: --set a=b --set c=d`. */
function flagsOf(config: string): string[] {
  const line = /^# args: (.*)$/m.exec(readFileSync(config, "utf8"))?.[1];
  return line === undefined
    ? []
    : line
        .split("--set ")
        .map((part) => part.trim())
        .filter((part) => part !== "");
}

const lists: Record<string, readonly string[]> = {
  rewards: rewardKinds.map(({ kind }) => kind),
  algorithms: algorithms.map(({ kind }) => kind),
  methods: methods.map(({ name }) => name),
};

function expected(config: string): string {
  const text = readFileSync(config.replace(/\.yaml$/, ".txt"), "utf8");
  return text.replace(/\{(rewards|algorithms|methods)( or)?\}/g, (_, list: string, or?: string) => {
    const names = lists[list]!;
    return or === undefined ? names.join(", ") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
  });
}

function faultsOf(config: string): readonly Fault[] {
  try {
    loadRecipe(config, { set: flagsOf(config) });
  } catch (error) {
    if (error instanceof ConfigFaultsError) return error.faults;
    throw error;
  }
  return [];
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("there are at least 40", () => {
  expect(configs.length).toBeGreaterThanOrEqual(40);
  const texts = readdirSync(folder).filter((file) => file.endsWith(".txt"));
  expect(texts).toHaveLength(configs.length);
});

describe("rlpt validate", () => {
  test.each(configs)("%s", async (config) => {
    let printed = "";
    vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      printed += String(chunk);
      return true;
    });
    const status = await validate([config], { set: flagsOf(config) });
    vi.restoreAllMocks();
    expect(printed).toBe(expected(config));
    expect(status).toBe(2);
    expect(printed).not.toMatch(/^\s+at /m);
    for (const line of printed.trimEnd().split("\n")) {
      expect(line).toMatch(/^(tests\/fixtures\/bad-configs\/\S+\.yaml:\d+|--set \S+( \S+)*) {2}\S.*[.?]$/);
    }
  });
});

test("the real program says the same, exits 2 and shows no stack", { timeout: 120_000 }, () => {
  for (const name of ["84-many-at-once", "05-tab", "79-flag-value"]) {
    const config = join(folder, `${name}.yaml`);
    const set = flagsOf(config).flatMap((flag) => ["--set", flag]);
    const child = spawnSync(process.execPath, ["bin/rlpt.js", "validate", config, ...set], {
      encoding: "utf8",
    });
    expect(child.stdout).toBe(expected(config));
    expect(child.stderr).not.toMatch(/^\s+at /m);
    expect(child.status).toBe(2);
  }
});

test("train refuses a wrong config in the same words", { timeout: 120_000 }, () => {
  const config = join(folder, "33-micro-batch.yaml");
  const child = spawnSync(process.execPath, ["bin/rlpt.js", "train", config], { encoding: "utf8" });
  expect(child.stderr).toContain(expected(config).trim());
  expect(child.stderr).not.toMatch(/^\s+at /m);
  expect(child.status).toBe(2);
});

test("every code and every rule has a config that shows it", () => {
  const faults = configs.flatMap(faultsOf);
  const codes = new Set(faults.map((fault) => fault.code));
  for (const code of [
    "file",
    "syntax",
    "flag",
    "extends",
    "unknown_key",
    "missing",
    "type",
    "range",
    "choice",
    "check",
  ]) {
    expect(codes, code).toContain(code);
  }
  const shown = new Set(faults.flatMap((fault) => (fault.code === "rule" ? [fault.rule] : [])));
  const files = ["src/config", "src/algorithms"].flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).map((file) => join(root, file)),
  );
  const written = files
    .filter((file) => /(rules|declaration)\S*\.ts$/.test(file))
    .flatMap((file) => [...readFileSync(file, "utf8").matchAll(/rule: "(\w+)"/g)].map((match) => match[1]!));
  expect(written.length).toBeGreaterThan(30);
  expect([...new Set(written)].filter((rule) => !shown.has(rule))).toEqual([]);
});
