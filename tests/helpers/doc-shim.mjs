// Stands for npx and npm when commands of the documentation are tested: the program is this checkout, and
// training is one step a stage. Started with its name as first argument.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const root = fileURLToPath(new URL("../../", import.meta.url));
const [name, ...words] = process.argv.slice(2);

function fail(text) {
  process.stderr.write(`doc-shim: ${text}\n`);
  process.exit(99);
}

function rlpt(args, options) {
  return spawnSync(process.execPath, [join(root, "bin", "rlpt.js"), ...args], {
    encoding: "utf8",
    ...options,
  });
}

/** A config that builds on no other one, as it stands; null for others. A start of the program less. */
function readPlain(file) {
  const recipe = file === undefined || !existsSync(file) ? null : parse(readFileSync(file, "utf8"));
  return recipe === null || recipe.extends !== undefined || recipe.recipe !== undefined ? null : recipe;
}

function readResolved(args) {
  const dry = rlpt([...args, "--dry-run"], {});
  if (dry.status !== 0) fail(`rlpt ${args.join(" ")}\n${dry.stderr}`);
  return parse(dry.stdout);
}

/** What makes a training short, whatever its config. */
function shortened(args) {
  const plain = args.filter((word) => word !== "--dry-run");
  if (args.includes("--help")) return [];
  // one step more than the run has
  if (args.includes("--resume")) return ["--steps", "2"];
  const recipe = readPlain(plain.find((word) => word.endsWith(".yaml"))) ?? readResolved(plain);
  const optimizers = ["optimizer", ...(recipe.stages ?? []).map((_, i) => `stages.${i}.optimizer`)];
  return [
    ...(recipe.stages ?? [0]).map((_, i) =>
      recipe.stages === undefined ? "steps=1" : `stages.${i}.steps=1`,
    ),
    ...optimizers.map((path) => `${path}.warmup_steps=0`),
    ...(recipe.data?.eval === undefined ? [] : ["eval.limit=20", "eval.samples=1"]),
  ].flatMap((one) => ["--set", one]);
}

if (name === "npm") {
  const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
  const [verb, script] = words;
  const known = verb === "ci" || (verb === "test" && scripts.test) || (verb === "run" && scripts[script]);
  if (!known) fail(`npm ${words.join(" ")}: mark it with a reason to skip, or name a script of package.json`);
} else if (name === "npx" && words[0] === "rlpt") {
  const args = [
    ...words.slice(1),
    ...(process.env.RLPT_DOC_ADD ?? "").split(" ").filter((word) => word !== ""),
  ];
  // a step count is taken away, since one step is done
  const steps = args.indexOf("--steps");
  const asked = steps < 0 ? args : args.filter((_, i) => i !== steps && i !== steps + 1);
  const all = args[0] === "train" ? [...asked, ...shortened(asked)] : args;
  process.exit(rlpt(all, { stdio: "inherit" }).status ?? 98);
} else fail(`${name} ${words.join(" ")}: only npx rlpt and npm are known here`);
