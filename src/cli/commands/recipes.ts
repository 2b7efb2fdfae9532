import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { ConfigError, describeSystemError } from "../../lib/errors.ts";
import { isFolder } from "../../lib/regular-file.ts";
import { packageRoot } from "../../lib/version.ts";
import type { Method } from "../../recipes/method.ts";
import { colours, print, printJson, table, terminalWidth, wrapText } from "../../terminal/terminal.ts";

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
  const path = isFolder(target) ? join(target, `${recipe.name}.yaml`) : target;
  try {
    writeFileSync(path, recipe.text, { flag: "wx" });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === "EEXIST";
    const reason = exists ? "exists already" : `cannot be written: ${describeSystemError(error)}`;
    throw new ConfigError(`${path}: ${reason}; give another path, or move it away.`, { cause: error });
  }
  return path;
}

/** Rows of a settings table: lists and maps are spread out, a source stands once. */
function settingRows(key: string, value: unknown, source: string): string[][] {
  const entries =
    Array.isArray(value) && value.some((item) => typeof item === "object")
      ? value.map((item, index) => [`${key}.${index}`, item] as const)
      : value !== null && typeof value === "object" && !Array.isArray(value)
        ? Object.entries(value).map(([name, item]) => [`${key}.${name}`, item] as const)
        : null;
  if (entries === null || entries.length === 0) {
    return [[key, typeof value === "string" ? quoteIfNeeded(value) : JSON.stringify(value), source]];
  }
  const rows = entries.flatMap(([name, item]) => settingRows(name, item, ""));
  rows[0]![2] = source;
  return rows;
}

const LONGEST_CELL = 32;

function quoteIfNeeded(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : JSON.stringify(text);
}

/** A method on a page: what to hold beside the paper. @param configs paths that exist, with what they are */
export function describeMethod(
  method: Method,
  configs: readonly { path: string; what: string }[],
  width = terminalWidth(),
): string {
  const heading = (text: string) => `\n${colours.bold(text)}`;
  const rows = method.settings.flatMap(({ key, value, source }) => settingRows(key, value, source));
  // a value too long for its column stands below the table, in full
  const long = rows.filter(([, value]) => value!.length > LONGEST_CELL);
  const shown = rows.map(([key, value, source]) => [
    key!,
    value!.length > LONGEST_CELL ? "(below)" : value!,
    source!,
  ]);
  const list = (items: readonly string[]) =>
    items.flatMap((item) =>
      wrapText(item, Math.max(24, width - 4)).map((line, index) => `${index === 0 ? "  - " : "    "}${line}`),
    );
  return [
    `${colours.bold(method.name)}: ${method.title}`,
    ...wrapText(method.summary, width),
    heading("Method"),
    ...method.equations.map((line) => `  ${line}`.trimEnd()),
    heading(`Settings: what \`recipe: ${method.name}\` lays beneath a config`),
    table(shown, { header: ["key", "value", "source"], indent: 2, width }),
    ...long.map(([key, value]) => `\n  ${key}\n    ${value}`),
    heading("What goes wrong, and where it shows"),
    ...list(method.pitfalls),
    heading("References"),
    ...list(method.references),
    heading("Configs"),
    ...(configs.length === 0
      ? [`  none comes with rlpt: write one that says \`recipe: ${method.name}\``]
      : configs.map(({ path, what }) => `  ${path}  ${what}`)),
  ].join("\n");
}

/** The configs of a method that came with this installation. */
export function methodConfigs(name: string, folder = join(packageRoot(), "configs")) {
  return [
    { path: join(folder, `${name}.yaml`), what: "laboratory, minutes" },
    { path: join(folder, "paper", `${name}.yaml`), what: "the paper's model and data" },
  ].filter(({ path }) => existsSync(path));
}

export function register(program: Command): void {
  const recipes = program
    .command("recipes")
    .description("the papers' methods, and the configs that come with rlpt: list, show, copy");
  recipes
    .command("ls")
    .description("list methods and configs")
    .option("--json", "machine-readable output")
    .action(async (flags: { json?: boolean }) => {
      const { methods } = await import("../../recipes/index.ts");
      const all = shippedRecipes();
      if (flags.json) {
        const listed = methods.map(({ name, title, summary }) => ({ kind: "method", name, title, summary }));
        const configs = all.map(({ name, path, summary }) => ({ kind: "config", name, path, summary }));
        printJson([...listed, ...configs]);
        return;
      }
      print(
        `${colours.bold("Methods")}, for \`recipe: name\` in a config; \`rlpt recipes show name\` explains one`,
      );
      print(
        table(
          methods.map(({ name, summary }) => [name, summary]),
          { indent: 2 },
        ),
      );
      print();
      print(
        `${colours.bold("Configs")}, for \`rlpt train configs/name.yaml\`; \`rlpt recipes cp\` copies one`,
      );
      print(
        table(
          all.map(({ name, summary }) => [name, summary]),
          { indent: 2 },
        ),
      );
    });
  recipes
    .command("show")
    .description("explain a method: equations, settings with their sources, pitfalls; or print a config")
    .argument("<name>", "of a method; of a config; name.yaml is always the config")
    .option("--json", "the method as data")
    .action(async (name: string, flags: { json?: boolean }) => {
      const { methods } = await import("../../recipes/index.ts");
      const method = methods.find((one) => one.name === name);
      if (method === undefined) {
        process.stdout.write((await findRecipe(name)).text);
      } else if (flags.json) printJson(method);
      else print(describeMethod(method, methodConfigs(name)));
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
