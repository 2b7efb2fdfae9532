import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { findConfig, loadRecipe, shippedConfigs } from "../../src/config/load.ts";
import { resolveTarget } from "../../src/training/target.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterEach(() => {
  vi.restoreAllMocks();
});

it("finds a config that comes with rlpt by its name, in any folder; a file of that name comes first", async () => {
  const shipped = join(shippedConfigs(), "quickstart.yaml");
  const folder = space.path("elsewhere");
  mkdirSync(join(folder, "taken"), { recursive: true });
  const before = process.cwd();
  process.chdir(folder);
  try {
    for (const name of ["quickstart", "quickstart.yaml", "configs/quickstart.yaml", "configs/quickstart"]) {
      expect(findConfig(name)).toBe(shipped);
      expect(loadRecipe(name).recipe.run.name).toBe("quickstart");
    }
    expect(findConfig("paper/limr")).toBe(join(shippedConfigs(), "paper", "limr.yaml"));
    expect((await resolveTarget("quickstart", {})).recipe.run.name).toBe("quickstart");
    await expect(resolveTarget("nothing", {})).rejects.toThrow("there is nothing at that path");
    // nothing but configs, and what is nowhere stays what was typed
    for (const name of ["package.json", "../package.json", "../docs/x", "nothing", "taken", shipped]) {
      expect(findConfig(name)).toBe(name);
    }
    writeFileSync(join(folder, "quickstart.yaml"), "extends: configs/quickstart.yaml\nsteps: 7\n");
    expect(loadRecipe("quickstart.yaml").recipe.steps).toBe(7);
  } finally {
    process.chdir(before);
    space.remove();
  }
});
