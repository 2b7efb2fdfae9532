import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyRecipe, findRecipe, shippedRecipes } from "../../src/cli/commands/recipes.ts";
import { ConfigFaultsError } from "../../src/config/faults.ts";
import { loadRecipe } from "../../src/config/load.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-recipes-"));
  writeFileSync(join(folder, "quickstart.yaml"), "# GRPO in miniature.\n#\n#   command\nseed: 1 # one\n");
  writeFileSync(join(folder, "bare.yaml"), "seed: 1\n# not a header\n");
  writeFileSync(join(folder, "notes.txt"), "");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("lists YAML files with the first line of their header", () => {
  expect(shippedRecipes(folder).map(({ name, summary }) => [name, summary])).toEqual([
    ["bare", ""],
    ["quickstart", "GRPO in miniature."],
  ]);
  expect(shippedRecipes(join(folder, "none"))).toEqual([]);
});

test("finds by name, suggests the nearest", async () => {
  const all = shippedRecipes(folder);
  expect((await findRecipe("quickstart.yaml", all)).name).toBe("quickstart");
  await expect(findRecipe("quikstart", all)).rejects.toThrow(
    "recipe quikstart does not exist; did you mean quickstart?",
  );
  await expect(findRecipe("zzz", all)).rejects.toThrow("there are bare, quickstart.");
});

describe("copy", () => {
  test("writes a file, or into a folder, and never over something", async () => {
    const all = shippedRecipes(folder);
    const target = join(folder, "my.yaml");
    expect(await copyRecipe("quickstart", target, all)).toBe(target);
    expect(readFileSync(target, "utf8")).toBe(all[1]!.text);
    writeFileSync(target, "mine");
    await expect(copyRecipe("quickstart", target, all)).rejects.toMatchObject({ exitCode: 2 });
    await expect(copyRecipe("quickstart", target, all)).rejects.toThrow("exists already");
    expect(readFileSync(target, "utf8")).toBe("mine");
    mkdirSync(join(folder, "sub"));
    expect(await copyRecipe("quickstart", join(folder, "sub"), all)).toBe(
      join(folder, "sub", "quickstart.yaml"),
    );
    await expect(copyRecipe("quickstart", join(folder, "no", "x.yaml"), all)).rejects.toThrow(
      "no such file or directory",
    );
  });
});

test("every shipped config has a header and is right; so is its copy elsewhere", async () => {
  const shipped = shippedRecipes();
  expect(shipped.length).toBeGreaterThanOrEqual(2);
  for (const { name, path, summary } of shipped) {
    expect(summary, name).not.toBe("");
    const copy = await copyRecipe(name, join(folder, `${name}-copy.yaml`));
    for (const file of [path, copy]) expect(faultsOf(file), file).toEqual([]);
  }
});

/** What is wrong, but for data and models that the user brings. */
function faultsOf(file: string): string[] {
  try {
    loadRecipe(file);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigFaultsError)) throw error;
    const brought = (rule: string, path: string) => rule === "path_exists" && /^(model|data)\./.test(path);
    return error.faults
      .filter((fault) => fault.code !== "rule" || !brought(fault.rule, fault.path.join(".")))
      .map((fault) => `${fault.code} ${fault.path.join(".")}`);
  }
}
