/** What could stand at the cursor of a command line: commands, flags, recipes, configs, runs, keys, files. */
import { readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Argument, Command, Option } from "commander";
import { backendKinds } from "../backend/options.ts";
import { isRunDirectory, listRuns } from "../run/run-directory.ts";
import { shippedRecipes } from "./commands/recipes.ts";

/** Folder of runs that is looked into where nothing else is typed; the default of `run.root`. */
const RUNS = "runs";

/**
 * @param words after the program's name, the last one being typed ("" where nothing is)
 * @returns candidates that begin with the last word; one that ends in "/" or "=" goes on
 */
export async function complete(program: Command, words: readonly string[]): Promise<string[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const { command, positional, pending } = walk(program, before);
  const found = await candidates(program, command, { current, positional, pending });
  return [...new Set(found)].filter((one) => one.startsWith(current)).sort();
}

interface Place {
  command: Command;
  /** Arguments of the command that are there already. */
  positional: number;
  /** Option whose value comes next. */
  pending: Option | null;
}

function walk(program: Command, words: readonly string[]): Place {
  let command = program;
  let positional = 0;
  let pending: Option | null = null;
  for (const word of words) {
    if (pending !== null) {
      pending = null;
    } else if (word.startsWith("-")) {
      const option = [...command.options, ...program.options].find(
        ({ short, long }) => word === short || word === long,
      );
      if (option !== undefined && (option.required || option.optional)) pending = option;
    } else {
      const inner = positional === 0 ? command.commands.find((one) => one.name() === word) : undefined;
      if (inner === undefined) positional++;
      else command = inner;
    }
  }
  return { command, positional, pending };
}

function candidates(
  program: Command,
  command: Command,
  { current, positional, pending }: { current: string; positional: number; pending: Option | null },
): Promise<string[]> | string[] {
  if (pending !== null) return valuesOf(pending, current);
  const help = command.createHelp();
  if (current.startsWith("-")) {
    const options = [...help.visibleOptions(command), ...program.createHelp().visibleOptions(program)];
    return options.flatMap(({ long, short }) => long ?? short ?? []);
  }
  const inner = positional === 0 ? help.visibleCommands(command).map((one) => one.name()) : [];
  if (inner.length > 0) return inner;
  const all = command.registeredArguments;
  const last = all.at(-1);
  const argument = all[positional] ?? (last?.variadic ? last : undefined);
  return argument === undefined ? [] : argumentsFor(argument, command, current);
}

function valuesOf(option: Option, current: string): Promise<string[]> | string[] {
  if (option.argChoices !== undefined) return option.argChoices;
  switch (option.long) {
    case "--backend":
      return ["auto", ...backendKinds];
    case "--checkpoint":
      return ["latest", "best"];
    case "--resume":
      return runs(current);
    case "--set":
      return current.includes("=") ? [] : configKeys();
    case "--config":
      return files(current, isConfig);
    default:
      // a value in words or numbers has no file behind it
      return /<(dir|file|path)/.test(option.flags) ? files(current, () => true) : [];
  }
}

function argumentsFor(argument: Argument, command: Command, current: string): string[] {
  if (argument.argChoices !== undefined) return argument.argChoices;
  const name = argument.name();
  if (command.parent?.name() === "recipes" || name === "recipe" || name === "name") {
    return shippedRecipes().map((recipe) => recipe.name);
  }
  if (name === "config") return files(current, isConfig);
  if (name === "run" || name === "runs") return runs(current);
  if (name === "target") return [...runs(current), ...files(current, isConfig)];
  return files(current, () => true);
}

const isConfig = (path: string): boolean => /\.ya?ml$/i.test(path);

/** Run directories: those of the folder of runs, and any that the typed path leads to. */
function runs(current: string): string[] {
  const here = listRuns(RUNS).map((path) => join(RUNS, basename(path)));
  const folders = entries(current).filter(({ folder }) => folder);
  return [...here, ...folders.map(({ path }) => (isRunDirectory(untilded(path)) ? path : `${path}/`))];
}

/** Files that fit, and folders to go on into. */
function files(current: string, fits: (path: string) => boolean): string[] {
  return entries(current).flatMap(({ path, folder }) => (folder ? [`${path}/`] : fits(path) ? [path] : []));
}

/** What lies in the folder that the typed path is in; hidden entries only where a dot is typed. */
function entries(current: string): { path: string; folder: boolean }[] {
  const parent = current.endsWith("/") ? current : `${dirname(current)}/`;
  const prefix = parent === "./" && !current.startsWith("./") ? "" : parent;
  const start = current.endsWith("/") ? "" : basename(current);
  try {
    return readdirSync(untilded(parent)).flatMap((name) => {
      if (!name.startsWith(start) || (name.startsWith(".") && !start.startsWith("."))) return [];
      const path = `${prefix}${name}`;
      const stat = statSync(untilded(path), { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ path, folder: stat.isDirectory() }];
    });
  } catch {
    return [];
  }
}

/** The home directory in the place of a leading `~`, which shells hand over as it was typed. */
const untilded = (path: string): string => path.replace(/^~(?=\/)/, homedir());

/** `optimizer.lr=` and all the others. */
async function configKeys(): Promise<string[]> {
  const { recipeJsonSchema } = await import("../config/schema.ts");
  const { keyPaths } = await import("../config/schema-tree.ts");
  return keyPaths(recipeJsonSchema()).map((path) => `${path}=`);
}
