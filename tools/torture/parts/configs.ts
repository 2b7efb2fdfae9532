/** Wrong configs: keys, types, ranges, aliases, and files that are none. What validate lets through trains a step. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { shippedConfigs } from "../../../src/config/load.ts";
import { command } from "../command.ts";
import { type Draw, drawFrom } from "../draw.ts";
import { mutateJson, mutateText } from "../mutate.ts";
import type { Case, Outcome, Part } from "../part.ts";
import { tinyFileRecipe, tinyRecipe, tinyRows } from "./tiny-recipe.ts";

interface Config {
  /** Of what it was made. */
  from: string;
  text: string;
  /** Small enough to train a step of. */
  tiny: boolean;
}

function bases(folder: string): Config[] {
  const data = { train: join(folder, "rows.jsonl"), held: join(folder, "held-out.jsonl") };
  for (const [i, path] of Object.values(data).entries())
    writeFileSync(
      path,
      tinyRows(i + 1)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    );
  const shipped = readdirSync(shippedConfigs(), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".yaml") && !name.startsWith("data"))
    .sort()
    .map((name) => ({ from: name, text: readFileSync(join(shippedConfigs(), name), "utf8"), tiny: false }));
  const tiny = [
    { from: "tiny", text: tinyRecipe(2), tiny: true },
    { from: "tiny of a file", text: tinyFileRecipe(2, data), tiny: true },
    {
      from: "tiny sft",
      text: tinyRecipe(2)
        .replace("algorithm: { kind: grpo }", "algorithm: { kind: sft, rows_per_step: 4 }")
        .replace(/rewards:\n(.*\n){2}/, "")
        .replace(/ {2}eval: .*\n/, "")
        .replace(/eval: .*\n/, ""),
      tiny: true,
    },
    {
      from: "tiny ppo",
      text: tinyRecipe(2).replace("{ kind: grpo }", "{ kind: ppo, minibatches: 2, critic: { lr: 0.02 } }"),
      tiny: true,
    },
  ];
  return [...shipped, ...Array.from({ length: 12 }, () => tiny).flat()];
}

/** Something that is no file, or none that can be read to its end. @returns its path */
function noFile(draw: Draw, folder: string): string {
  const path = join(folder, "no-file.yaml");
  switch (draw.below(9)) {
    case 0:
    case 1:
      spawnSync("mkfifo", [path]);
      return path;
    case 2:
      mkdirSync(path);
      return path;
    case 3:
      return draw.one(["/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem", "/dev/stdin"]);
    case 4:
      writeFileSync(path, "");
      return path;
    case 5:
      symlinkSync(path, path);
      return path;
    case 6:
      writeFileSync(path, Buffer.alloc(100_000, draw.below(256)));
      return path;
    case 7:
      writeFileSync(path, Array.from({ length: 250_000 }, (_, i) => `unknown_key_${i}: 1\n`).join(""));
      return path;
    default:
      return join(folder, "is-not-there");
  }
}

/** Keys whose value names a file. */
const PATHS: readonly [string, (recipe: Record<string, unknown>, path: string) => void][] = [
  ["model.path", (recipe, path) => (recipe["model"] = { path })],
  [
    "model.lora.adapter",
    (recipe, path) =>
      (recipe["model"] = { ...(recipe["model"] as object), lora: { rank: 2, adapter: path } }),
  ],
  ["data.train.path", (recipe, path) => (recipe["data"] = { train: { kind: "file", path } })],
  ["rewards.0.file", (recipe, path) => (recipe["rewards"] = [{ kind: "file", file: path }])],
  ["extends", (recipe, path) => (recipe["extends"] = path)],
  ["run.root", (recipe, path) => (recipe["run"] = { root: path })],
  ["backend.plugin", (recipe, path) => (recipe["backend"] = { kind: "xla", plugin: path })],
];

/** @returns what is given to validate */
function wrongConfig(draw: Draw, folder: string): { path: string; tried: string; tiny: boolean } {
  const base = draw.one(bases(folder));
  const path = join(folder, "wrong.yaml");
  const write = (text: string, tried: string) => {
    writeFileSync(path, text);
    return { path, tried: `${base.from}: ${tried}`, tiny: base.tiny };
  };
  const roll = draw.below(20);
  if (roll === 0) {
    const named = noFile(draw, folder);
    return { path: named, tried: `config ${named}`, tiny: false };
  }
  if (roll <= 3) {
    const { text, done } = mutateText(draw, base.text);
    return write(text, done);
  }
  const recipe = parse(base.text) as Record<string, unknown>;
  if (roll <= 6) {
    const [key, put] = draw.one(PATHS);
    const named = noFile(draw, folder);
    put(recipe, named);
    return write(stringify(recipe), `${key} = ${named}`);
  }
  if (roll === 7) {
    const anchors = Array.from(
      { length: 30 },
      (_, i) => `a${i}: &a${i} [${i === 0 ? "1" : Array.from({ length: 9 }, () => `*a${i - 1}`).join(", ")}]`,
    );
    return write(`${anchors.join("\n")}\n${base.text}`, "aliases of aliases");
  }
  const done = Array.from({ length: draw.one([1, 1, 1, 2, 3]) }, () => mutateJson(draw, recipe));
  return write(stringify(recipe), done.join(", "));
}

/** `file:line  key = value: reason; fix.`; a flag or the method stands where the value does. */
const FAULT_LINE = /^(?:.+:\d+|--\S+.*?|recipe: [\w-]+) {2}.+[.?]$/;
/** What a step of a tiny config may ask for and still be tiny. */
const LARGEST_NUMBER = 5000;

const largest = (value: unknown): number =>
  typeof value === "number"
    ? Math.abs(value)
    : typeof value === "object" && value !== null
      ? Math.max(0, ...Object.values(value).map(largest))
      : 0;

async function tryOne({ rng, folder, trying }: Case): Promise<Outcome> {
  const draw = drawFrom(rng);
  const { path, tried, tiny } = wrongConfig(draw, folder);
  trying(tried);
  const checked = await command(["validate", path]);
  const found = (fault: string): Outcome => ({ kind: "fault", tried, fault });
  if (checked.fault !== undefined) return found(checked.fault);
  if (checked.status !== 0 && checked.status !== 2)
    return found(`validate ends with ${checked.status}: ${checked.err}`);
  const lines = checked.out.split("\n").filter((line) => line !== "");
  if (checked.status === 2) {
    const other =
      lines.find((line) => !FAULT_LINE.test(line)) ??
      (lines.length === 0 ? `nothing on stdout; on stderr: ${checked.err}` : undefined);
    return other === undefined
      ? { kind: "refused", tried }
      : found(`validate says it in another form: ${other.slice(0, 400)}`);
  }
  if (!tiny || largest(parse(readFileSync(path, "utf8"))) > LARGEST_NUMBER)
    return { kind: "accepted", tried };
  const run = join(folder, "run");
  const trained = await command([
    "train",
    path,
    "--steps",
    "1",
    "--run-dir",
    run,
    "--quiet",
    "--backend",
    "wasm",
  ]);
  if (trained.fault !== undefined) return found(trained.fault);
  if (trained.status !== 0)
    return found(
      `validate says OK, and train ends with ${trained.status}: ${(trained.err + trained.out).slice(0, 600)}`,
    );
  rmSync(run, { recursive: true, force: true });
  return { kind: "trained", tried };
}

export const configs: Part = {
  name: "configs",
  tries: "wrong configs",
  full: 150,
  perCase: 1,
  async prepare() {},
  open: async () => tryOne,
};
