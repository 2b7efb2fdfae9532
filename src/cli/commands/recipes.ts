import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { ConfigError, describeSystemError } from "../../lib/errors.ts";
import { packageRoot } from "../../lib/version.ts";
import { print, printJson, table } from "../terminal.ts";

export interface ShippedRecipe {
  /** File name without .yaml. */
  name: string;
  path: string;
  /** First line of the header comment. */
  summary: string;
  text: string;
}

/** The configs that come with rlpt, by name. */
export function shippedRecipes(folder = join(packageRoot(), "configs")): ShippedRecipe[] {
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".yaml")) : [];
  return files.sort().map((file) => {
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    const summary = /^#+[ \t]*(\S.*)$/m.exec(text.split(/^[^#\s]/m)[0] ?? "")?.[1] ?? "";
    return { name: basename(file, ".yaml"), path, summary: summary.trim(), text };
  });
}

/** @throws ConfigError naming the nearest one */
export async function findRecipe(name: string, all = shippedRecipes()): Promise<ShippedRecipe> {
  const wanted = name.replace(/\.yaml$/, "");
  const found = all.find((recipe) => recipe.name === wanted);
  if (found) return found;
  const { nearest } = await import("../../config/suggest.ts");
  const names = all.map((recipe) => recipe.name);
  const near = nearest(wanted, names);
  const known = names.length === 0 ? "none came with this installation" : `there are ${names.join(", ")}`;
  throw new ConfigError(`recipe ${name} does not exist; ${near ? `did you mean ${near}?` : `${known}.`}`);
}

/** @param target a file that must not exist, or a folder. @returns the path written */
export async function copyRecipe(name: string, target: string, all = shippedRecipes()): Promise<string> {
  const recipe = await findRecipe(name, all);
  const isFolder = statSync(target, { throwIfNoEntry: false })?.isDirectory() === true;
  const path = isFolder ? join(target, `${recipe.name}.yaml`) : target;
  try {
    writeFileSync(path, recipe.text, { flag: "wx" });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === "EEXIST";
    const reason = exists ? "exists already" : `cannot be written: ${describeSystemError(error)}`;
    throw new ConfigError(`${path}: ${reason}; give another path, or move it away.`, { cause: error });
  }
  return path;
}

export function register(program: Command): void {
  const recipes = program.command("recipes").description("the configs that come with rlpt: list, show, copy");
  recipes
    .command("ls")
    .description("list them")
    .option("--json", "machine-readable output")
    .action((flags: { json?: boolean }) => {
      const all = shippedRecipes();
      if (flags.json) printJson(all.map(({ name, path, summary }) => ({ name, path, summary })));
      else print(table(all.map(({ name, summary }) => [name, summary])));
    });
  recipes
    .command("show")
    .description("print one")
    .argument("<name>")
    .action(async (name: string) => {
      process.stdout.write((await findRecipe(name)).text);
    });
  recipes
    .command("cp")
    .description("copy one, to edit it; never overwrites")
    .argument("<name>")
    .argument("<path>", "a new file, or a folder")
    .action(async (name: string, path: string) => {
      const written = await copyRecipe(name, path);
      print(`${written}: copied. Next: rlpt validate ${written}`);
    });
}
